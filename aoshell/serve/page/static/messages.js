// The messages of a process, the newest first, as they arrive.

import { button, el, link, quoted, show, table } from "./dom.js";
import { ask, Following } from "./live.js";
import { place } from "./side.js";
import { clock, counted, iso, milliseconds, moment, number, outcome, outcomeClass } from "./texts.js";

const PACE_MS = 300; // between two questions for what is new
const MOST_ROWS = 600; // that are shown; older ones give way to newer ones

const HEADS = [
  ["Slot", "number"],
  ["Time", ""],
  ["From", ""],
  ["Action", ""],
  ["Outcome", ""],
  ["Compute", "number"],
  ["Sent", "number"],
  ["Output", ""],
];

export class Messages {
  constructor(process, page) {
    this.process = process;
    this.page = page;
    this.rows = []; // newest first
    this.drawn = new Map(); // table rows by place
    this.older = false;
    this.cuts = 0;
    const rows = table("Messages, the newest first", HEADS, []);
    this.body = rows.querySelector("tbody");
    this.card = el("div", { class: "card wide" }, rows);
    this.note = el("p", { class: "muted" }, "Reading…");
    this.button = button("Older messages", () => this.back(), { class: "more" });
    this.element = el("section", { class: "stack", "aria-label": "Messages" },
      this.card, this.note, this.button);
    this.following = new Following(() => this.read(), PACE_MS);
    this.draw();
    this.following.ask();
  }

  change(one) {
    const newest = this.rows[0];
    if (newest && newest.at === one.at && this.settled() === newest.at) return;
    this.following.ask();
  }

  /** Messages were taken back: what is being read may be of those. */
  cut() {
    this.cuts += 1;
    this.rows = [];
    this.following.ask();
  }

  again() {
    this.following.ask();
  }

  hold() {
    this.following.hold();
  }

  end() {
    this.following.end();
  }

  /** The place up to which all rows have their results. */
  settled() {
    let place = "";
    for (let index = this.rows.length - 1; index >= 0; index -= 1) {
      if (this.rows[index].outcome === null) break;
      place = this.rows[index].at;
    }
    return place;
  }

  async read() {
    const after = this.settled();
    const { cuts } = this;
    try {
      const told = await ask("messages", after
        ? { process: this.process, after }
        : { process: this.process });
      if (this.following.stale) return;
      if (cuts !== this.cuts) return; // it is asked again
      if (!after || told.more) this.begin(told, after !== "");
      else this.add(told.messages);
      this.note.textContent = this.rows.length ? "" : "No messages yet.";
    } catch (error) {
      if (this.following.stale) return;
      this.note.textContent = `These messages cannot be shown: ${error.message}.`;
    }
    this.draw();
  }

  /** Show a list that begins anew: nothing was shown, or more has come than one list has. */
  begin(told, gap) {
    if (gap) this.page.announce(`${counted(told.messages.length, "newer message")} and more`);
    this.rows = told.messages;
    this.older = told.more;
  }

  add(found) {
    const before = new Set(this.rows.map((row) => row.at));
    const fresh = new Set(found.map((row) => row.at));
    const made = found.filter((row) => !before.has(row.at));
    this.rows = [...found, ...this.rows.filter((row) => !fresh.has(row.at))];
    if (this.rows.length > MOST_ROWS) {
      this.rows.length = MOST_ROWS;
      this.older = true;
    }
    this.fresh = new Set(made.map((row) => row.at));
    if (made.length) this.page.announce(counted(made.length, "new message"));
  }

  async back() {
    const last = this.rows[this.rows.length - 1];
    const { cuts } = this;
    try {
      const told = await ask("messages", { process: this.process, before: last.at });
      if (cuts !== this.cuts) return;
      this.rows = [...this.rows, ...told.messages].slice(0, MOST_ROWS);
      this.older = told.more && this.rows.length < MOST_ROWS;
      this.note.textContent = told.more && !this.older
        ? `${number(MOST_ROWS)} messages are the most that are shown at once.`
        : "";
    } catch (error) {
      this.note.textContent = `Older messages cannot be shown: ${error.message}.`;
    }
    this.draw();
  }

  draw() {
    const drawn = new Map();
    for (const row of this.rows) {
      const key = JSON.stringify(row) + this.page.live.name(row.from);
      let made = this.drawn.get(row.at);
      if (!made || made.key !== key) made = { key, element: this.cells(row, made?.element) };
      drawn.set(row.at, made);
    }
    this.drawn = drawn;
    this.fresh = undefined;
    place(this.body, [...drawn.values()].map((made) => made.element));
    this.card.hidden = !this.rows.length;
    this.button.hidden = !this.older;
    this.note.hidden = this.note.textContent === "";
  }

  cells(row, old) {
    const element = old ?? el("tr", { class: this.fresh?.has(row.at) ? "fresh" : null });
    show(
      element,
      el("td", { class: "number" }, link(["p", this.process, "m", row.at], {}, row.at)),
      el("td", { class: "time" },
        el("time", { datetime: iso(row.time), title: moment(row.time) }, clock(row.time))),
      el("td", { class: "short" }, sender(row.from, this.page.live)),
      el("td", { class: "action" }, quoted(row.action)),
      el("td", { class: `short ${outcomeClass(row.outcome)}` },
        outcome(row.outcome) + (row.suspended ? ", waits for more" : "")),
      el("td", { class: "number" }, row.outcome === null ? "" : milliseconds(row.ms)),
      el("td", { class: "number" }, row.sent ? number(row.sent) : ""),
      el("td", { class: "output" }, quoted(row.output ?? "", { class: "two" })),
    );
    return element;
  }
}

/** Who sent a message: a link where it is a process of this node. */
export function sender(id, live) {
  const name = quoted(live.name(id), { title: id });
  return live.processes.has(id) ? link(["p", id], {}, name) : name;
}
