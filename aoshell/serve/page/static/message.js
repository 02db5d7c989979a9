// One message: what came, what it came to, and what it caused.

import { el, facts, link, quoted, show, table } from "./dom.js";
import { ask, Following } from "./live.js";
import { sender } from "./messages.js";
import { Trace } from "./trace.js";
import { bytes, counted, isId, milliseconds, moment, number, outcome, outcomeClass } from "./texts.js";

const PACE_MS = 1_000; // between two questions for a message that waits, and what it causes

export class Message {
  constructor(process, at, page) {
    this.process = process;
    this.at = at;
    this.page = page;
    this.shown = "";
    this.content = el("section", { class: "card", "aria-label": "What it came to" },
      el("p", { class: "muted" }, "Reading…"));
    this.trace = new Trace(process, at, page);
    this.came = el("section", { class: "card", "aria-label": "What came", hidden: true });
    this.element = el("div", { class: "stack" }, this.content, this.trace.element, this.came);
    this.following = new Following(() => this.read(), PACE_MS);
    this.following.ask();
  }

  change() {}

  /** Something has changed in any process: it may be of this trace. */
  others() {
    this.following.ask();
  }

  cut() {
    this.done = undefined;
    this.trace.settledAt = 0;
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

  async read() {
    try {
      const told = this.done ?? (await ask("message", { process: this.process, at: this.at }));
      if (this.following.stale) return;
      if (told.outcome !== null) this.done = told;
      const key = JSON.stringify(told);
      if (key !== this.shown) {
        this.shown = key;
        show(this.content, this.parts(told));
        show(this.came, el("h2", {}, "Tags"), tags(told.tags), el("h2", {}, "Data"),
          ...data(told.data, told.id));
        this.came.hidden = false;
      }
      await this.trace.read(this.following);
    } catch (error) {
      if (this.following.stale) return;
      this.shown = "";
      this.done = undefined;
      show(this.content, el("p", { class: "bad" }, `This message cannot be shown: ${error.message}.`));
    }
  }

  parts(told) {
    return [
      el("h2", {}, `Message ${told.at}`),
      facts([
        ["Outcome", el("span", { class: outcomeClass(told.outcome) }, outcome(told.outcome))],
        ["Action", told.action && quoted(told.action)],
        ["From", sender(told.from, this.page.live)],
        ["Owner", told.owner !== told.from && quoted(told.owner, { class: "mono" })],
        ["Time", moment(told.time)],
        ["Block", number(told.height)],
        ["Compute", told.outcome !== null && milliseconds(told.ms)],
        ["Memory behind it", told.outcome !== null && bytes(told.memory)],
        ["Gas", told.gas ? number(told.gas) : ""],
        ["Id", told.id && quoted(told.id, { class: "mono id" })],
        ["Begun by", told.root && quoted(told.root, { class: "mono" })],
        ["Anchor", told.anchor && quoted(told.anchor, { class: "mono" })],
      ].filter(([, value]) => value)),
      ...result(told, this.page.live),
    ];
  }
}

function result(told, live) {
  const found = told.result;
  if (!found) return [el("p", { class: "wait" }, "Its result is not computed yet.")];
  const parts = [el("h2", {}, "Result")];
  if (found.error) parts.push(block(found.error, "Error", "bad"));
  if (found.output) parts.push(block(found.output, "Output"));
  if (!found.error && !found.output) parts.push(el("p", { class: "muted" }, "No output."));
  if (told.suspended) parts.push(el("p", {}, "Its handler waits for another message."));
  if (found.messages.length) parts.push(sent(found.messages, told.sent, live));
  for (const one of found.assignments) {
    parts.push(el("p", {}, "Assigned ", quoted(one.message, { class: "mono" }), " to ",
      quoted(one.processes, { class: "mono" })));
  }
  return parts;
}

function sent(messages, total, live) {
  const rows = messages.map((one) =>
    el("tr", {},
      el("td", {}, recipient(one, live)),
      el("td", {}, quoted(one.action)),
      el("td", { class: "number" }, number(one.tags)),
      el("td", { class: "number" }, bytes(one.size)),
      el("td", { class: "output" }, quoted(one.data))));
  const heads = [["To", ""], ["Action", ""], ["Tags", "number"], ["Size", "number"], ["Data", ""]];
  const more = total > messages.length ? ` The first ${number(messages.length)} are shown.` : "";
  return el("div", {},
    el("p", {}, `It sent ${counted(total, "message")}.${more}`),
    table("Messages that it sent", heads, rows));
}

function recipient({ spawn, target }, live) {
  if (spawn) return "a new process";
  return target ? sender(target, live) : el("span", { class: "muted" }, "nobody");
}

function tags({ pairs, more }) {
  if (!pairs.length) return el("p", { class: "muted" }, "None.");
  const rows = pairs.map(([name, value]) =>
    el("tr", {}, el("th", { scope: "row" }, quoted(name)), el("td", {}, quoted(value))));
  return el("div", {},
    table("Tags", [["Name", ""], ["Value", ""]], rows, { class: "tags" }),
    more ? el("p", { class: "muted" }, `${number(more)} more are not shown.`) : null);
}

function data({ size, text, cut }, id) {
  const whole = isId(id)
    ? el("a", { href: `/raw/${id}`, target: "_blank", rel: "noopener noreferrer" }, "All of it as it is")
    : null;
  if (!size) return [el("p", { class: "muted" }, "None.")];
  if (text === null) return [el("p", {}, `${bytes(size)} that are no text. `, whole)];
  if (!cut) return [block(text, "Data")];
  return [block(text, "Data"), el("p", {}, `This is the beginning; it has ${bytes(size)}. `, whole)];
}

/** A text of several lines, which can be scrolled by keys. */
function block(text, label, kind = null) {
  return el("pre", { tabindex: 0, role: "region", "aria-label": label, class: kind }, quoted(text));
}
