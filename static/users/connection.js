// The live socket: opens it, notices when it is dead, and opens it again.

import { elapsed } from "./elapsed.js";
import { site } from "./site.js";

const FIRST_WAIT = 500;
const LONGEST_WAIT = 30_000;
const SETTLED = 60_000; // a socket that lived this long pays no price for earlier failures
const TICK = 1_000;
const LATE_MESSAGES = 1_000; // after sleep, what has arrived already is handled before we judge
const LONGEST_OPENING = 15_000;
const SESSION_ENDED = 4401;
const SOCKET = new URL("users/", site).href.replace(/^http/, "ws");

/**
 * `status()` is how its user is when a socket opens; `onMessage(message)` gets what the server says; `onState(state, nextTry)` one of "connecting",
 * "live", "waiting" or "refused" (nextTry: as `elapsed` counts) and, when the session is over,
 * "ended".
 */
export class Connection {
  #heartbeat = 0; // the first message says it
  #status;
  #onMessage;
  #onState;
  #state = null;
  #socket = null;
  #cursor = null;
  #failures = 0;
  #refused = false; // the site answers, and opens no socket
  #nextTry = null;
  #notBefore = 0; // the server asked us not to come back earlier
  #timer = null;
  #openedAt = 0;
  #heardAt = 0;
  #suspectSince = null;

  constructor({ status, onMessage, onState }) {
    this.#status = status;
    this.#onMessage = onMessage;
    this.#onState = onState;
    setInterval(() => this.#checkLine(), TICK);
    addEventListener("online", () => this.tryNow());
    addEventListener("offline", () => this.#probe());
    // Nobody sees a frozen page, and it would stay for ever.
    document.addEventListener("freeze", () => this.#drop());
    addEventListener("pagehide", () => this.#drop());
    addEventListener("pageshow", () => this.#comeBack());
    document.addEventListener("resume", () => this.tryNow());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.tryNow();
    });
    this.#open();
  }

  send(message) {
    if (this.#state === "live") this.#socket.send(JSON.stringify(message));
  }

  /** Waits no longer; an open line that has been silent for too long is doubted. */
  tryNow() {
    if (this.#state === "ended") return;
    if (this.#socket) this.#checkLine();
    else if (elapsed() >= this.#notBefore) this.#open();
  }

  /** No more sockets, and not a word about it. */
  stop() {
    this.#drop();
    this.#state = "ended";
  }

  // Out of the back-forward cache, perhaps of a session that has ended meanwhile.
  #comeBack() {
    if (this.#state === "ended") this.#onState("ended", null);
    else this.tryNow();
  }

  // The browser takes the network for lost. It may be wrong: a server can be on this machine.
  async #probe() {
    const socket = this.#socket;
    if (socket === null || (await statusOfSite()) !== null || socket !== this.#socket) return;
    this.#drop();
    this.#wait();
  }

  #open() {
    clearTimeout(this.#timer);
    this.#nextTry = this.#suspectSince = null;
    this.#openedAt = this.#heardAt = elapsed();
    const socket = new WebSocket(`${SOCKET}?${this.#query()}`, "presence.v1");
    let opened = false;
    socket.onopen = () => (opened = true);
    socket.onmessage = (event) => {
      if (socket === this.#socket) this.#hear(JSON.parse(event.data));
    };
    socket.onclose = (event) => {
      if (socket === this.#socket) this.#lose(event.code, opened);
    };
    this.#socket = socket;
    this.#say("connecting");
  }

  // So that somebody who is away and comes back is not shown online in between.
  #query() {
    const query = new URLSearchParams();
    if (this.#cursor !== null) query.set("cursor", this.#cursor);
    const status = this.#status();
    if (status !== "online") query.set("status", status);
    return query;
  }

  #hear(message) {
    this.#heardAt = elapsed();
    this.#suspectSince = null;
    if (message.type === "bye") {
      this.#takeLeave(message);
      return;
    }
    if (typeof message.cursor === "string") this.#cursor = message.cursor;
    if (typeof message.heartbeat === "number") this.#heartbeat = message.heartbeat * 1000;
    this.#say("live");
    this.#onMessage(message);
  }

  #takeLeave({ reason, retry_after: retryAfter }) {
    if (reason === "session_ended") this.#end();
    else if (typeof retryAfter === "number") this.#notBefore = elapsed() + retryAfter * 1000;
  }

  async #lose(code, opened) {
    this.#socket = null;
    if (code === SESSION_ENDED) {
      this.#end();
      return;
    }
    if (opened) this.#refused = false;
    if (opened && elapsed() - this.#openedAt > SETTLED) this.#failures = 0;
    this.#wait();
    if (!opened) this.#learn(await statusOfSite());
  }

  // A browser does not tell why an upgrade failed.
  #learn(status) {
    this.#refused = status === 200;
    if (status === 401) this.#end();
    else if (this.#nextTry !== null) this.#sayWaiting();
  }

  #wait() {
    const spread = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.#failures);
    const delay = Math.max(Math.random() * spread, this.#notBefore - elapsed());
    this.#failures += 1;
    this.#timer = setTimeout(() => this.#open(), delay);
    this.#nextTry = elapsed() + delay;
    this.#sayWaiting();
  }

  #sayWaiting() {
    this.#say(this.#refused ? "refused" : "waiting");
  }

  // The server says something at least once per heartbeat. Silence for longer than that means a
  // dead line or a machine that slept, and in both cases what we show may be old.
  #checkLine() {
    const now = elapsed();
    if (!this.#socket) {
      // The timer of the next try slept, too.
      if (this.#nextTry !== null && now >= this.#nextTry) this.#open();
      return;
    }
    const bound = this.#state === "live" ? this.#heartbeat * 1.5 + TICK : LONGEST_OPENING;
    if (this.#suspectSince !== null) {
      if (now - this.#suspectSince < LATE_MESSAGES) return;
      this.#drop();
      this.#open();
    } else if (now - this.#heardAt > bound) {
      this.#suspectSince = now;
      this.#say("connecting");
      setTimeout(() => this.#checkLine(), LATE_MESSAGES);
    }
  }

  #end() {
    this.stop();
    this.#onState("ended", null);
  }

  #drop() {
    clearTimeout(this.#timer);
    this.#nextTry = null;
    const socket = this.#socket;
    this.#socket = null;
    // Closing one that is not open yet is an error to the browser.
    if (socket?.readyState === WebSocket.CONNECTING) socket.onopen = () => socket.close();
    else socket?.close();
    if (this.#state !== "ended") this.#say("connecting");
  }

  #say(state) {
    if (state === this.#state) return;
    this.#state = state;
    this.#onState(state, this.#nextTry);
  }
}

/** Null when there is no network. */
async function statusOfSite() {
  try {
    return (await fetch(new URL("api/users?limit=1", site), { cache: "no-store" })).status;
  } catch {
    return null;
  }
}
