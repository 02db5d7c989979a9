// What a process exposes. Reading it is a dry run, so it is read when somebody asks.

import { button, el, quoted, show } from "./dom.js";
import { ask } from "./live.js";
import { clock } from "./texts.js";

export class State {
  constructor(process) {
    this.process = process;
    this.note = el("p", { class: "muted", role: "status" });
    this.text = el("div");
    this.button = button("Read it again", () => this.read());
    this.element = el("section", { class: "card", "aria-label": "Exposed state" },
      el("div", { class: "head" }, this.button, this.note), this.text);
    this.read();
  }

  change() {
    if (this.time) this.note.textContent = `Read at ${this.time}; messages have come since.`;
  }

  cut() {
    this.change();
  }

  again() {
    if (!this.time) this.read();
  }

  hold() {}

  end() {}

  async read() {
    if (this.button.disabled) return;
    this.button.disabled = true;
    this.note.textContent = "Reading…";
    try {
      const { state } = await ask("state", { process: this.process });
      this.time = clock(Date.now());
      this.note.textContent = `Read at ${this.time}.`;
      const empty = state === "" || state === "[]" || state === "{}";
      show(this.text, empty
        ? el("p", {}, "It exposes nothing: no ", el("code", {}, "patch@1.0"), " message was sent.")
        : el("pre", { tabindex: 0, role: "region", "aria-label": "State" }, quoted(state)));
    } catch (error) {
      this.time = "";
      this.note.textContent = "";
      show(this.text, el("p", { class: "bad" }, `It cannot be read: ${error.message}.`));
    }
    this.button.disabled = false;
  }
}
