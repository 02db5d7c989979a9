// What the node tells, and what it is asked. Everything is a read.

import { brief } from "./texts.js";

const BASE = "/~aoshell@1.0/page/";
const ASKED_MS = 60_000; // that an answer may take
const HIDDEN_MS = 5_000; // after which a hidden tab is told no more
const BACK_MS = 2_000; // after which a refused stream is asked for again

/** One part of the node as JSON. Raises Error with what the node said. */
export async function ask(part, parameters = {}) {
  let answer;
  try {
    answer = await fetch(address(part, parameters), {
      cache: "no-store",
      credentials: "omit",
      signal: AbortSignal.timeout(ASKED_MS),
    });
  } catch {
    throw new Lost("the node does not answer");
  }
  let value;
  try {
    value = await answer.json();
  } catch {
    throw new Error(`the node answered with status ${answer.status}, and nothing that can be read`);
  }
  if (!answer.ok) throw new Error(String(value?.error ?? `status ${answer.status}`));
  return value;
}

/** The node cannot be reached now; it may come back. */
export class Lost extends Error {}

function address(part, parameters) {
  const query = new URLSearchParams(parameters).toString();
  return BASE + part + (query ? `?${query}` : "");
}

/**
 * All processes as far as the node has told, and how far each is.
 *
 * Fires "state" (live, lost, paused, asleep), "processes" after each change, and "cut" where
 * messages were taken back. A hidden tab holds no connection: a browser has six for one server.
 */
export class Live extends EventTarget {
  constructor() {
    super();
    this.processes = new Map(); // by id, newest first
    this.total = 0;
    this.state = "starting";
    this.paused = false;
    this.cuts = null;
    this.last = "";
    this.source = null;
    this.timer = null;
    document.addEventListener("visibilitychange", () => this.turn());
    addEventListener("pagehide", () => this.stop("asleep"));
    addEventListener("pageshow", () => this.turn());
  }

  /** Listen or not, as is wanted now. */
  turn() {
    clearTimeout(this.timer);
    if (this.paused) this.stop("paused");
    else if (!document.hidden) this.start();
    else this.timer = setTimeout(() => this.stop("asleep"), HIDDEN_MS);
  }

  pause(on) {
    this.paused = on;
    this.turn();
  }

  start() {
    if (this.source !== null) return;
    const source = new EventSource(address("events", this.last ? { last: this.last } : {}));
    this.source = source;
    source.addEventListener("open", () => this.become("live"));
    source.addEventListener("processes", (event) => {
      this.last = event.lastEventId;
      this.take(JSON.parse(event.data));
    });
    source.addEventListener("error", () => {
      this.become("lost");
      if (source.readyState !== EventSource.CLOSED) return; // the browser comes back by itself
      this.source = null;
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.turn(), BACK_MS);
    });
  }

  stop(state) {
    this.source?.close();
    this.source = null;
    this.become(state);
  }

  become(state) {
    if (state === this.state) return;
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }

  take(told) {
    const cut = this.cuts !== null && this.cuts !== told.cuts;
    this.cuts = told.cuts;
    this.total = told.total;
    if (told.whole) this.processes = new Map(told.processes.map((one) => [one.id, one]));
    else this.merge(told);
    if (cut) this.dispatchEvent(new Event("cut"));
    this.dispatchEvent(new Event("processes"));
  }

  merge(told) {
    for (const id of told.gone) this.processes.delete(id);
    const made = told.processes.filter((one) => !this.processes.has(one.id));
    for (const one of told.processes) if (this.processes.has(one.id)) this.processes.set(one.id, one);
    if (made.length) {
      this.processes = new Map([...made.map((one) => [one.id, one]), ...this.processes]);
    }
  }

  /** The name of a process, or the beginning of its id. */
  name(id) {
    return this.processes.get(id)?.name || brief(id);
  }
}

/**
 * Calls for what changes, one call at a time and no more often than every `pace` ms; a change that
 * comes meanwhile is one more call. What a call has read is not shown where it is `stale`.
 */
export class Following {
  constructor(call, pace) {
    this.call = call;
    this.pace = pace;
    this.wanted = false;
    this.running = false;
    this.answered = false; // a call has ended
    this.ended = false;
    this.stale = false;
  }

  async ask() {
    this.wanted = true;
    if (this.running) return;
    this.running = true;
    while (this.wanted && !this.ended) {
      this.wanted = false;
      this.stale = false;
      await this.call();
      this.answered = true;
      await new Promise((done) => setTimeout(done, this.pace));
    }
    this.running = false;
  }

  /** What is shown stays as it is until somebody asks again; the first call goes on. */
  hold() {
    if (!this.answered) return;
    this.wanted = false;
    this.stale = true;
  }

  end() {
    this.ended = true;
    this.stale = true;
  }
}
