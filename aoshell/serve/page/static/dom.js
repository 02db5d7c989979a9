// Elements and text nodes. No other file makes any, so nothing that others wrote becomes markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element. Children are elements and texts; null is left out. */
export function el(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** An element of SVG. */
export function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** What others wrote, so that its direction does not reach what stands beside it. */
export function quoted(text, attributes = {}) {
  return el("bdi", attributes, String(text));
}

/** A link within the page; its parts are encoded, so they lead nowhere else. */
export function link(parts, attributes, ...children) {
  return el("a", { ...attributes, href: route(parts) }, ...children);
}

export function route(parts) {
  return "#/" + parts.map(encodeURIComponent).join("/");
}

/** A button that calls. */
export function button(text, call, attributes = {}) {
  const made = el("button", { type: "button", ...attributes }, text);
  made.addEventListener("click", call);
  return made;
}

/** Names and values of facts. Those without a value are left out. */
export function facts(pairs) {
  return el(
    "dl",
    { class: "facts" },
    pairs
      .filter(([, value]) => value !== "" && value !== null && value !== undefined)
      .map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))),
  );
}

/** A table of rows of cells, with a caption for who does not see it. */
export function table(caption, heads, rows, attributes = {}) {
  return el(
    "table",
    attributes,
    el("caption", { class: "unseen" }, caption),
    el("thead", {}, el("tr", {}, heads.map(([text, kind]) =>
      el("th", { scope: "col", class: kind }, text)))),
    el("tbody", {}, rows),
  );
}

/** Show other children in place of those that are there. A link that has the focus keeps it. */
export function show(element, ...children) {
  const focused = element.contains(document.activeElement)
    ? document.activeElement.getAttribute("href")
    : null;
  element.replaceChildren(...children.flat().filter((child) => child !== null));
  if (focused === null) return;
  const again = [...element.querySelectorAll("a")].find((a) => a.getAttribute("href") === focused);
  again?.focus({ preventScroll: true });
}
