// The platform as tests need it: a clock moved by hand, sockets and answers of a server played here.

import { mock } from "node:test";

import { Presence } from "../presence.js";

const turn = setImmediate;

/** Lets all that is due now happen. */
export async function settle() {
  for (let turns = 0; turns < 8; turns += 1) await new Promise((done) => turn(done));
}

export class World {
  static #kept = ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "WebSocket", "fetch"];
  sockets = [];
  requests = [];
  timers = new Map();
  listeners = 0;
  random = 1 - Number.EPSILON;
  /** What the server answers to fetch; by itself there is no network. */
  answer = () => Promise.reject(new TypeError("no network"));
  #now = 10_000;
  #clock = 1_800_000_000_000;
  #next = 1;
  #before = Object.fromEntries(World.#kept.map((name) => [name, globalThis[name]]));
  #rooms = [];

  constructor() {
    const world = this;
    mock.method(performance, "now", () => this.#now);
    mock.method(Date, "now", () => this.#clock);
    mock.method(Math, "random", () => this.random);
    this.warn = mock.method(console, "warn", () => {});
    const plan = (act, delay = 0, every = null) => {
      // Longer than that, and the platform does not wait at all.
      const wait = delay < 2 ** 31 ? delay : 1;
      this.timers.set(this.#next, { act, at: this.#now + wait, every });
      return this.#next++;
    };
    globalThis.setTimeout = plan;
    globalThis.setInterval = (act, every) => plan(act, every, every);
    globalThis.clearTimeout = globalThis.clearInterval = (timer) => this.timers.delete(timer);
    globalThis.fetch = async (url, options = {}) => {
      this.requests.push({ url: String(url), ...options });
      return this.answer(String(url), options);
    };
    globalThis.WebSocket = class extends FakeSocket {
      constructor(...given) {
        super(...given);
        world.sockets.push(this);
      }
    };
    this.page = new CountingTarget(this);
    globalThis.addEventListener = (...given) => this.page.addEventListener(...given);
    globalThis.document = Object.assign(new CountingTarget(this), { visibilityState: "visible" });
  }

  end() {
    for (const room of this.#rooms) room.close();
    mock.restoreAll();
    Object.assign(globalThis, this.#before);
    delete globalThis.addEventListener;
    delete globalThis.document;
  }

  /** A room whose events are gathered in `room.seen`. */
  async room({ getToken = async () => tokenOf(600), above = null, ...options } = {}) {
    const presence = new Presence("https://presence.example/base", { getToken });
    return this.#follow(Object.assign(presence.room("doc:42", options), { above }));
  }

  async list() {
    return this.#follow(new Presence("https://presence.example/base/").list());
  }

  async #follow(room) {
    this.#rooms.push(room);
    room.seen = [];
    room.addEventListener("change", (event) => room.seen.push(event));
    await settle();
    return room;
  }

  get socket() {
    return this.sockets.at(-1);
  }

  /** The newest socket opens, and says who is here. */
  async accept(message = {}) {
    this.socket.open();
    await this.says({ type: "snapshot", cursor: "c1", heartbeat: 20, ...message });
  }

  async says(message) {
    this.socket.onmessage({ data: JSON.stringify(message) });
    await settle();
  }

  async ends(code = 1006) {
    this.socket.end(code);
    await settle();
  }

  /** The page hears of something: offline, pagehide … */
  async happens(type, target = this.page) {
    target.dispatchEvent(new Event(type));
    await settle();
  }

  /** Time passes, for the machine's clock, too, unless that is set meanwhile. */
  async pass(seconds) {
    const until = this.#now + seconds * 1000;
    for (;;) {
      const due = [...this.timers].filter(([, { at }]) => at <= until);
      if (due.length === 0) break;
      const [id, timer] = due.reduce((one, other) => (other[1].at < one[1].at ? other : one));
      this.#move(Math.max(0, timer.at - this.#now));
      if (timer.every) timer.at += timer.every;
      else this.timers.delete(id);
      timer.act();
      await settle();
    }
    this.#move(until - this.#now);
    await settle();
  }

  /** The machine's clock is set, or ran on while it slept. */
  setClock(seconds) {
    this.#clock += seconds * 1000;
  }

  #move(milliseconds) {
    this.#now += milliseconds;
    this.#clock += milliseconds;
  }
}

class CountingTarget extends EventTarget {
  #world;

  constructor(world) {
    super();
    this.#world = world;
  }

  addEventListener(type, act, options) {
    super.addEventListener(type, act, options);
    this.#world.listeners += 1;
    options.signal.addEventListener("abort", () => (this.#world.listeners -= 1));
  }
}

class FakeSocket extends EventTarget {
  static CONNECTING = 0;
  static OPEN = 1;
  readyState = 0;
  sent = [];
  closed = false;

  constructor(url, protocols) {
    super();
    this.url = new URL(url);
    this.protocols = protocols;
  }

  open() {
    this.readyState = 1;
    this.dispatchEvent(new Event("open"));
  }

  end(code) {
    this.readyState = 3;
    this.onclose({ code });
  }

  send(text) {
    if (this.readyState !== 1) throw new Error("not open");
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.readyState = 2;
    this.closed = true;
  }
}

/** As a backend makes it, so far as a page looks into it. */
export function tokenOf(life, mark = "") {
  const body = Buffer.from(JSON.stringify({ iat: 1000, exp: 1000 + life, mark }));
  return `head.${body.toString("base64url")}.signature`;
}

export function problem(status, code, headers = {}) {
  return new Response(JSON.stringify({ status, code }), { status, headers });
}

/** A stream of events: [answer, says, ends]. */
export function stream() {
  let at;
  const body = new ReadableStream({ start: (controller) => (at = controller) });
  const says = async (text) => {
    at.enqueue(new TextEncoder().encode(text));
    await settle();
  };
  const ends = async () => {
    at.close();
    await settle();
  };
  return [new Response(body), says, ends];
}

export function event(message) {
  return `event: ${message.type}\ndata: ${JSON.stringify(message)}\n\n`;
}
