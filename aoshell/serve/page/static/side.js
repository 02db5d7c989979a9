// The list of processes beside everything.

import { el, link, quoted, show } from "./dom.js";
import { brief, number } from "./texts.js";

export class Side {
  constructor(live) {
    this.live = live;
    this.list = document.getElementById("processes");
    this.note = document.getElementById("processes-note");
    this.filter = document.getElementById("filter");
    this.items = new Map();
    this.current = "";
    this.filter.addEventListener("input", () => this.draw());
    live.addEventListener("processes", () => this.draw());
  }

  /** Mark the process that is shown. */
  mark(id) {
    this.current = id;
    for (const [key, item] of this.items) item.mark(key === id);
  }

  draw() {
    const wanted = this.filter.value.trim().toLowerCase();
    const found = [...this.live.processes.values()].filter(
      (one) => one.name.toLowerCase().includes(wanted) || one.id.toLowerCase().startsWith(wanted),
    );
    const items = new Map();
    for (const one of found) {
      const item = this.items.get(one.id) ?? new Item(one.id);
      item.draw(one);
      item.mark(one.id === this.current);
      items.set(one.id, item);
    }
    this.items = items;
    place(this.list, [...items.values()].map((item) => item.element));
    this.note.textContent = this.said(found.length, wanted);
  }

  said(shown, wanted) {
    const { processes, total } = this.live;
    if (wanted && !shown) return "None of that name.";
    if (!total) return "None yet.";
    if (total > processes.size) return `The newest ${number(processes.size)} of ${number(total)}.`;
    return "";
  }
}

class Item {
  constructor(id) {
    this.id = id;
    this.element = el("li");
    this.key = "";
  }

  draw(one) {
    const waits = one.at !== one.computed;
    const key = `${one.name} ${one.slots} ${waits}`;
    if (key === this.key) return;
    this.key = key;
    if (!this.link) {
      this.link = link(["p", this.id], {});
      this.element.append(this.link);
    }
    show(
      this.link,
      quoted(one.name || brief(this.id), { class: "name" }),
      el(
        "span",
        { class: waits ? "count wait" : "count" },
        number(one.slots),
        el("span", { class: "unseen" }, one.slots === 1 ? " slot" : " slots"),
        waits ? el("span", { class: "unseen" }, ", computing") : null,
      ),
    );
  }

  mark(on) {
    if (on) this.link.setAttribute("aria-current", "page");
    else this.link.removeAttribute("aria-current");
  }
}

/** Put elements into a parent in their order; what is in its place stays, with its focus. */
export function place(parent, elements) {
  const wanted = new Set(elements);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  elements.forEach((element, index) => {
    if (parent.children[index] !== element) parent.insertBefore(element, parent.children[index] ?? null);
  });
}
