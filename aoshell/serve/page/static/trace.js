// What the root of a message caused, across processes, and when.

import { el, link, quoted, show, svg, table } from "./dom.js";
import { ask } from "./live.js";
import { brief, counted, milliseconds, number, outcome, outcomeClass } from "./texts.js";

const DEEPEST = 12; // levels that are indented
const SETTLED_MS = 10_000; // between two questions for a trace whose messages are all computed
const INDENT = 1.1; // em of a level

const HEADS = [
  ["Message", ""],
  ["Process", ""],
  ["Outcome", ""],
  ["After the first", "number"],
  ["After its cause", "number"],
  ["Compute", "number"],
  ["When", ""],
];

export class Trace {
  constructor(process, at, page) {
    this.process = process;
    this.at = at;
    this.page = page;
    this.shown = "";
    this.settledAt = 0; // when all hops had their results; then little can come
    this.element = el("section", { class: "card wide", "aria-label": "What it caused", hidden: true });
  }

  /** Raises Error. */
  async read(following) {
    if (Date.now() - this.settledAt < SETTLED_MS) return;
    const told = await ask("trace", { process: this.process, at: this.at });
    if (following.stale) return;
    const waits = told.hops.some((hop) => hop.outcome === null);
    this.settledAt = waits ? 0 : Date.now();
    const key = JSON.stringify(told);
    if (key === this.shown) return;
    this.shown = key;
    this.element.hidden = false;
    show(this.element, this.parts(told));
  }

  parts({ hops, more }) {
    const levels = [];
    for (const hop of hops) levels.push(hop.cause < 0 ? 0 : levels[hop.cause] + 1);
    const begin = hops[0].time;
    const ends = hops.map((hop) => (hop.time === undefined ? 0 : hop.time + (hop.ms ?? 0) - begin));
    const span = Math.max(1, ...ends);
    const rows = hops.map((hop, index) => this.row(hop, hops, levels[index], begin, span));
    const where = new Set(hops.map((hop) => hop.process)).size;
    const title = hops.length === 1
      ? "It caused no other message"
      : `${counted(hops.length, "message")} in ${where === 1 ? "one process" : `${number(where)} processes`}, `
        + milliseconds(span);
    return [
      el("div", { class: "title" },
        el("h2", {}, "Where it came from, and what came of it"),
        el("p", { class: "muted" }, title + (more ? "; later ones are left out" : ""))),
      table("Messages with the same beginning, causes first", HEADS, rows),
    ];
  }

  row(hop, hops, level, begin, span) {
    const name = this.page.live.name(hop.process);
    const here = hop.process === this.process && hop.at === this.at;
    const cause = hops[hop.cause];
    const label = hop.action ? quoted(hop.action) : "message";
    const row = el(
      "tr",
      { class: here ? "here" : null, "aria-current": here ? "true" : null },
      el("td", { class: "hop" },
        level ? el("span", { "aria-hidden": "true" }, "↳ ") : null,
        el("span", { class: "unseen" }, `level ${level + 1}: `),
        hop.at === undefined ? label : link(["p", hop.process, "m", hop.at], {}, label, ` ${hop.at}`)),
      el("td", { class: "where" }, hop.kept ? el("span", {}, "to ", quoted(brief(hop.target))) : quoted(name)),
      hop.kept
        ? el("td", { class: "bad" }, "not delivered: ", quoted(hop.kept))
        : el("td", { class: `short ${outcomeClass(hop.outcome)}` }, outcome(hop.outcome)),
      el("td", { class: "number" }, after(hop.time, begin)),
      el("td", { class: "number" }, cause ? after(hop.time, cause.time) : ""),
      el("td", { class: "number" }, hop.ms === undefined ? "" : milliseconds(hop.ms)),
      el("td", { class: "bar" }, hop.time === undefined ? null : bar(hop, begin, span)),
    );
    row.cells[0].style.paddingLeft = `${0.75 + INDENT * Math.min(level, DEEPEST)}em`;
    return row;
  }
}

const after = (time, since) => (time === undefined ? "" : `+${number(time - since)} ms`);

function bar(hop, begin, span) {
  const from = (100 * (hop.time - begin)) / span;
  const width = Math.max(0.8, (100 * (hop.ms ?? 0)) / span);
  const x = Math.min(from, 100 - width);
  return svg("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { class: "waited", x: 0, y: 4.5, width: 100, height: 1 }),
    svg("rect", { class: "computed", x, y: 1, width: Math.min(width, 100), height: 8 }));
}
