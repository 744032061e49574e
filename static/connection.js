// The live socket: opens it, notices when it is dead, and opens it again.

const FIRST_WAIT = 500;
const LONGEST_WAIT = 30_000;
const SETTLED = 60_000; // a socket that lived this long pays no price for earlier failures
const TICK = 1_000;
const LATE_MESSAGES = 1_000; // after sleep, what already arrived is handled before we judge
const GIVE_UP_OPENING = 15_000;
const SESSION_ENDED = 4401;

/**
 * `onMessage(message)` gets every presence message; `onState(state, nextTry)` one of
 * "connecting", "live", "waiting" (nextTry: milliseconds since 1970), "ended".
 */
export class Connection {
  #url;
  #heartbeat;
  #onMessage;
  #onState;
  #socket = null;
  #cursor = null;
  #failures = 0;
  #notBefore = 0; // the server asked us not to come back earlier
  #nextTry = null;
  #timer = null;
  #heardAt = 0;
  #openedAt = 0;
  #suspectSince = null;
  #state = null;

  constructor(url, { heartbeat, onMessage, onState }) {
    this.#url = url;
    this.#heartbeat = heartbeat * 1000;
    this.#onMessage = onMessage;
    this.#onState = onState;
    // Date, not a monotonic clock: those stand still while the machine sleeps.
    setInterval(() => this.#checkLine(), TICK);
    addEventListener("online", () => this.tryNow());
    addEventListener("pageshow", () => this.tryNow());
    addEventListener("pagehide", () => this.#drop());
    document.addEventListener("resume", () => this.tryNow());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.tryNow();
    });
    this.#open();
  }

  get live() {
    return this.#state === "live";
  }

  send(message) {
    if (this.live) this.#socket.send(JSON.stringify(message));
  }

  /** Stops waiting; also doubts a line that has been silent for too long. */
  tryNow() {
    if (this.#state === "ended") return;
    if (this.#socket) this.#checkLine();
    else if (Date.now() >= this.#notBefore) this.#open();
  }

  /** No more sockets: the session is over. */
  end() {
    this.#drop();
    this.#say("ended");
  }

  #open() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#suspectSince = null;
    this.#openedAt = this.#heardAt = Date.now();
    const query = this.#cursor === null ? "" : `?cursor=${encodeURIComponent(this.#cursor)}`;
    const socket = new WebSocket(this.#url + query, "presence.v1");
    let opened = false;
    socket.onopen = () => (opened = true);
    socket.onmessage = (event) => this.#hear(socket, JSON.parse(event.data));
    socket.onclose = (event) => {
      if (socket === this.#socket) this.#lose(event.code, opened);
    };
    this.#socket = socket;
    if (this.#state !== "waiting") this.#say("connecting");
  }

  #hear(socket, message) {
    if (socket !== this.#socket) return;
    this.#heardAt = Date.now();
    this.#suspectSince = null;
    if (message.type === "bye") return this.#takeLeave(message);
    if (typeof message.cursor === "string") this.#cursor = message.cursor;
    if (typeof message.heartbeat === "number") this.#heartbeat = message.heartbeat * 1000;
    this.#onMessage(message);
    this.#say("live");
  }

  #takeLeave({ reason, retry_after: retryAfter }) {
    if (reason === "session_ended") this.end();
    else if (typeof retryAfter === "number") this.#notBefore = Date.now() + retryAfter * 1000;
  }

  async #lose(code, opened) {
    this.#socket = null;
    if (code === SESSION_ENDED) return this.end();
    if (Date.now() - this.#openedAt > SETTLED) this.#failures = 0;
    this.#wait();
    // A browser does not tell why an upgrade failed; an ended session is one reason.
    if (!opened && (await this.#sessionEnded())) this.end();
  }

  #wait() {
    const spread = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.#failures);
    const delay = Math.max(Math.random() * spread, this.#notBefore - Date.now());
    this.#failures += 1;
    this.#nextTry = Date.now() + delay;
    this.#timer = setTimeout(() => this.#open(), delay);
    this.#say("waiting", this.#nextTry);
  }

  async #sessionEnded() {
    try {
      const answer = await fetch("/api/users?limit=1", { cache: "no-store" });
      return answer.status === 401;
    } catch {
      return false; // no network: the next try will ask again
    }
  }

  // The server says something at least once per heartbeat. Silence for longer than that means a
  // dead line or a machine that slept, and in both cases what we show may be old.
  #checkLine() {
    if (!this.#socket) return;
    const silence = Date.now() - this.#heardAt;
    const bound = this.live ? this.#heartbeat * 1.5 + 1000 : GIVE_UP_OPENING;
    if (silence < bound) return;
    if (this.#suspectSince === null) {
      this.#suspectSince = Date.now();
      this.#say("connecting");
      setTimeout(() => this.#checkLine(), LATE_MESSAGES);
    } else if (Date.now() - this.#suspectSince >= LATE_MESSAGES) {
      this.#drop();
      this.#open();
    }
  }

  #drop() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    if (this.#state !== "ended") this.#say("connecting");
  }

  #say(state, nextTry = null) {
    if (state === this.#state && nextTry === null) return;
    this.#state = state;
    this.#onState(state, nextTry);
  }
}
