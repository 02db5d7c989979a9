// Which part of the node is shown, by what stands behind # in the address.

import { el, facts, link, quoted, show } from "./dom.js";
import { ask, Following, Live } from "./live.js";
import { Message } from "./message.js";
import { Messages } from "./messages.js";
import { Side } from "./side.js";
import { State } from "./state.js";
import { bytes, isId, moment, number } from "./texts.js";
import { Use } from "./use.js";

const ANNOUNCED_MS = 4_000; // between two texts that are read aloud
const FACTS_MS = 10_000; // between two questions for the facts of a process: its whole log is looked at
const BACK_MS = 2_000; // after which a node that did not answer is asked again

const LIVE = {
  starting: "starting",
  live: "live",
  lost: "not connected; trying again",
  paused: "paused",
  asleep: "asleep",
};

class Page {
  constructor() {
    this.main = document.getElementById("main");
    this.live = new Live();
    this.side = new Side(this.live);
    this.view = null;
    this.said = 0;
    this.live.addEventListener("state", () => this.state());
    this.live.addEventListener("processes", () => this.view?.changed());
    this.live.addEventListener("cut", () => this.view?.cut());
    addEventListener("hashchange", () => this.go(true));
    document.getElementById("skip").addEventListener("click", (event) => {
      event.preventDefault(); // what stands behind # says what is shown
      this.main.focus();
    });
    const pause = document.getElementById("pause");
    pause.addEventListener("click", () => {
      const on = pause.getAttribute("aria-pressed") !== "true";
      pause.setAttribute("aria-pressed", String(on));
      if (on) this.view?.hold();
      this.live.pause(on);
    });
  }

  begin() {
    this.live.turn();
    this.go(false);
    this.about();
  }

  async about() {
    try {
      const told = await ask("node");
      const place = document.getElementById("node");
      place.textContent = `node ${told.address}`;
      place.title = `aoshell ${told.version}`;
    } catch {
      setTimeout(() => this.about(), BACK_MS);
    }
  }

  state() {
    const place = document.getElementById("live");
    place.dataset.state = this.live.state;
    place.textContent = LIVE[this.live.state];
    if (this.live.state === "live") this.view?.again();
  }

  /** Have a text read aloud, but not one after the other. */
  announce(text) {
    if (Date.now() - this.said < ANNOUNCED_MS) return;
    this.said = Date.now();
    document.getElementById("announce").textContent = text;
  }

  /** Show what the address asks for. */
  go(moved) {
    const [kind, id, part = "", at = ""] = parts();
    const asks = kind === "p" && isId(id ?? "");
    if (this.view?.id === id && asks && this.view instanceof Process) this.view.go(part, at);
    else {
      this.view?.end();
      this.view = asks ? new Process(id, part, at, this) : new Home(this);
      show(this.main, this.view.element);
    }
    document.body.dataset.view = asks ? "process" : "node";
    this.side.mark(asks ? id : "");
    this.view.title();
    if (moved) {
      scrollTo(0, 0);
      this.main.querySelector("h1")?.focus({ preventScroll: true });
    }
  }
}

/** What stands behind "#/", without what cannot be decoded. */
function parts() {
  try {
    return location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  } catch {
    return [];
  }
}

class Home {
  constructor(page) {
    this.page = page;
    this.facts = el("div");
    this.element = el("div", { class: "stack" },
      el("h1", { tabindex: -1 }, "This node"),
      el("section", { class: "card", "aria-label": "Facts" }, this.facts,
        el("p", {}, "Choose a process to see its messages as they arrive, what each of them came to and "
          + "caused, what the process exposes, and what it uses."),
        el("p", { class: "muted" }, "This page reads only. It sends no message, asks nothing of other machines, and "
          + "shows no key of this one.")));
    this.changed();
  }

  title() {
    document.title = "aoshell";
  }

  changed() {
    const processes = [...this.page.live.processes.values()];
    const computing = processes.filter((one) => one.at !== one.computed).length;
    show(this.facts, facts([
      ["Processes", number(this.page.live.total)],
      ["Slots", number(processes.reduce((sum, one) => sum + one.slots, 0))],
      ["Computing", number(computing)],
    ]));
  }

  cut() {}

  again() {}

  hold() {}

  end() {}
}

const PARTS = [["", "Messages"], ["state", "State"], ["use", "Memory and gas"]];

class Process {
  constructor(id, part, at, page) {
    this.id = id;
    this.page = page;
    this.progress = null;
    this.heading = el("h1", { tabindex: -1 });
    this.told = []; // facts that the node has told
    this.facts = el("div");
    this.tabs = el("nav", { class: "tabs", "aria-label": "Parts of this process" });
    this.body = el("div", { class: "stack" });
    this.element = el("div", { class: "stack" },
      link([], { class: "back" }, "All processes"),
      el("div", { class: "head" }, this.heading, quoted(id, { class: "mono id" })),
      this.facts, this.tabs, this.body);
    this.following = new Following(() => this.read(), FACTS_MS);
    this.following.ask();
    this.go(part, at);
    this.title();
  }

  go(part, at) {
    this.inner?.end();
    this.part = part;
    show(this.tabs, PARTS.map(([key, text]) =>
      link(key ? ["p", this.id, key] : ["p", this.id],
        { "aria-current": key === part || (part === "m" && !key) ? "page" : null }, text)));
    if (part === "state") this.inner = new State(this.id);
    else if (part === "use") this.inner = new Use(this.id);
    else if (part === "m") this.inner = new Message(this.id, at, this.page);
    else this.inner = new Messages(this.id, this.page);
    this.at = at;
    show(this.body, this.inner.element);
  }

  title() {
    const name = this.page.live.name(this.id);
    const what = this.part === "m" ? `message ${this.at}` : PARTS.find(([key]) => key === this.part)?.[1];
    show(this.heading, quoted(name));
    document.title = `${name}, ${what ?? "messages"} – aoshell`;
  }

  changed() {
    const one = this.page.live.processes.get(this.id);
    const key = JSON.stringify(one);
    this.inner.others?.();
    if (one && key === this.progress) return;
    this.progress = key;
    this.title();
    this.draw();
    this.following.ask();
    if (one) this.inner.change(one);
    else this.inner.again(); // gone, or older than those that are listed: nobody tells of it
  }

  cut() {
    this.inner.cut();
    this.following.ask();
  }

  /** The node answers again: what could not be read may be read now. */
  again() {
    this.following.ask();
    this.inner.again();
  }

  hold() {
    this.following.hold();
    this.inner.hold();
  }

  end() {
    this.following.end();
    this.inner.end();
  }

  draw() {
    const one = this.page.live.processes.get(this.id);
    const left = one ? Number.parseInt(one.at, 10) - Number.parseInt(one.computed || "-1", 10) : 0;
    show(this.facts, facts([
      ["Slots", one && number(one.slots)],
      ["To compute", left > 0 ? number(left) : ""],
      ...this.told,
    ]));
  }

  async read() {
    try {
      const told = await ask("process", { process: this.id });
      if (this.following.stale) return;
      this.told = [
        ["Handlers that wait", told.waiting ? number(told.waiting) : ""],
        ["Memory", told.memory ? bytes(told.memory) : ""],
        ["Made", moment(told.created)],
        ["Owner", quoted(told.owner, { class: "mono" })],
        ["Module", quoted(told.module, { class: "mono" })],
        ["Pushed messages owned by", told.authority && quoted(told.authority, { class: "mono" })],
      ];
      this.draw();
    } catch (error) {
      if (this.following.stale) return;
      this.told = [];
      show(this.facts, el("p", { class: "bad" }, `This process cannot be shown: ${error.message}.`));
    }
  }
}

new Page().begin();
