// Memory, gas and compute time over slots.

import { el, show, svg, table } from "./dom.js";
import { ask, Following } from "./live.js";
import { bytes, milliseconds, number } from "./texts.js";

const PACE_MS = 2_000; // between two questions
const [FIRST, LAST, MS, MEMORY, GAS, FAILED] = [0, 1, 2, 3, 4, 5]; // of a part
const WIDTH = 1000;
const HEIGHT = 200;

export class Use {
  constructor(process) {
    this.process = process;
    this.shown = "";
    this.element = el("div", { class: "stack" }, el("p", { class: "muted" }, "Reading…"));
    this.following = new Following(() => this.read(), PACE_MS);
    this.following.ask();
  }

  change() {
    this.following.ask();
  }

  cut() {
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
      const told = await ask("use", { process: this.process });
      const key = JSON.stringify(told);
      if (key === this.shown || this.following.stale) return;
      this.shown = key;
      show(this.element, parts(told));
    } catch (error) {
      if (this.following.stale) return;
      this.shown = "";
      show(this.element, el("p", { class: "bad" }, `This cannot be shown: ${error.message}.`));
    }
  }
}

function parts({ parts: found, slots }) {
  if (!found.length) return [el("p", { class: "muted" }, "Nothing is computed yet.")];
  const first = found[0][FIRST];
  const failed = found.reduce((sum, part) => sum + part[FAILED], 0);
  const said = [
    first > 0 ? `The last ${number(slots)} slots.` : "All slots.",
    found.some((part) => part[LAST] > part[FIRST])
      ? "A point is the most among some slots that follow each other."
      : "",
    failed ? `${number(failed)} failed: red marks below.` : "",
  ];
  const counts = found.some((part) => part[GAS] > 0);
  return [
    el("p", { class: "muted" }, said.filter(Boolean).join(" ")),
    plot("Memory behind each message", found, MEMORY, bytes),
    counts
      ? plot("Gas", found, GAS, number)
      : el("section", { class: "card" }, el("h2", {}, "Gas"),
          el("p", { class: "muted" }, "None was counted: Lua processes count no gas.")),
    plot("Compute time", found, MS, milliseconds),
    asTable(found, counts),
  ];
}

function plot(title, found, column, written) {
  const most = Math.max(...found.map((part) => part[column]));
  const begin = found[0];
  const end = found[found.length - 1];
  const at = found.reduce((best, part) => (part[column] > best[column] ? part : best));
  const told = `${title}: ${written(begin[column])} at slot ${begin[FIRST]}, `
    + `${written(end[column])} at slot ${end[LAST]}; the most is ${written(most)}, at slot ${slots(at)}.`;
  return el("section", { class: "card" },
    el("h2", {}, title),
    el("p", { class: "muted" }, `${written(end[column])} now, ${written(most)} at most (slot ${slots(at)})`),
    el("div", { class: "plot" },
      el("div", { class: "scale", "aria-hidden": "true" },
        el("span", {}, written(most)), el("span", {}, "0")),
      drawing(told, found, column, most || 1),
      el("div", { class: "slots", "aria-hidden": "true" },
        el("span", {}, `slot ${number(begin[FIRST])}`), el("span", {}, number(end[LAST])))));
}

const slots = (part) =>
  (part[FIRST] === part[LAST] ? number(part[FIRST]) : `${number(part[FIRST])} to ${number(part[LAST])}`);

function drawing(told, found, column, most) {
  const first = found[0][FIRST];
  const span = Math.max(1, found[found.length - 1][LAST] - first);
  const x = (part) => ((WIDTH * ((part[FIRST] + part[LAST]) / 2 - first)) / span).toFixed(1);
  const y = (part) => (HEIGHT - (0.94 * HEIGHT * part[column]) / most).toFixed(1);
  const line = found.length === 1
    ? `0,${y(found[0])} ${WIDTH},${y(found[0])}`
    : found.map((part) => `${x(part)},${y(part)}`).join(" ");
  const ends = line.split(" ");
  const left = ends[0].split(",")[0];
  const right = ends[ends.length - 1].split(",")[0];
  const marks = found.filter((part) => part[FAILED])
    .map((part) => `M${x(part)} ${HEIGHT}V${HEIGHT - 14}`).join("");
  return svg("svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": told },
    svg("polygon", { class: "area", points: `${left},${HEIGHT} ${line} ${right},${HEIGHT}` }),
    svg("polyline", { class: "curve", points: line }),
    marks ? svg("path", { class: "failed", d: marks }) : null);
}

/** The same as numbers; made when it is opened. */
function asTable(found, counts) {
  const element = el("details", { class: "card" }, el("summary", {}, "As a table"));
  element.addEventListener("toggle", () => {
    if (!element.open || element.querySelector("table")) return;
    const heads = [["Slots", ""], ["Memory", "number"], ["Gas", "number"], ["Compute", "number"],
      ["Failed", "number"]];
    const rows = found.map((part) => el("tr", {},
      el("th", { scope: "row" }, slots(part)),
      el("td", { class: "number" }, bytes(part[MEMORY])),
      el("td", { class: "number" }, counts ? number(part[GAS]) : ""),
      el("td", { class: "number" }, milliseconds(part[MS])),
      el("td", { class: "number" }, number(part[FAILED]))));
    element.append(table("Use by slots", heads, rows));
  });
  return element;
}
