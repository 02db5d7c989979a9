// Numbers, times and ids as people read them.

const NUMBER = new Intl.NumberFormat("en");
const SHORT = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const UNITS = ["bytes", "KB", "MB", "GB", "TB"];

export const number = (value) => NUMBER.format(value);

export function bytes(value) {
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${SHORT.format(value)} ${UNITS[unit]}`;
}

export function milliseconds(value) {
  if (value >= 10_000) return `${SHORT.format(value / 1000)} s`;
  return `${value >= 100 ? NUMBER.format(Math.round(value)) : SHORT.format(value)} ms`;
}

const two = (value, digits = 2) => String(value).padStart(digits, "0");

/** The time of a day: hours to milliseconds. */
export function clock(time) {
  const at = new Date(time);
  if (Number.isNaN(at.getTime())) return String(time);
  const seconds = `${two(at.getSeconds())}.${two(at.getMilliseconds(), 3)}`;
  return `${two(at.getHours())}:${two(at.getMinutes())}:${seconds}`;
}

/** Day and time. */
export function moment(time) {
  const at = new Date(time);
  if (Number.isNaN(at.getTime())) return String(time);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock(time)}`;
}

export const iso = (time) => {
  const at = new Date(time);
  return Number.isNaN(at.getTime()) ? null : at.toISOString();
};

export const isId = (text) => /^[\w-]{43}$/.test(text);

/** The beginning of an id; other texts as they are. */
export const brief = (text) => (isId(text) ? `${text.slice(0, 8)}…` : text);

/** "1 message", "2 messages" */
export const counted = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;

const OUTCOMES = {
  ok: "ok",
  error: "error",
  time: "out of time",
  memory: "out of memory",
  gas: "out of gas",
  crash: "crashed",
};

export const outcome = (name) => (name === null ? "waiting" : OUTCOMES[name] ?? name);
export const outcomeClass = (name) => (name === null ? "wait" : name === "ok" ? "muted" : "bad");
