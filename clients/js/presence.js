// Who is here, live: rooms of a presence_server, and elements that show them.
// One ES module without dependencies; runs as it stands in pages, in workers and in Node.

const FIRST_WAIT = 500;
const LONGEST_WAIT = 30_000;
const FORGIVEN_AFTER = 60_000; // a line that lived so long pays no price for earlier failures
const LONGEST_OPENING = 15_000;
const FAILED_OPENS = 2; // then the next transport is tried
const LOOK_EVERY = 1_000;
const LATE_MESSAGES = 1_000; // after sleep, what has arrived already is handled before we judge
const CLOCKS_APART = 5_000; // the machine slept, or somebody set its clock
const RENEW_AT = 0.8; // of a token's life
const HEARTBEAT = 20_000; // until the server has said its own
const LONGEST_TIMER = 2 ** 31 - 1;
const MOST_WATCHED = 500;

/** Thrown by `getToken` when there is no token any more: the room ends and does not try again. */
export class TokenError extends Error {
  name = "TokenError";
}

/** The people of a room changed, or what is known of them: Maps from id to person. */
export class PresenceChange extends Event {
  constructor(added, updated, removed) {
    super("change");
    this.added = added;
    this.updated = updated;
    this.removed = removed;
  }
}

/** The rooms of one server, for one user. */
export class Presence {
  #url;
  #options;

  /**
   * `url`: where the server is, with its path when it has one. `getToken({room, reason, signal})`
   * gives a promise of a token for that room; it is called anew when one is over or was refused.
   */
  constructor(url, options = {}) {
    this.#url = String(url).replace(/\/+$/, "");
    this.#options = options;
  }

  /** A line of its own to the room. `status` is how it begins, `watch` whom to be told of. */
  room(name, options = {}) {
    const address = new URL(`${this.#url}/api/v1/rooms/${encodeURIComponent(name)}`, here());
    const getToken = this.#options.getToken;
    if (typeof getToken !== "function") throw new TypeError("getToken is missing");
    return new Room(address, name, { ...this.#options, ...options });
  }

  /** The server's own accounts, for pages of the server itself: by cookie instead of a token. */
  list(options = {}) {
    const address = new URL(`${this.#url}/users/`, here());
    return new Room(address, "", { ...this.#options, ...options, getToken: null });
  }
}

function here() {
  return globalThis.location?.href;
}

/**
 * Who is in one room.
 *
 * `state` is "connecting", "live", "waiting" (the line is lost, `nextTry` says when it is tried
 * again), "refused" (the server answers but lets nobody in now), "ended" (for good: no token, no
 * permission, logged out) or "closed" (by `close()`). What is known stays known in all of them;
 * `stale` says that it may not be true now. Events: "change" (a PresenceChange) and "state".
 */
export class Room extends EventTarget {
  #line;
  #roster = new Roster();
  #changes = new Changes();
  #degraded = false;
  #counts = null;
  #watched;
  #said = {};
  #queued = false;

  constructor(address, name, options) {
    super();
    this.name = name;
    this.#watched = options.watch === undefined ? null : watchable(options.watch);
    this.#said.status = options.status;
    this.#line = new Line(address, {
      ...options,
      room: name,
      query: () => this.#query(),
      onMessage: (message) => this.#receive(message),
      onState: () => this.#stateChanged(),
    });
    this.#line.open();
  }

  /** Map from id to {status, since, name?, info?, data?, text?, until?}; only to be read. */
  get people() {
    return this.#roster.people;
  }

  /** How many are here; also those whom one does not watch. */
  get count() {
    if (this.#counts === null) return this.people.size;
    return this.#counts.online + this.#counts.busy + this.#counts.away;
  }

  get state() {
    return this.#line.state;
  }

  /** Why it is in that state, in the server's word, or null. */
  get reason() {
    return this.#line.reason;
  }

  /** Milliseconds until the next try; null when none is due. */
  get nextTry() {
    return this.#line.nextTry;
  }

  /** The server cannot hear its other nodes: their people are shown as last known. */
  get degraded() {
    return this.#degraded;
  }

  /** Whether what is shown was true once and may not be now. */
  get stale() {
    return this.state !== "live" && this.#roster.known;
  }

  /** Whether this person is shown as last known only. */
  isLastKnown(id) {
    return this.stale || this.#roster.isLastKnown(id);
  }

  /**
   * How this line is: "online", "busy" or "away". With `{scope: "user", text, until}` it is a choice
   * for all of the user's lines, and "invisible" where the token allows it.
   */
  setStatus(status, words = {}) {
    if (words.scope !== "user") this.#said.status = status;
    this.#line.say({ ...words, type: "status", status });
  }

  /** Up to 512 bytes of JSON beside the user in this room; `{}` empties it. */
  setData(data) {
    this.#said.data = data;
    this.#line.say({ type: "data", data });
  }

  /** Be told of these users only (500 at most), or of everybody (`null`). */
  watch(users) {
    const watched = watchable(users);
    if (sameSet(watched, this.#watched)) return;
    this.#watched = watched;
    this.#line.forgetCursor();
    if (this.#line.speaks) this.#line.say({ type: "watch", users: watched && [...watched] });
    else this.#line.reopen();
  }

  /** Tries at once instead of waiting; an open line is looked at. */
  tryNow() {
    this.#line.tryNow();
  }

  /** Gone from this room at once, without the grace that a lost line has. */
  leave() {
    this.#line.say({ type: "leave" });
    this.close();
  }

  /** Closes the line and undoes every timer and listener; twice is no error. */
  close() {
    this.#line.close();
  }

  #query() {
    const query = {};
    if (this.#said.status && this.#said.status !== "online") query.status = this.#said.status;
    if (this.#watched !== null) query.watch = "some";
    return query;
  }

  #receive(message) {
    const { type } = message;
    if (type === "snapshot" || type === "changes") this.#roster.apply(message, this.#changes);
    else if (type === "degraded") this.#setDegraded(message.value === true);
    else if (type === "own") this.#roster.confirm(message.usernames);
    else if (type === "count") this.#counts = message;
    else return;
    this.#announce();
  }

  #setDegraded(value) {
    this.#degraded = this.#roster.degraded = value;
  }

  #stateChanged() {
    if (this.state === "live") this.#greet();
    this.dispatchEvent(new Event("state"));
    this.#announce();
  }

  // A new line knows neither what the former was told nor that other nodes were silent.
  #greet() {
    this.#setDegraded(false);
    if (this.#watched === null) this.#counts = null;
    else if (this.#line.speaks) this.#line.say({ type: "watch", users: [...this.#watched] });
    if (this.#said.data !== undefined) this.#line.say({ type: "data", data: this.#said.data });
  }

  // Several messages of one turn are one event.
  #announce() {
    if (this.#queued) return;
    this.#queued = true;
    queueMicrotask(() => {
      this.#queued = false;
      const { added, updated, removed } = this.#changes;
      this.#changes = new Changes();
      this.dispatchEvent(new PresenceChange(added, updated, removed));
    });
  }
}

function watchable(users) {
  if (users === null) return null;
  const watched = new Set(users);
  if (watched.size > MOST_WATCHED) throw new RangeError(`at most ${MOST_WATCHED} can be watched`);
  return watched;
}

function sameSet(one, other) {
  if (one === null || other === null) return one === other;
  return one.size === other.size && [...one].every((id) => other.has(id));
}

// What changed since the last event. Who came and went in between was never there.
class Changes {
  added = new Map();
  updated = new Map();
  removed = new Map();

  put(id, person, before) {
    if (before !== undefined && !this.added.has(id)) this.updated.set(id, person);
    else if (this.removed.delete(id)) this.updated.set(id, person);
    else this.added.set(id, person);
  }

  remove(id, person) {
    this.updated.delete(id);
    if (!this.added.delete(id)) this.removed.set(id, person);
  }
}

const HERE = ["online", "busy", "away"];
const GONE = ["offline", "deleted"];

// Who is here, as the server said it. Nothing else may answer that question.
class Roster {
  people = new Map();
  known = false;
  #degraded = false;
  #confirmed = new Set(); // known to be true although other nodes are silent

  set degraded(value) {
    if (value !== this.#degraded) this.#confirmed.clear();
    this.#degraded = value;
  }

  confirm(ids) {
    for (const id of ids) this.#confirmed.add(id);
  }

  isLastKnown(id) {
    return this.#degraded && this.people.has(id) && !this.#confirmed.has(id);
  }

  /** Takes in a snapshot or changes, and notes in `changes` what they change. */
  apply(message, changes) {
    this.known = true;
    const about = new Map(Object.entries(message.about ?? {}));
    if (message.type === "snapshot") this.#forgetAllBut(message, changes);
    for (const status of HERE) {
      for (const [id, since] of Object.entries(message[status] ?? {})) {
        this.#put(id, { ...this.#aboutOf(id, about, message), status, since }, changes);
        about.delete(id);
      }
    }
    for (const status of GONE) {
      for (const [id, since] of Object.entries(message[status] ?? {})) {
        this.#remove(id, { ...about.get(id), status, since }, changes);
      }
    }
    for (const [id, words] of about) this.#describe(id, words, changes);
  }

  // What stands beside a status replaces the former; a snapshot says all of it.
  #aboutOf(id, about, { type }) {
    if (about.has(id)) return about.get(id);
    return type === "snapshot" ? {} : this.people.get(id);
  }

  #put(id, person, changes) {
    this.#confirmed.add(id);
    const before = this.people.get(id);
    if (before !== undefined && isSame(before, person)) return;
    this.people.set(id, person);
    changes.put(id, person, before);
  }

  #describe(id, words, changes) {
    const before = this.people.get(id);
    if (before) this.#put(id, { ...words, status: before.status, since: before.since }, changes);
  }

  #remove(id, person, changes) {
    const before = this.people.get(id);
    if (before === undefined) {
      // Somebody who was not here: when that was, or that there is no such account any more.
      changes.removed.set(id, person);
      return;
    }
    this.people.delete(id);
    changes.remove(id, { ...before, ...person });
  }

  // Whoever a snapshot does not name has left; when, it does not say.
  #forgetAllBut(message, changes) {
    const named = new Set(HERE.flatMap((status) => Object.keys(message[status] ?? {})));
    for (const [id, before] of this.people) {
      if (!named.has(id)) this.#remove(id, { ...before, status: "offline", since: null }, changes);
    }
  }
}

const FIELDS = ["status", "since", "name", "info", "data", "text", "until"];

function isSame(one, other) {
  return FIELDS.every((field) => JSON.stringify(one[field]) === JSON.stringify(other[field]));
}

const FINAL = new Set(["ended", "closed"]);
// Nothing that a page could do by itself helps against these.
const ENDING = new Set(["session_ended", "revoked", "not_allowed"]);
const TOKEN_OVER = new Set(["token_expired", "token_invalid"]);

// One line to one address, by whichever transport works: opened, watched and opened again.
// No wait is measured by the wall clock, which people and time servers set.
class Line {
  state = "closed";
  reason = null;
  #address;
  #options;
  #token;
  #wire = null;
  #cursor = null;
  #heartbeat;
  #failures = 0;
  #failedOpens = 0;
  #lived = false;
  #transport = 0;
  #openedAt = 0;
  #heardAt = 0;
  #suspectSince = null;
  #dueAt = null;
  #notBefore = 0;
  #apart = clocksApart();
  #timer = null;
  #ender = null;

  constructor(address, options) {
    this.#address = address;
    this.#options = { random: Math.random, transports: TRANSPORTS, ...options };
    this.#heartbeat = (options.heartbeat ?? HEARTBEAT / 1000) * 1000;
    this.#token = options.getToken ? new Token(options, (error) => this.#renewed(error)) : null;
  }

  get nextTry() {
    return this.#dueAt === null ? null : Math.max(0, this.#dueAt - now());
  }

  /** Whether the line takes messages as well as giving them; else they are posted. */
  get speaks() {
    return this.#wire?.speaks ?? true;
  }

  open() {
    this.#ender = new AbortController();
    this.#listen(this.#ender.signal);
    const every = setInterval(() => this.#look(), LOOK_EVERY);
    every.unref?.();
    this.#ender.signal.addEventListener("abort", () => clearInterval(every));
    this.#try();
  }

  say(message) {
    if (this.state !== "live") return;
    if (this.#wire.speaks) this.#wire.send(message);
    else if (message.type !== "watch") this.#post(message);
  }

  forgetCursor() {
    this.#cursor = null;
  }

  reopen() {
    if (FINAL.has(this.state)) return;
    this.#drop();
    this.#try();
  }

  tryNow() {
    if (FINAL.has(this.state)) return;
    if (this.#wire) this.#look();
    else if (this.#dueAt !== null && now() >= this.#notBefore) this.#try();
  }

  close() {
    this.#finish("closed", null);
  }

  #listen(signal) {
    const options = { signal };
    const target = globalThis.addEventListener ? globalThis : null;
    target?.addEventListener("online", () => this.tryNow(), options);
    target?.addEventListener("offline", () => this.#doubt(), options);
    target?.addEventListener("pagehide", () => this.#hide(), options);
    target?.addEventListener("pageshow", () => this.tryNow(), options);
    globalThis.document?.addEventListener("freeze", () => this.#hide(), options);
    globalThis.document?.addEventListener("resume", () => this.tryNow(), options);
    globalThis.document?.addEventListener(
      "visibilitychange",
      () => document.visibilityState === "visible" && this.tryNow(),
      options,
    );
  }

  async #try() {
    clearTimeout(this.#timer);
    this.#dueAt = this.#suspectSince = null;
    this.#say("connecting", this.reason);
    // Stands for the line while it waits for its token.
    const attempt = (this.#wire = { speaks: false, close() {} });
    let token = null;
    try {
      token = this.#token && (await this.#token.get(this.#ender.signal));
    } catch (error) {
      if (attempt === this.#wire) this.#noToken(error);
      return;
    }
    if (attempt === this.#wire) this.#connect(token);
  }

  #noToken(error) {
    this.#wire = null;
    if (error instanceof TokenError) this.#finish("ended", "no_token");
    else this.#wait("waiting", "no_token");
  }

  #connect(token) {
    const transports = this.#options.transports;
    this.#openedAt = this.#heardAt = now();
    this.#lived = false;
    const Transport = transports[this.#token ? this.#transport % transports.length : 0];
    const wire = new Transport(this.#target(), token, {
      onMessage: (message) => wire === this.#wire && this.#hear(message),
      onQuiet: () => wire === this.#wire && (this.#heardAt = now()),
      onClose: (ending) => wire === this.#wire && this.#lose(ending),
    });
    this.#wire = wire;
  }

  #target() {
    const target = new URL(this.#address);
    const query = this.#options.query();
    if (this.#cursor !== null) query.cursor = this.#cursor;
    for (const [name, value] of Object.entries(query)) target.searchParams.set(name, value);
    return target;
  }

  #hear(message) {
    this.#heardAt = now();
    this.#suspectSince = null;
    if (typeof message.cursor === "string") this.#cursor = message.cursor;
    if (typeof message.heartbeat === "number") this.#heartbeat = message.heartbeat * 1000;
    if (message.type === "bye") {
      this.reason = message.reason ?? null;
      if (typeof message.retry_after === "number") this.#holdOff(message.retry_after);
      return;
    }
    this.#lived = true;
    this.#failedOpens = 0;
    if (message.type === "expiring") this.#token?.renew();
    if (this.state !== "live") this.#say("live", null);
    this.#options.onMessage(message);
  }

  #holdOff(seconds) {
    this.#notBefore = now() + seconds * 1000;
  }

  // `ending`: {code, status, reason, retryAfter}, as much of it as the transport knows.
  #lose({ code, status, reason = this.reason, retryAfter }) {
    this.#wire = null;
    if (retryAfter) this.#holdOff(retryAfter);
    if (code === 4401 && reason === null) reason = this.#token ? "token_invalid" : "session_ended";
    if (ENDING.has(reason) || status === 403 || code === 4403) {
      this.#finish("ended", reason ?? "not_allowed");
      return;
    }
    const refused = TOKEN_OVER.has(reason) || status === 401;
    if (refused) this.#token?.refuse(reason ?? "token_invalid");
    if (refused && this.#lived && this.#token) this.#try();
    else this.#wait(this.#stateAfter(code, status), reason);
    if (!this.#lived && !refused && code !== 4409) this.#learn();
  }

  #stateAfter(code, status) {
    if (this.#lived && now() - this.#openedAt > FORGIVEN_AFTER) this.#failures = 0;
    return code === 4409 || status !== undefined ? "refused" : "waiting";
  }

  // A line that never came to life: perhaps something between here and there lets none through.
  #learn() {
    this.#failedOpens += 1;
    if (this.#failedOpens >= FAILED_OPENS) {
      this.#failedOpens = 0;
      this.#transport += 1;
    }
    this.#options.onFailedOpen?.();
  }

  #wait(state, reason) {
    const spread = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** Math.min(this.#failures, 16));
    const delay = Math.max(this.#options.random() * spread, this.#notBefore - now());
    this.#failures += 1;
    this.#dueAt = now() + delay;
    this.#timer = setTimeout(() => this.#try(), delay);
    this.#say(state, reason);
  }

  // The server says something at least once per heartbeat. Silence for longer means a dead line.
  #look() {
    if (this.#slept()) this.#doubt();
    if (this.#wire === null) {
      // The timer of the next try slept, too.
      if (this.#dueAt !== null && now() >= this.#dueAt) this.#try();
      return;
    }
    const bound = this.#lived ? this.#heartbeat * 1.5 + LOOK_EVERY : LONGEST_OPENING;
    if (this.#suspectSince === null && now() - this.#heardAt > bound) this.#doubt();
    else if (this.#suspectSince !== null && now() - this.#suspectSince >= LATE_MESSAGES) {
      this.#giveUp();
    }
  }

  #giveUp() {
    const lived = this.#lived;
    this.#drop();
    if (lived) {
      this.#try();
    } else {
      this.#wait("waiting", this.reason);
      this.#learn();
    }
  }

  // Time went by that this page has not lived through: its line may be long dead.
  #slept() {
    const apart = clocksApart();
    const slept = Math.abs(apart - this.#apart) > CLOCKS_APART;
    this.#apart = apart;
    return slept;
  }

  #doubt() {
    if (this.#wire === null || this.#suspectSince !== null) return;
    this.#suspectSince = now();
    if (this.state === "live") this.#say("connecting", null);
  }

  // Gone to the back-forward cache or frozen: whoever shows us meanwhile would show a ghost.
  #hide() {
    if (FINAL.has(this.state)) return;
    this.#drop();
    this.#dueAt = this.#notBefore = now();
    this.#say("connecting", null);
  }

  #renewed(error) {
    if (error instanceof TokenError) this.#finish("ended", "no_token");
    else if (this.#wire?.speaks) this.say({ type: "token", token: this.#token.value });
    // A line that cannot be told goes on with the new token from the cursor of the old.
    else if (this.state === "live") this.reopen();
  }

  async #post({ type, ...fields }) {
    const body = type === "leave" ? { leave: true } : fields;
    const headers = { "Content-Type": "application/json" };
    if (this.#token) headers.Authorization = `Bearer ${this.#token.value}`;
    try {
      await fetch(new URL(`${this.#address.href}/me`), {
        method: "POST",
        headers,
        body: JSON.stringify(body),
        keepalive: true,
      });
    } catch {
      // Said again with the next line, if it still holds then.
    }
  }

  #drop() {
    clearTimeout(this.#timer);
    this.#dueAt = this.#suspectSince = null;
    const wire = this.#wire;
    this.#wire = null;
    wire?.close();
  }

  #finish(state, reason) {
    if (this.state === "closed") return;
    this.#drop();
    this.#ender?.abort();
    this.#token?.close();
    this.#say(state, reason);
  }

  #say(state, reason) {
    const before = this.state;
    this.state = state;
    this.reason = reason;
    if (state !== before || state === "waiting" || state === "refused") this.#options.onState();
  }
}

// A token, from where it comes until where it ends.
class Token {
  value = null;
  #options;
  #onRenewed;
  #reason = "first";
  #goodUntil = 0;
  #timer = null;
  #ender = new AbortController();
  #underWay = null;
  #failures = 0;

  constructor(options, onRenewed) {
    this.#options = options;
    this.#onRenewed = onRenewed;
  }

  /** The token there is, or a new one. */
  async get() {
    if (this.value === null || now() >= this.#goodUntil) await this.#fetch();
    return this.value;
  }

  /** The server does not take it: the next one must be another. */
  refuse(reason) {
    this.#reason = reason;
    this.value = null;
  }

  async renew() {
    if (this.#underWay || this.#ender.signal.aborted) return;
    this.#reason = "expiring";
    try {
      await this.#fetch();
      this.#failures = 0;
      this.#onRenewed(null);
    } catch (error) {
      if (error instanceof TokenError) this.#onRenewed(error);
      else this.#plan(this.#options.random() * Math.min(LONGEST_WAIT, 1000 * 2 ** this.#failures++));
    }
  }

  close() {
    clearTimeout(this.#timer);
    this.#ender.abort();
  }

  // Those who ask at once get the same answer.
  #fetch() {
    this.#underWay ??= this.#ask().finally(() => (this.#underWay = null));
    return this.#underWay;
  }

  async #ask() {
    const { getToken, room } = this.#options;
    const { signal } = this.#ender;
    const token = await getToken({ room, reason: this.#reason, signal });
    if (signal.aborted) throw new TokenError("closed");
    if (typeof token !== "string" || token === "") throw new TypeError("getToken gave no token");
    this.value = token;
    const life = lifeOf(token);
    this.#goodUntil = now() + life;
    this.#plan(life * RENEW_AT);
  }

  #plan(delay) {
    clearTimeout(this.#timer);
    if (this.#ender.signal.aborted || delay > LONGEST_TIMER) return;
    this.#timer = setTimeout(() => this.renew(), delay);
    this.#timer.unref?.();
  }
}

// By the token's own two times: this machine's clock may be wrong.
function lifeOf(token) {
  try {
    const [, body] = token.split(".");
    const { iat, exp } = JSON.parse(atob(body.replace(/-/g, "+").replace(/_/g, "/")));
    return exp > iat ? (exp - iat) * 1000 : Infinity;
  } catch {
    return Infinity; // the server will say what is wrong with it
  }
}

function now() {
  return performance.now();
}

function clocksApart() {
  return Date.now() - performance.now();
}

// A WebSocket. `onQuiet` is for transports that see signs of life which are no messages.
class SocketWire {
  speaks = true;
  #socket;

  constructor(target, token, { onMessage, onClose }) {
    target.protocol = target.protocol.replace(/^http/, "ws");
    const protocols = token === null ? ["presence.v1"] : ["presence.v1", `token.${token}`];
    const socket = (this.#socket = new WebSocket(target, protocols));
    socket.onmessage = ({ data }) => {
      const message = parse(data);
      if (message !== null) onMessage(message);
    };
    socket.onclose = ({ code }) => onClose({ code });
  }

  send(message) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  close() {
    const socket = this.#socket;
    socket.onmessage = socket.onclose = null;
    // Closing one that is not open yet is an error to the browser's console.
    if (socket.readyState === WebSocket.CONNECTING) socket.onopen = () => socket.close();
    else socket.close();
  }
}

// Server-Sent Events, read with fetch: it sends the token in a header and shows why it is refused.
class EventsWire {
  speaks = false;
  #ender = new AbortController();

  constructor(target, token, handlers) {
    this.#read(target, token, handlers).then(handlers.onClose);
  }

  close() {
    this.#ender.abort();
  }

  async #read(target, token, handlers) {
    const headers = { Accept: "text/event-stream" };
    if (token !== null) headers.Authorization = `Bearer ${token}`;
    try {
      const response = await fetch(target, {
        headers,
        cache: "no-store",
        signal: this.#ender.signal,
      });
      if (response.status !== 200) return refusal(response);
      await this.#follow(response.body.pipeThrough(new TextDecoderStream()), handlers);
    } catch {
      // The line broke, or was closed here.
    }
    return {};
  }

  async #follow(stream, { onMessage, onQuiet }) {
    let rest = "";
    const reader = stream.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        const message = parse(dataOf(block));
        if (message === null) onQuiet();
        else onMessage(message);
      }
    }
  }
}

async function refusal(response) {
  const problem = parse(await response.text());
  const retryAfter = Number(response.headers.get("Retry-After")) || 0;
  return { status: response.status, reason: problem?.reason ?? null, retryAfter };
}

function dataOf(block) {
  const lines = block.split("\n").filter((line) => line.startsWith("data:"));
  return lines.map((line) => line.slice(5)).join("\n");
}

function parse(text) {
  try {
    const message = JSON.parse(text);
    return message !== null && typeof message === "object" ? message : null;
  } catch {
    return null;
  }
}

const TRANSPORTS = [SocketWire, EventsWire];

// Lines that elements share: one for each server, room and source of tokens. It is closed a moment
// after its last user has gone, so that an element can be moved within the page.
const LINGER = 250;
const shared = new Map();
const providers = new WeakMap();

class SharedRoom {
  room;
  #key;
  #users = new Map(); // element -> the users that it shows, or null for everybody
  #timer = null;

  constructor(key, room) {
    this.#key = key;
    this.room = room;
  }

  show(element, users) {
    clearTimeout(this.#timer);
    this.#users.set(element, users);
    this.room.watch(this.#wanted());
  }

  hide(element) {
    this.#users.delete(element);
    if (this.#users.size > 0) this.room.watch(this.#wanted());
    else this.#timer = setTimeout(() => this.#close(), LINGER);
  }

  #wanted() {
    const wanted = [...this.#users.values()];
    if (wanted.includes(null)) return null;
    const users = new Set(wanted.flat());
    return users.size > MOST_WATCHED ? null : users;
  }

  #close() {
    this.room.close();
    shared.delete(this.#key);
  }
}

function shareRoom(src, name, tokenFrom, getToken, users) {
  const key = JSON.stringify([src, name, getToken ? idOf(getToken) : tokenFrom]);
  let found = shared.get(key);
  if (!found || FINAL.has(found.room.state)) {
    const presence = new Presence(src, { getToken: getToken ?? tokenFetcher(tokenFrom) });
    found = new SharedRoom(key, presence.room(name, { watch: users }));
    shared.set(key, found);
  }
  return found;
}

let lastProvider = 0;
function idOf(getToken) {
  if (!providers.has(getToken)) providers.set(getToken, (lastProvider += 1));
  return providers.get(getToken);
}

/** A `getToken` that asks the page's own backend: it answers with the token, as text or as JSON. */
export function tokenFetcher(url) {
  return async ({ room, signal }) => {
    const address = new URL(url, here());
    if (!address.searchParams.has("room")) address.searchParams.set("room", room);
    const response = await fetch(address, { signal, cache: "no-store" });
    if (response.status === 401 || response.status === 403) throw new TokenError("not logged in");
    if (!response.ok) throw new Error(`${response.status} instead of a token`);
    const text = (await response.text()).trim();
    return text.startsWith("{") ? JSON.parse(text).token : text;
  };
}

const WORDS = {
  en: {
    online: "online",
    busy: "busy",
    away: "away",
    offline: "offline",
    more: "{n} more",
    stale: "Connection lost. Shown as last known.",
    ended: "Not connected.",
    people: "People who are here",
  },
  de: {
    online: "online",
    busy: "beschäftigt",
    away: "abwesend",
    offline: "offline",
    more: "{n} weitere",
    stale: "Verbindung verloren. Letzter bekannter Stand.",
    ended: "Nicht verbunden.",
    people: "Wer hier ist",
  },
};

// No status by colour alone: a disc, one with a bar, a half one and a ring.
const STYLE = `
:host { display: block; color-scheme: light dark;
  --on: var(--presence-online, light-dark(#15803d, #4ade80));
  --busy: var(--presence-busy, light-dark(#b91c1c, #f87171));
  --away: var(--presence-away, light-dark(#a16207, #facc15));
  --size: var(--presence-size, 2em); }
:host([hidden]) { display: none; }
:host(presence-avatars), :host(presence-dot) { display: inline-block; }
ul { list-style: none; margin: 0; padding: 0; }
[part=person] { display: flex; align-items: center; gap: .5em; padding-block: .15em; }
[part~=dot] { flex: none; display: inline-block; inline-size: .7em; block-size: .7em;
  box-sizing: border-box; border: .15em solid; border-radius: 50%; }
[part~=dot][part~=online] { color: var(--on); background: currentColor; }
[part~=dot][part~=busy] { color: var(--busy);
  background: linear-gradient(currentColor 38%, Canvas 0 62%, currentColor 0); }
[part~=dot][part~=away] { color: var(--away);
  background: linear-gradient(90deg, currentColor 50%, Canvas 0); }
.stale [part~=dot] { border-style: dotted; background: none; }
.faces { display: flex; }
.faces li { margin-inline-end: -.35em; }
[part~=avatar] { display: grid; place-items: center; overflow: hidden; box-sizing: border-box;
  inline-size: var(--size); block-size: var(--size); font: 600 calc(var(--size) * .4) sans-serif;
  border: 2px solid Canvas; border-radius: 50%; color: #fff; background: #475569; }
[part~=avatar][part~=away] { opacity: .6; }
.hue0 { background: #1d4ed8; } .hue1 { background: #7e22ce; } .hue2 { background: #be123c; }
.hue3 { background: #0f766e; } .hue4 { background: #a16207; } .hue5 { background: #4d7c0f; }
img { inline-size: 100%; block-size: 100%; object-fit: cover; }
.unseen { position: absolute; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@media (forced-colors: active) {
  [part~=dot][part] { forced-color-adjust: none; color: CanvasText; }
}`;

let sheet = null;
function styleSheet() {
  if (sheet === null) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
  }
  return sheet;
}

// Importing this where there is no page defines nothing and throws nothing.
const Base = globalThis.HTMLElement ?? class {};

// What the elements have in common: where they connect, when they draw, in which words.
class PresenceElement extends Base {
  static observedAttributes = ["src", "room", "token-from", "user", "max", "lang", "words"];
  #getToken = null;
  #joined = null;
  #ender = null;
  #planned = false;
  #box = null;

  constructor() {
    super();
    this.attachShadow({ mode: "open" });
  }

  /** Instead of `token-from`: see Presence. */
  get getToken() {
    return this.#getToken;
  }

  set getToken(value) {
    this.#getToken = value;
    this.#join();
  }

  /** The room that is shown, shared with the other elements of it; null while there is none. */
  get presence() {
    return this.#joined?.room ?? null;
  }

  connectedCallback() {
    this.shadowRoot.adoptedStyleSheets = [styleSheet()];
    if (this.#box === null) {
      this.#box = this.shadowRoot.appendChild(document.createElement("div"));
      this.#box.append(document.createElement("slot"));
    }
    // A property that was set before this class was there hides the one of the class.
    if (Object.hasOwn(this, "getToken")) {
      const { getToken } = this;
      delete this.getToken;
      this.getToken = getToken;
    } else {
      this.#join();
    }
  }

  disconnectedCallback() {
    this.#part();
  }

  attributeChangedCallback(name, before, after) {
    if (before !== after && this.isConnected) this.#join();
  }

  #join() {
    if (!this.isConnected) return;
    const former = this.#joined;
    const room = this.getAttribute("room");
    const tokenFrom = this.getAttribute("token-from");
    this.#ender?.abort();
    this.#joined = null;
    if (room && (tokenFrom || this.#getToken)) {
      const src = this.getAttribute("src") ?? new URL(import.meta.url).origin;
      this.#joined = shareRoom(src, room, tokenFrom, this.#getToken, this.users);
      this.#joined.show(this, this.users);
      this.#follow(this.#joined.room);
    }
    if (former !== this.#joined) former?.hide(this);
  }

  #follow(room) {
    this.#ender = new AbortController();
    const { signal } = this.#ender;
    for (const type of ["change", "state"]) room.addEventListener(type, () => this.#plan(), { signal });
    this.#plan();
  }

  #part() {
    this.#ender?.abort();
    this.#joined?.hide(this);
    this.#joined = null;
  }

  // Many changes are one drawing; a page that nobody sees draws nothing.
  #plan() {
    if (this.#planned) return;
    this.#planned = true;
    requestAnimationFrame(() => {
      this.#planned = false;
      if (this.presence) this.#draw();
    });
  }

  #draw() {
    const { presence: room } = this;
    // Until something is known, what the page's author put inside is shown.
    if (!room.stale && room.state !== "live") return;
    this.#box.classList.toggle("stale", room.stale);
    this.draw(this.#box, room);
    this.dispatchEvent(new Event("change"));
  }

  /** The language around this element; a shadow root's is that of its host. */
  get language() {
    for (let at = this; at; at = at.getRootNode().host) {
      const found = at.closest("[lang]")?.getAttribute("lang");
      if (found) return found;
    }
    return "en";
  }

  /** One of the few words; the author's own stand in `words`, as JSON. */
  word(name, n) {
    const word = this.#own[name] ?? (WORDS[this.language.slice(0, 2)] ?? WORDS.en)[name];
    return word.replace("{n}", n);
  }

  get #own() {
    return parse(this.getAttribute("words")) ?? {};
  }
}

function element(tag, part, text) {
  const made = document.createElement(tag);
  if (part) made.setAttribute("part", part);
  if (text !== undefined) made.textContent = text;
  return made;
}

function setText(made, text) {
  if (made.textContent !== text) made.textContent = text;
}

function nameOf(id, person) {
  return String(person?.name ?? person?.info?.name ?? id);
}

// Keeps the children of a list in the order of `ids`, and touches none that need not be touched.
function keep(list, ids, rows, make, fill) {
  const kept = new Set(ids);
  for (const [id, row] of rows) {
    if (kept.has(id)) continue;
    row.remove();
    rows.delete(id);
  }
  let place = list.firstElementChild;
  for (const id of ids) {
    if (!rows.has(id)) rows.set(id, make());
    const row = rows.get(id);
    if (row === place) place = place.nextElementSibling;
    else list.insertBefore(row, place);
    fill(row, id);
  }
}

// Those who come first in the order of their names, without sorting the many who do not show.
function firstByName(people, most, lang) {
  const { compare } = new Intl.Collator(lang || undefined, { numeric: true });
  const named = Array.from(people, ([id, person]) => [nameOf(id, person), id]);
  named.sort((a, b) => compare(a[0], b[0]) || (a[1] < b[1] ? -1 : 1));
  return named.slice(0, most).map(([, id]) => id);
}

// Elements that show everybody, one item each.
class People extends PresenceElement {
  users = null;
  #items = new Map();

  get max() {
    return Math.max(1, Math.trunc(Number(this.getAttribute("max"))) || this.most);
  }

  /** Returns how many do not show. */
  drawPeople(list, room) {
    list.setAttribute("role", "list");
    list.setAttribute("aria-label", this.getAttribute("aria-label") ?? this.word("people"));
    const ids = firstByName(room.people, this.max, this.language);
    keep(list, ids, this.#items, this.make, (item, id) => this.fill(item, id, room.people.get(id)));
    return room.count - ids.length;
  }
}

class PresenceList extends People {
  most = 200;
  make = makeRow;
  #list = element("ul", "list");
  #note = element("p", "note");

  draw(box, room) {
    if (!this.#list.isConnected) {
      this.#note.setAttribute("role", "status");
      box.replaceChildren(this.#list, this.#note);
    }
    setText(this.#note, this.#words(room, this.drawPeople(this.#list, room)));
  }

  #words(room, hidden) {
    if (room.state === "ended") return this.word("ended");
    if (room.stale) return this.word("stale");
    return hidden > 0 ? this.word("more", hidden) : "";
  }

  fill(row, id, person) {
    const [dot, name, status, text] = row.children;
    dot.setAttribute("part", `dot ${person.status}`);
    setText(name.firstElementChild, nameOf(id, person));
    if (name.title !== id) name.title = id;
    setText(status, this.word(person.status));
    setText(text, person.text ?? "");
  }
}

function makeRow() {
  const row = element("li", "person");
  const name = element("span", "name");
  const bdi = element("bdi");
  bdi.translate = false;
  name.append(bdi);
  row.append(element("span", "dot"), name, element("span", "status"), element("span", "text"));
  row.firstElementChild.setAttribute("aria-hidden", "true");
  return row;
}

const HUES = 6;

class PresenceAvatars extends People {
  most = 5;
  make = makeFace;
  #list = element("ul", "list");
  #more = element("li", "more avatar");

  draw(box, room) {
    if (!this.#list.isConnected) {
      this.#list.className = "faces";
      box.replaceChildren(this.#list);
    }
    this.#more.remove();
    const hidden = this.drawPeople(this.#list, room);
    if (hidden > 0) this.#list.append(this.#fillMore(hidden));
  }

  #fillMore(hidden) {
    const words = (this.#more.title = this.word("more", hidden));
    this.#more.replaceChildren(hide(element("span", "", `+${hidden}`)), unseen(words));
    return this.#more;
  }

  fill(item, id, person) {
    const [face, words] = item.children;
    const name = nameOf(id, person);
    const said = `${name}: ${this.word(person.status)}${person.text ? `, ${person.text}` : ""}`;
    face.setAttribute("part", `avatar ${person.status}`);
    face.className = `hue${hueOf(id)}`;
    item.title = said;
    setText(words, said);
    drawFace(face, name, person.info?.avatar);
  }
}

function makeFace() {
  const item = element("li", "person");
  item.append(hide(element("span", "avatar")), unseen(""));
  return item;
}

// A picture from http(s) only; when it does not come, the initials.
function drawFace(face, name, avatar) {
  const source = typeof avatar === "string" && /^https?:/.test(avatar) ? avatar : "";
  if (face.dataset.source === `${source} ${name}`) return;
  face.dataset.source = `${source} ${name}`;
  face.textContent = initialsOf(name);
  if (source === "") return;
  const picture = element("img", "picture");
  picture.alt = "";
  picture.referrerPolicy = "no-referrer";
  picture.addEventListener("load", () => face.replaceChildren(picture));
  picture.src = source;
}

function initialsOf(name) {
  const words = name.trim().split(/[\s._-]+/u).filter(Boolean);
  const chosen = words.length > 1 ? [words[0], words.at(-1)] : words;
  return chosen.map((word) => [...word][0].toLocaleUpperCase()).join("");
}

function hueOf(id) {
  let sum = 0;
  for (const character of id) sum = (sum * 31 + character.codePointAt(0)) % 9973;
  return sum % HUES;
}

function hide(made) {
  made.setAttribute("aria-hidden", "true");
  return made;
}

function unseen(text) {
  const made = element("span", "", text);
  made.className = "unseen";
  return made;
}

class PresenceDot extends PresenceElement {
  #dot = hide(element("span", "dot"));
  #words = unseen("");

  get users() {
    const user = this.getAttribute("user");
    return user === null ? [] : [user];
  }

  draw(box, room) {
    if (!this.#dot.isConnected) box.replaceChildren(this.#dot, this.#words);
    const [id] = this.users;
    const person = room.people.get(id);
    const status = person?.status ?? "offline";
    const said = `${nameOf(id, person)}: ${this.word(status)}`;
    this.#dot.setAttribute("part", `dot ${status}`);
    this.#dot.title = said;
    setText(this.#words, room.stale ? `${said}. ${this.word("stale")}` : said);
  }
}

const ELEMENTS = {
  "presence-list": PresenceList,
  "presence-avatars": PresenceAvatars,
  "presence-dot": PresenceDot,
};

for (const [tag, made] of Object.entries(ELEMENTS)) {
  if (globalThis.customElements && !customElements.get(tag)) customElements.define(tag, made);
}
