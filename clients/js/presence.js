// Rooms of a presence_server, and elements: see presence.d.ts.

const FIRST_WAIT = 500;
const LONGEST_WAIT = 30_000;
const FORGIVEN_AFTER = 60_000; // of a line's life, earlier failures count no more
const LONGEST_OPENING = 15_000;
const LONGEST_QUESTION = 30_000;
const FAILED_OPENS = 2; // of sockets, by a server that answers: then events
const LOOK_EVERY = 1_000;
const LATE_MESSAGES = 1_000; // what arrived while we slept is handled before we judge
const SLEEP = 2_000; // the clock ran on by so much more than our own count
const HEARTBEAT = 20_000;
const RENEW_AT = 0.8; // of a token's life
const MOST_WATCHED = 500;
const MOST_DATA = 512; // bytes
const MESSAGE_EVERY = 600; // or the server closes the socket
const TOKEN = /^[\w-]+\.[\w-]+\.[\w-]+$/;

const HERE = ["online", "busy", "away"];
const GONE = ["offline", "deleted"];
const FINAL = ["ended", "closed"];
const TOKEN_OVER = ["token_expired", "token_invalid", "revoked"];
// Another try would be answered the same.
const HOPELESS = ["session_ended", "not_allowed", "bad_request", "no_token"];

export class TokenError extends Error {
  name = "TokenError";
}

export class Presence {
  #url;
  #getToken;

  constructor(url, { getToken } = {}) {
    this.#url = new URL(slashed(url), globalThis.location?.href);
    this.#getToken = getToken;
  }

  room(name, options) {
    if (typeof this.#getToken !== "function") throw new TypeError("getToken is missing");
    const address = new URL(`api/v1/rooms/${encodeURIComponent(name)}`, this.#url);
    const token = new Token(this.#getToken, name);
    return new Room(name, { address, probe: `${address}?count=1`, token }, options);
  }

  list(options) {
    const address = new URL("users/", this.#url);
    return new Room("", { address, probe: new URL("api/users?limit=1", this.#url) }, options);
  }
}

function slashed(url) {
  return String(url).replace(/\/*$/, "/");
}

export class Room extends EventTarget {
  choice = null; // of the user, as the server has it
  counts = null;
  above = null; // of more: their number
  #line;
  #roster = new Roster();
  #changes = new Changes();
  #status; // of this line
  #data;
  #choice = null; // of the user, not confirmed yet
  #said; // what the server knows of these from this line
  #asked; // of this line, at first
  #told = new Set(); // of whom it has told; null: of everybody
  #isBlank = false; // this line has told of nobody yet
  #planned = false;
  #pause = null; // between lists or data

  constructor(name, target, { status = "online", watch = null } = {}) {
    super();
    this.name = name;
    this.#status = status;
    this.#roster.want(watchable(watch), this.#changes);
    this.#line = new Line(target);
    this.#line.open({
      query: (speaks) => this.#query(speaks),
      onLive: () => this.#begin(),
      onMessage: (message) => this.#hear(message),
      onState: () => this.#say(),
      onRefused: () => (this.#choice = null),
      onForbidden: () => ([this.#status, this.#data, this.#choice] = ["online"]),
    });
  }

  get people() {
    return this.#roster.people;
  }

  get count() {
    const { online, busy = 0, away = 0 } = this.counts ?? { online: this.#roster.all.size };
    return online + busy + away;
  }

  get state() {
    return this.#line.state;
  }

  get reason() {
    return this.#line.reason;
  }

  get nextTry() {
    return this.#line.nextTry;
  }

  get degraded() {
    return this.#roster.degraded;
  }

  get stale() {
    return this.#roster.known && (this.#isBlank || this.state !== "live");
  }

  isKnown(id) {
    return this.#roster.known && (!this.#told || this.#told.has(id));
  }

  isLastKnown(id) {
    return this.people.has(id) && (this.stale || this.#roster.doubts(id));
  }

  setStatus(status, { text, until, scope } = {}) {
    const chosen = (scope ?? text ?? until) !== undefined || !["online", "away"].includes(status);
    if (until) until = Math.floor(until);
    if (chosen) this.#choice = { type: "status", status, scope: "user", text, until };
    else this.#status = status;
    this.#say();
  }

  setData(data) {
    const text = JSON.stringify(data);
    if (!/^{/.test(text)) throw new TypeError("data is no object");
    const size = new TextEncoder().encode(text).length;
    if (size > MOST_DATA) throw new RangeError(`data has ${size} of ${MOST_DATA} bytes`);
    this.#data = JSON.parse(text);
    this.#say();
  }

  watch(users) {
    const wanted = watchable(users);
    if (isSameSet(this.#roster.wanted, wanted)) return;
    this.#roster.want(wanted, this.#changes);
    this.#line.cursor = null;
    this.#say();
  }

  tryNow() {
    this.#line.tryNow();
  }

  leave() {
    this.#line.leave();
    this.close();
  }

  close() {
    clearTimeout(this.#pause);
    this.#line.finish("closed", null);
  }

  #query(speaks) {
    const { wanted } = this.#roster;
    // Events bring all; some are shown.
    this.#asked = {};
    if (speaks && wanted) this.#asked.watch = "some";
    else if (speaks) this.#asked.above = this.above;
    this.#said = { status: this.#status, wanted: wanted && [] };
    this.#isBlank = this.#asked.watch && wanted.size > 0;
    clearTimeout(this.#pause);
    this.#pause = null;
    return { status: this.#status, ...this.#asked };
  }

  // A new line has not been told that other nodes are silent.
  #begin() {
    this.choice = null;
    if (!this.#line.speaks) this.counts = null;
    this.#roster.setDegraded(false);
  }

  #say() {
    this.#plan();
    this.#speak();
  }

  #speak() {
    if (this.state !== "live") return;
    const [line, said] = [this.#line, this.#said];
    this.#said = { ...said, status: this.#status, choice: this.#choice };
    if (!this.#pause) this.#speakInTurn(line, said);
    if (this.#status !== said.status) line.say({ type: "status", status: this.#status });
    if (this.#choice && this.#choice !== said.choice) line.say(this.#choice);
  }

  // What changes all the time.
  #speakInTurn(line, said) {
    const { wanted } = this.#roster;
    const messages = [];
    if (wanted !== said.wanted && line.speaks) {
      this.#said.wanted = wanted;
      this.#asked.above = null;
      messages.push({ type: "watch", users: wanted && [...wanted] });
    }
    if (this.#data !== said.data) {
      this.#said.data = this.#data;
      messages.push({ type: "data", data: this.#data });
    }
    for (const message of messages) line.say(message);
    if (!messages.length || !line.speaks) return;
    this.#pause = setTimeout(() => {
      this.#pause = null;
      this.#speak();
    }, messages.length * MESSAGE_EVERY);
  }

  #hear(message) {
    const { type } = message;
    const { wanted } = this.#roster;
    const isFirst = this.#asked.watch;
    this.#asked.watch = null;
    if (type === "snapshot") {
      if (isFirst && this.#isBlank) return;
      if (!this.#said.wanted) this.counts = null;
      this.#isBlank = false;
      this.#told = this.#line.speaks ? this.#said.wanted : null;
    }
    if (type === "snapshot" || type === "changes") this.#roster.apply(message, this.#changes);
    else if (type === "degraded") this.#roster.setDegraded(message.value);
    else if (type === "own") this.#roster.confirm(message.usernames);
    else if (type === "count" && (wanted || this.#asked.above)) {
      // It tells of nobody, as if one had wanted that.
      if (!wanted) this.#told = this.#said.wanted = this.#roster.want(new Set(), this.#changes);
      this.counts = message;
    } else if (type === "choice") {
      this.choice = chosen(message);
      // A line begins with none, if nothing is chosen.
      if (!this.choice || isSame(this.choice, chosen(this.#choice ?? {}))) this.#choice = null;
    } else return;
    this.#plan();
  }

  #plan() {
    if (this.#planned) return;
    this.#planned = true;
    queueMicrotask(() => {
      this.#planned = false;
      const changes = this.#changes;
      this.#changes = new Changes();
      this.dispatchEvent(Object.assign(new Event("change"), changes));
    });
  }
}

function chosen({ status = "online", text, until }) {
  if (status === "online" && !text) return null;
  return { status, text: text || undefined, until: until || undefined };
}

function watchable(users) {
  const wanted = users && new Set(users);
  if (wanted?.size > MOST_WATCHED) throw new RangeError(`more than ${MOST_WATCHED} users`);
  return wanted;
}

function isSame(one, other) {
  return JSON.stringify(one) === JSON.stringify(other);
}

function isSameSet(one, other) {
  if (!one || !other) return one === other;
  return one.size === other.size && [...one].every((id) => other.has(id));
}

// Since the last event.
class Changes {
  added = new Map();
  updated = new Map();
  removed = new Map();
  others = new Map();

  put(id, person, before) {
    const isNew = before ? this.added.has(id) : !this.removed.delete(id);
    (isNew ? this.added : this.updated).set(id, person);
  }

  remove(id, person) {
    this.updated.delete(id);
    if (!this.added.delete(id)) this.removed.set(id, person);
  }
}

class Roster {
  all = new Map();
  people = this.all; // those of them whom one wants
  wanted = null;
  known = false;
  degraded = false;
  #confirmed = new Set(); // all the same

  setDegraded(value) {
    if (value !== this.degraded) this.#confirmed.clear();
    this.degraded = value;
  }

  confirm(ids) {
    for (const id of ids) this.#confirmed.add(id);
  }

  doubts(id) {
    return this.degraded && !this.#confirmed.has(id);
  }

  want(wanted, changes) {
    const before = this.people;
    this.wanted = wanted;
    this.people = wanted ? new Map([...this.all].filter(([id]) => wanted.has(id))) : this.all;
    for (const [id, person] of before) if (!this.people.has(id)) changes.remove(id, person);
    for (const [id, person] of this.people) if (!before.has(id)) changes.put(id, person);
    return wanted;
  }

  apply(message, changes) {
    this.known = true;
    const isWhole = message.type === "snapshot";
    const about = new Map(Object.entries(message.about ?? {}));
    const here = entries(message, HERE);
    if (isWhole) this.#keep(new Set(here.map(([id]) => id)), changes);
    for (const [id, since, status] of here) {
      // What stands beside a status holds until it is replaced.
      const words = about.get(id) ?? (isWhole ? {} : this.all.get(id));
      this.#put(id, { ...words, status, since }, changes);
      about.delete(id);
    }
    for (const [id, since, status] of entries(message, GONE)) {
      this.#remove(id, { ...this.all.get(id), ...about.get(id), status, since }, changes);
    }
    for (const [id, words] of about) {
      const { status, since } = this.all.get(id) ?? {};
      if (status) this.#put(id, { ...words, status, since }, changes);
      else changes.others.set(id, words);
    }
  }

  // Whom a snapshot does not name has left, nobody says when.
  #keep(named, changes) {
    for (const [id, person] of this.all) {
      if (!named.has(id)) this.#remove(id, { ...person, status: "offline", since: null }, changes);
    }
  }

  #put(id, person, changes) {
    this.#confirmed.add(id);
    const before = this.all.get(id);
    if (isSame(before, person)) return;
    this.all.set(id, person);
    if (this.wanted && !this.wanted.has(id)) return;
    this.people.set(id, person);
    changes.put(id, person, before);
  }

  // Also somebody who was not here: since when, or deleted.
  #remove(id, person, changes) {
    this.all.delete(id);
    this.people.delete(id);
    if (!this.wanted || this.wanted.has(id)) changes.remove(id, person);
  }
}

function entries(message, statuses) {
  return statuses.flatMap((status) =>
    Object.entries(message[status] ?? {}).map(([id, since]) => [id, since, status]),
  );
}

// By no wall clock, which may be set.
class Line {
  state = "connecting";
  reason = null;
  cursor = null;
  #address;
  #probe;
  #token;
  #on;
  #ender = new AbortController();
  #name = String(Math.random()); // among the lines of the same user
  #wire = null;
  #lived = false;
  #bye = null;
  #heartbeat = HEARTBEAT;
  #failures = 0;
  #failedOpens = 0;
  #refused = false;
  #silent = false; // because something was not allowed
  #openedAt = 0;
  #heardAt = 0;
  #suspectSince = null;
  #dueAt = null;
  #notBefore = 0; // the server asked for that
  #apart = clocksApart();
  #timer = null;
  #renewal = null;
  #looking = null;

  constructor({ address, probe, token }) {
    this.#address = address;
    this.#probe = probe;
    this.#token = token;
  }

  get nextTry() {
    return this.#dueAt === null ? null : Math.max(0, this.#dueAt - now());
  }

  // Else messages are posted.
  get speaks() {
    return this.#wire instanceof SocketWire;
  }

  open(on) {
    this.#on = on;
    this.#looking = setInterval(() => this.#look(), LOOK_EVERY);
    const { document } = globalThis;
    this.#listen(globalThis, "online", () => this.tryNow());
    this.#listen(globalThis, "offline", () => this.#check());
    this.#listen(globalThis, "pagehide", () => this.#hide());
    this.#listen(globalThis, "pageshow", () => this.tryNow());
    this.#listen(document, "freeze", () => this.#hide());
    this.#listen(document, "resume", () => this.tryNow());
    this.#listen(document, "visibilitychange", () => document.hidden || this.tryNow());
    this.#try();
  }

  #listen(target, type, act) {
    target?.addEventListener?.(type, act, { signal: this.#ender.signal });
  }

  say(message) {
    if (this.state === "live") this.#wire.send(message);
  }

  leave() {
    const message = { type: "leave" };
    if (this.speaks) this.#wire.send(message);
    if (this.speaks && this.state === "live") return;
    if (this.#token?.value && !FINAL.includes(this.state)) this.#post(message);
  }

  tryNow() {
    if (FINAL.includes(this.state)) return;
    if (this.#wire) this.#look();
    else if (now() >= this.#notBefore) this.#try();
    else this.#tryIn(this.#notBefore - now());
  }

  finish(state, reason) {
    if (this.state === "closed") return;
    this.#drop();
    this.#ender.abort();
    clearInterval(this.#looking);
    this.#token?.close();
    this.reason = reason;
    this.#tell(state);
  }

  async #try() {
    this.#drop();
    this.#heardAt = Infinity;
    const attempt = (this.#wire = { close() {} }); // until there is a token
    this.#tell("connecting");
    const token = await this.#token?.get().catch((error) => error);
    if (attempt !== this.#wire) return;
    if (token instanceof Error) return this.#lose({ error: token });
    try {
      this.#connect(token);
    } catch (error) {
      console.warn("presence:", error);
      this.#lose({});
    }
  }

  #connect(token) {
    const usesEvents = token && (this.#failedOpens >= FAILED_OPENS || !globalThis.WebSocket);
    const query = { cursor: this.cursor, ...this.#on.query(!usesEvents) };
    if (token) query.line = this.#name;
    const target = new URL(this.#address);
    for (const name in query) if (query[name] !== null) target.searchParams.set(name, query[name]);
    const Wire = usesEvents ? EventsWire : SocketWire;
    const hear = (message) => wire === this.#wire && this.#hear(message);
    const lose = (ending) => wire === this.#wire && this.#lose(ending);
    const post = (message) => this.#post(message);
    const wire = (this.#wire = new Wire(target, token, hear, lose, post));
    this.#openedAt = this.#heardAt = now();
    if (token) this.#renewIn(this.#token.life * RENEW_AT);
  }

  #hear(message) {
    this.#heardAt = now();
    this.#suspectSince = null;
    if (message.type === "bye") {
      this.#bye = message.reason;
      if (message.retry_after > 0) this.#notBefore = now() + message.retry_after * 1000;
      return;
    }
    const isFirst = !this.#lived;
    if (message.cursor) this.cursor = message.cursor;
    else if (isFirst) return; // of a proxy, perhaps
    if (message.heartbeat) this.#heartbeat = message.heartbeat * 1000;
    // Not all pages at once.
    if (message.type === "expiring") this.#renewIn((Math.random() * message.in * 1000) / 2);
    this.#lived = true;
    this.reason = null;
    this.#tell("live");
    if (isFirst) this.#on.onLive();
    this.#on.onMessage(message);
  }

  // As far as why is known: {code, status, reason, retryAfter, error}.
  #lose({ error, ...ending }) {
    const lived = this.#lived;
    const failedOpen = this.speaks && !lived && !this.#bye && !(ending.code > 4000);
    this.#count();
    // It would be wrong again.
    if ([1007, 1009].includes(ending.code)) this.#on.onRefused();
    ending.reason ??= error ? reasonOf(error) : this.#bye;
    if (TOKEN_OVER.includes(ending.reason)) ending.code = 4401;
    // The token may allow less than before: once more, without a word.
    if (lived && ending.code === 4403 && !this.#silent) {
      this.#silent = true;
      this.#on.onForbidden();
      ending = {};
    }
    this.#drop();
    if (!failedOpen) this.#judge(ending);
    if (FINAL.includes(this.state)) return;
    if (lived && ending.code === 4401) this.#try();
    else this.#wait();
    if (failedOpen) this.#learn();
  }

  #count() {
    if (this.#lived && now() - this.#openedAt > FORGIVEN_AFTER) {
      this.#failures = 0;
      this.#silent = false;
    }
    if (this.speaks && this.#lived) this.#failedOpens = 0;
    // Perhaps a socket comes through by now.
    if (this.#wire instanceof EventsWire) this.#failedOpens = FAILED_OPENS - 1;
  }

  #judge({ code, status, reason, retryAfter }) {
    if (retryAfter > 0) this.#notBefore = now() + retryAfter * 1000;
    const isUnknown = code === 4401 || status === 401;
    if (isUnknown) reason ??= this.#token ? "token_invalid" : "session_ended";
    if (isUnknown) this.#token?.refuse(reason);
    if (code === 4403) reason ??= "not_allowed";
    this.#refused = code === 4409 || (status !== undefined && !isUnknown);
    this.reason = reason ?? null;
    if (HOPELESS.includes(reason)) this.finish("ended", reason);
  }

  // No page can read why an upgrade failed.
  async #learn() {
    const answer = await this.#ask();
    if (this.#dueAt === null) return;
    // 403: to whom may be seen only.
    const isThere = answer && [200, 403].includes(answer.status);
    this.#refused = isThere;
    if (isThere) this.#failedOpens += 1;
    else if (answer) this.#judge(answer);
    if (!FINAL.includes(this.state)) this.#tryIn(Math.max(this.nextTry, this.#notBefore - now()));
  }

  async #ask() {
    try {
      const response = await fetch(this.#probe, { headers: this.#headers, cache: "no-store" });
      return await answerOf(response);
    } catch {
      return null;
    }
  }

  get #headers() {
    return this.#token ? { Authorization: `Bearer ${this.#token.value}` } : {};
  }

  #wait() {
    this.#tryIn(Math.max(backOff(this.#failures++), this.#notBefore - now()));
  }

  #tryIn(delay) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#try(), delay);
    this.#dueAt = now() + delay;
    this.#tell(this.#refused ? "refused" : "waiting");
  }

  // Silence for clearly longer than a heartbeat is a dead line.
  #look() {
    const apart = clocksApart();
    const slept = apart - this.#apart > SLEEP;
    this.#apart = apart;
    if (this.#wire === null) {
      // The timer of the next try slept, too.
      if (this.#dueAt !== null && (slept || now() >= this.#dueAt)) this.tryNow();
    } else if (this.#suspectSince === null) {
      const bound = this.#lived ? this.#heartbeat * 1.5 + LOOK_EVERY : LONGEST_OPENING;
      if (slept || now() - this.#heardAt > bound) this.#doubt();
    } else if (now() - this.#suspectSince >= LATE_MESSAGES) {
      this.#count();
      // Some proxies let sockets open, and nothing through.
      if (this.speaks && !this.#lived) this.#failedOpens += 1;
      this.#try();
    }
  }

  #doubt() {
    if (this.#heardAt === Infinity) return;
    this.#suspectSince = now();
    setTimeout(() => this.#look(), LATE_MESSAGES);
    if (this.#lived) this.#tell("connecting");
  }

  // The browser may be wrong: a server can be on this machine.
  async #check() {
    const wire = this.#wire;
    if (wire && (await this.#ask()) === null && wire === this.#wire) this.#lose({});
  }

  // Its user would stay for ever.
  #hide() {
    this.#drop();
    if (!FINAL.includes(this.state)) this.#tell("connecting");
  }

  #renewIn(delay, failures = 0) {
    clearTimeout(this.#renewal);
    this.#renewal = setTimeout(() => this.#renew(failures), Math.min(delay, 2 ** 31 - 1));
  }

  async #renew(failures) {
    const wire = this.#wire;
    const token = await this.#token.renew().catch((error) => error);
    if (wire !== this.#wire || wire === null) return;
    if (token instanceof TokenError) {
      this.finish("ended", reasonOf(token));
    } else if (token instanceof Error) {
      reasonOf(token);
      this.#renewIn(backOff(failures), failures + 1);
    } else if (this.speaks && this.#lived) {
      wire.send({ type: "token", token });
      this.#renewIn(this.#token.life * RENEW_AT);
    } else {
      // Events go on where the old ones end.
      this.#try();
    }
  }

  // Gives how long a busy server has it wait.
  async #post({ type, ...fields }) {
    if (type === "leave") fields.leave = true;
    try {
      const response = await fetch(`${this.#address}/me`, {
        method: "POST",
        headers: { ...this.#headers, "Content-Type": "application/json" },
        body: JSON.stringify({ ...fields, line: this.#name }),
        keepalive: true,
      });
      if (!response.ok) console.warn(`presence: ${response.status} for ${type}`);
      const retryAfter = Number(response.headers.get("Retry-After")) || 1;
      if ([429, 503].includes(response.status)) return retryAfter * 1000;
    } catch {
      // What still holds is said again over the next line.
    }
  }

  #drop() {
    clearTimeout(this.#timer);
    clearTimeout(this.#renewal);
    this.#dueAt = this.#suspectSince = this.#bye = null;
    this.#lived = false;
    this.#wire?.close();
    this.#wire = null;
  }

  #tell(state) {
    const isSame = state === this.state && this.#dueAt === null;
    this.state = state;
    if (!isSame) this.#on.onState();
  }
}

function backOff(failures) {
  return Math.random() * Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** failures);
}

function reasonOf(error) {
  if (error instanceof TokenError) return "no_token";
  console.warn("presence: getToken failed", error);
  return "token_failed";
}

class Token {
  value = null;
  life = 0;
  #getToken;
  #room;
  #goodUntil = 0;
  #reason = "first";
  #revoked = null;
  #asking = null;
  #ender;

  constructor(getToken, room) {
    this.#getToken = getToken;
    this.#room = room;
  }

  async get() {
    return now() < this.#goodUntil ? this.value : this.#next();
  }

  renew() {
    this.#reason = "expiring";
    return this.#next();
  }

  refuse(reason) {
    this.#goodUntil = 0;
    this.#reason = reason;
    if (reason === "revoked") this.#revoked = this.value;
  }

  close() {
    this.#ender?.abort();
  }

  #next() {
    this.#asking ??= this.#ask().finally(() => (this.#asking = null));
    return this.#asking;
  }

  async #ask() {
    const { signal } = (this.#ender = new AbortController());
    const over = new Promise((_, fail) => (signal.onabort = () => fail(signal.reason)));
    const timer = setTimeout(() => this.close(), LONGEST_QUESTION);
    const question = { room: this.#room, reason: this.#reason, signal };
    const answer = Promise.resolve(question).then(this.#getToken);
    const token = await Promise.race([answer, over]).finally(() => clearTimeout(timer));
    // A page to log in, perhaps.
    if (!TOKEN.test(token)) throw new TypeError(`no token: ${token}`.slice(0, 50));
    if (token === this.#revoked) throw new TokenError("revoked");
    // The server would say at once again that it ends.
    if (token === this.value && this.#reason === "expiring") throw new Error("the same token");
    this.value = token;
    this.life = lifeOf(token);
    this.#goodUntil = now() + this.life;
    return token;
  }
}

// By its own two times: this machine's clock may be wrong.
function lifeOf(token) {
  try {
    const body = token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
    const { iat, exp } = JSON.parse(atob(body));
    return exp > iat ? (exp - iat) * 1000 : Infinity;
  } catch {
    return Infinity; // the server says what is wrong
  }
}

function now() {
  return performance.now();
}

function clocksApart() {
  return Date.now() - performance.now();
}

class SocketWire {
  #socket;

  constructor(target, token, onMessage, onClose) {
    const protocols = token ? ["presence.v1", `token.${token}`] : ["presence.v1"];
    this.#socket = new WebSocket(target.href.replace(/^http/, "ws"), protocols);
    this.#socket.onmessage = ({ data }) => onMessage(parse(data));
    this.#socket.onclose = ({ code }) => onClose({ code });
  }

  send(message) {
    this.#whenOpen((socket) => socket.send(JSON.stringify(message)));
  }

  // Closing one that is not open yet is an error to the browser.
  close() {
    this.#whenOpen((socket) => socket.close());
  }

  #whenOpen(act) {
    const socket = this.#socket;
    if (socket.readyState !== WebSocket.CONNECTING) act(socket);
    else socket.addEventListener("open", () => act(socket));
  }
}

// By fetch, which sends a header and shows a refusal.
class EventsWire {
  #ender = new AbortController();
  #post;
  #unsaid = new Map(); // the newest of each kind
  #pause;

  constructor(target, token, onMessage, onClose, post) {
    this.#post = post;
    this.#read(target, token, onMessage).then(onClose);
  }

  send(message) {
    const kind = message.scope ?? message.type;
    const waits = this.#unsaid.size;
    this.#unsaid.delete(kind);
    this.#unsaid.set(kind, message);
    if (!waits) this.#say();
  }

  // One after the other: two at once could change places.
  async #say() {
    while (this.#unsaid.size) {
      const [[kind, message]] = this.#unsaid;
      const pause = await this.#post(message);
      if (this.#ender.signal.aborted) return;
      if (pause) await new Promise((done) => (this.#pause = setTimeout(done, pause)));
      else if (this.#unsaid.get(kind) === message) this.#unsaid.delete(kind);
    }
  }

  close() {
    this.#ender.abort();
    clearTimeout(this.#pause);
  }

  async #read(target, token, onMessage) {
    const headers = { Accept: "text/event-stream", Authorization: `Bearer ${token}` };
    const { signal } = this.#ender;
    try {
      const response = await fetch(target, { headers, signal, cache: "no-store" });
      if (!response.ok) return await answerOf(response);
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return {};
        const events = (rest + value).split("\n\n");
        rest = events.pop();
        for (const event of events) onMessage(parse(/^data: ?(.*)/m.exec(event)?.[1]));
      }
    } catch {
      return {};
    }
  }
}

async function answerOf(response) {
  const reason = response.ok ? null : parse(await response.text()).code;
  const retryAfter = Number(response.headers.get("Retry-After"));
  return { status: response.status, reason, retryAfter };
}

function parse(text) {
  try {
    return Object(JSON.parse(text));
  } catch {
    return {};
  }
}

export function tokenFetcher(url) {
  return async ({ room, signal }) => {
    const address = new URL(url, globalThis.location?.href);
    address.searchParams.set("room", room);
    const response = await fetch(address, { signal, cache: "no-store" });
    if ([401, 403].includes(response.status)) throw new TokenError(response.status);
    if (!response.ok) throw new Error(`${url}: ${response.status}`);
    const text = (await response.text()).trim();
    return parse(text).token ?? text;
  };
}

const LINGER = 250;
const LARGE = 3_000; // people; of more, some are watched
const sharedRooms = new Set();

class SharedRoom {
  elements = new Map(); // -> the user it shows, null for everybody
  #timer = null;
  #planned = false;
  #large = null;

  constructor(src, name, source) {
    Object.assign(this, { src, source });
    sharedRooms.add(this);
    const getToken = typeof source === "function" ? source : tokenFetcher(source);
    const keep = async (question) => (this.token = await getToken(question));
    this.room = new Presence(src, { getToken: keep }).room(name, { watch: [] });
    this.room.above = LARGE;
    this.room.addEventListener("change", () => this.#look());
  }

  show(element, user) {
    clearTimeout(this.#timer);
    this.elements.set(element, user);
    this.#plan();
  }

  hide(element) {
    this.elements.delete(element);
    if (this.elements.size) this.#plan();
    else this.#timer = setTimeout(() => this.#close(), LINGER);
  }

  // Once for all that come and go in a turn.
  #plan() {
    if (this.#planned) return;
    this.#planned = true;
    queueMicrotask(() => {
      this.#planned = false;
      this.#watch();
    });
  }

  #watch() {
    if (this.#large) return this.#large.watch();
    const users = new Set(this.elements.values());
    this.room.watch(users.has(null) || users.size > MOST_WATCHED ? null : users);
  }

  #look() {
    const { room } = this;
    if (room.count <= LARGE || this.#large !== null) return;
    this.#large = false; // yet, or for good
    const first = (most, element) => firstByName(room.people, most, languageOf(element));
    const begin = ({ Large }) => (this.#large = new Large(this, LARGE, first));
    import("./large.js").then(begin, (error) => {
      console.warn(error);
      room.above = null;
      this.#watch();
    });
  }

  #close() {
    this.room.close();
    sharedRooms.delete(this);
  }
}

function shareRoom(src, name, source) {
  for (const shared of sharedRooms) {
    const { room } = shared;
    const isSame = shared.src === src && room.name === name && shared.source === source;
    if (isSame && !FINAL.includes(room.state)) return shared;
  }
  return new SharedRoom(src, name, source);
}

const WORDS = {
  en: {
    online: "online",
    busy: "busy",
    away: "away",
    offline: "offline",
    more: "{n} more",
    stale: "Connection lost. Shown as last known.",
    degraded: "Some people are shown as last known.",
    people: "People who are here",
    nobody: "Nobody is here.",
    came: "Here now: {who}. ",
    left: "Gone: {who}.",
  },
  de: {
    online: "online",
    busy: "beschäftigt",
    away: "abwesend",
    offline: "offline",
    more: "{n} weitere",
    stale: "Verbindung verloren. Letzter bekannter Stand.",
    degraded: "Teils letzter bekannter Stand.",
    people: "Wer hier ist",
    nobody: "Niemand ist hier.",
    came: "Jetzt hier: {who}. ",
    left: "Gegangen: {who}.",
  },
};

// No status by colour alone.
const STYLE = `
:host { display: block }
:host(:not(presence-list)) { display: inline-block; vertical-align: middle }
:host([hidden]) { display: none }
ul { display: flow-root; list-style: none; margin: 0; padding: 0 }
p { margin: 0 }
li { position: relative; display: flex; align-items: center; gap: .5em; padding-block: .15em }
.about { flex: 1; display: flex; flex-wrap: wrap; column-gap: .5em; overflow-wrap: anywhere }
.faces { display: flex; flex-wrap: wrap; gap: .25em }
.faces li { padding: 0 }
.dot { flex: none; display: inline-block; box-sizing: border-box; inline-size: .75em;
  block-size: .75em; border: .15em solid; border-radius: 50%;
  color: var(--presence-offline, light-dark(#64748b, #94a3b8)) }
.online { color: var(--presence-online, light-dark(#15803d, #4ade80)); background: currentColor }
.busy { color: var(--presence-busy, light-dark(#b91c1c, #f87171));
  background: linear-gradient(currentColor 35%, Canvas 0 65%, currentColor 0) }
.away { color: var(--presence-away, light-dark(#a16207, #facc15));
  background: linear-gradient(90deg, currentColor 50%, Canvas 0) }
.stale .dot, .last-known { border-style: dotted; background: Canvas }
.faces .dot { position: absolute; inset-block-end: 0; inset-inline-end: 0;
  outline: 2px solid Canvas }
.avatar { display: grid; place-items: center; overflow: hidden; box-sizing: border-box;
  inline-size: var(--presence-size, 2em); block-size: var(--presence-size, 2em);
  border: 2px solid Canvas; border-radius: 50%; color: #fff; background: #475569;
  text-transform: uppercase }
.avatar > * { font-size: calc(var(--presence-size, 2em) * .4) }
img { inline-size: 100%; block-size: 100%; object-fit: cover }
.hue0 { background: #1d4ed8 } .hue1 { background: #7e22ce } .hue2 { background: #be123c }
.hue3 { background: #0f766e }
.unseen { position: absolute; inline-size: 1px; overflow: hidden; clip-path: inset(50%);
  white-space: nowrap }
@media (forced-colors: active) {
  .dot { forced-color-adjust: none; color: CanvasText }
  .avatar { border-color: CanvasText }
}`;

const sheets = new WeakMap(); // a window takes none of another

const DIGEST_EVERY = 10_000;
const SHARE = 0.1; // of the time goes into drawing at most

function elementOf(makePainter) {
  return class extends HTMLElement {
    static observedAttributes = ["src", "room", "token-from", "user", "max", "lang", "words"];
    #getToken = null;
    #shared = null;
    #ender = null;
    #paint = null;
    #painted; // the room that is shown
    #user; // of whom
    #tell = null;
    #box = null;
    #content = make("slot");
    #joining = false;
    #drawing = false;
    #drawnFor = 0;

    constructor() {
      super();
      this.attachShadow({ mode: "open" });
    }

    get getToken() {
      return this.#getToken;
    }

    set getToken(value) {
      this.#getToken = value;
      this.#join();
    }

    get presence() {
      return this.#shared?.room ?? null;
    }

    connectedCallback() {
      if (!this.#box) {
        this.#box = this.shadowRoot.appendChild(make("div"));
        this.#box.append(this.#content);
      }
      this.shadowRoot.adoptedStyleSheets = sheetsOf(this.ownerDocument.defaultView);
      // A property set before this class was there hides that of the class.
      const { getToken } = this;
      delete this.getToken;
      this.getToken = getToken;
    }

    disconnectedCallback() {
      this.#join();
    }

    attributeChangedCallback() {
      this.#join();
    }

    // Once a turn, also when it is moved.
    #join() {
      if (this.#joining) return;
      this.#joining = true;
      queueMicrotask(() => {
        this.#joining = false;
        const former = this.#shared;
        this.#ender?.abort();
        this.#shared = this.isConnected ? this.#find() : null;
        if (former && former !== this.#shared) {
          former.hide(this);
          this.#box.className = "stale";
        }
        if (this.#shared) this.#follow();
        if (this.isConnected) this.#plan();
      });
    }

    #find() {
      const [src, room, tokenFrom] = ["src", "room", "token-from"].map((n) => this.getAttribute(n));
      const source = this.#getToken ?? tokenFrom;
      if (!room || !source) return null;
      const server = slashed(src ?? new URL("../..", import.meta.url));
      if (!URL.canParse(server, location.href)) return null;
      return shareRoom(new URL(server, location.href).href, room, source);
    }

    #follow() {
      this.#ender = new AbortController();
      this.#shared.show(this, this.getAttribute("user"));
      const { signal } = this.#ender;
      this.presence.addEventListener("change", () => this.#plan(), { signal });
    }

    #plan() {
      if (this.#drawing) return;
      this.#drawing = true;
      const pause = this.#drawnFor / SHARE;
      setTimeout(() => requestAnimationFrame(() => this.#draw()), pause);
    }

    #draw() {
      this.#drawing = false;
      if (!this.isConnected) return;
      const { presence: room } = this;
      const user = this.getAttribute("user");
      const isSame = this.#painted === room && this.#user === user;
      if (!isSame && this.#paint) this.#empty();
      if (!isShown(room, user)) return;
      this.#painted = room;
      this.#user = user;
      const began = now();
      if (!this.#paint) {
        this.#box.replaceChildren();
        this.#paint = makePainter(this.#box);
        this.#tell = digestTo(this.#box);
      }
      this.#box.className = room.stale ? "stale" : "";
      const words = this.#words();
      this.#paint(room, words, this);
      if (this.hasAttribute("announce")) this.#tell(room, words);
      this.#drawnFor = now() - began;
      this.dispatchEvent(new Event("change"));
    }

    // What the author put inside is shown until somebody is known.
    #empty() {
      this.#box.replaceChildren(this.#content);
      this.#box.className = "";
      this.#paint = null;
    }

    #words() {
      const lang = languageOf(this);
      const own = parse(this.getAttribute("words"));
      return { ...WORDS.en, ...WORDS[lang.split("-")[0]], ...own, lang };
    }
  };
}

function isShown(room, user) {
  if (!room || (!room.stale && room.state !== "live")) return false;
  return user === null ? !room.count || room.people.size > 0 : room.isKnown(user);
}

function sheetsOf(view) {
  if (view && !sheets.has(view)) {
    const sheet = new view.CSSStyleSheet();
    sheet.replaceSync(STYLE);
    sheets.set(view, [sheet]);
  }
  return sheets.get(view) ?? [];
}

// A shadow root's is that of its host.
function languageOf(element) {
  for (let at = element; at; at = at.getRootNode().host) {
    const lang = at.closest("[lang]")?.lang;
    if (lang) return lang;
  }
  return "en";
}

// For the page's style and for ours.
function call(element, names) {
  if (element.className !== names) element.className = element.part = names;
  return element;
}

function make(tag, names = "", ...children) {
  const made = call(document.createElement(tag), names);
  made.append(...children);
  return made;
}

function silent(element) {
  element.ariaHidden = "true";
  return element;
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function nameOf(id, person) {
  return String(person?.name ?? person?.info?.name ?? id);
}

function said(id, person, words) {
  const status = words[person?.status ?? "offline"];
  return `${nameOf(id, person)}: ${person?.text ? `${status}, ${person.text}` : status}`;
}

function signOf(room, id) {
  const status = room.people.get(id)?.status ?? "offline";
  return `dot ${status}${room.isLastKnown(id) ? " last-known" : ""}`;
}

function noteOf(room, words) {
  return room.stale ? words.stale : room.degraded ? words.degraded : "";
}

function firstByName(people, most, lang) {
  const compare = comparer(lang);
  const inOrder = (a, b) => compare(a.name, b.name) || (a.id < b.id ? -1 : 1);
  const first = [];
  let last = null;
  for (const [id, person] of people) {
    const one = { id, name: nameOf(id, person), person };
    if (last && inOrder(one, last) > 0) continue;
    first.push(one);
    if (first.length < 2 * most) continue;
    first.sort(inOrder).length = most;
    last = first.at(-1);
  }
  return first.sort(inOrder).slice(0, most);
}

function comparer(lang) {
  try {
    return new Intl.Collator(lang, { numeric: true }).compare;
  } catch {
    return comparer("en"); // no language at all
  }
}

function painterOf(list, usual, makeItem, fill) {
  const items = new Map();
  list.role = "list"; // Safari takes one without bullets for none
  return (room, words, element) => {
    list.ariaLabel = element.ariaLabel ?? words.people;
    const most = Math.trunc(element.getAttribute("max")) || usual;
    const shown = firstByName(room.people, Math.max(1, most), words.lang);
    const ids = new Set(shown.map(({ id }) => id));
    for (const [id, item] of items) if (!ids.has(id) && items.delete(id)) item.remove();
    let place = list.firstElementChild;
    for (const { id, name, person } of shown) {
      if (!items.has(id)) items.set(id, makeItem());
      const item = items.get(id);
      if (item === place) place = place.nextElementSibling;
      else list.insertBefore(item, place);
      fill(item, { id, name, person, words, sign: signOf(room, id) });
    }
    return room.count - shown.length;
  };
}

function digestTo(box) {
  const place = make("p", "unseen");
  place.role = "status";
  box.append(place);
  let last, told, timer;
  return (room, words) => {
    if (room !== last || room.count > LARGE / 2) [last, told] = [room, new Map(room.people)];
    timer ??= setTimeout(() => {
      timer = null;
      if (room !== last || room.stale) return;
      const [before, people] = [told, (told = new Map(room.people))];
      const came = missing(words.came, before, people);
      setText(place, came + missing(words.left, people, before));
    }, DIGEST_EVERY);
  };
}

function missing(words, some, others) {
  const names = [...others].filter(([id]) => !some.has(id)).map(([id, one]) => nameOf(id, one));
  if (names.length > 5) names.splice(4, Infinity, "…");
  return names.length ? words.replace("{who}", () => names.join(", ")) : "";
}

function listPainter(box) {
  const list = make("ul", "list");
  const more = make("p", "more");
  const note = make("p", "note");
  note.role = "status";
  box.append(list, more, note);
  const paint = painterOf(list, 200, makeRow, fillRow);
  return (room, words, element) => {
    const hidden = paint(room, words, element);
    setText(more, hidden > 0 ? words.more.replace("{n}", hidden) : room.count ? "" : words.nobody);
    setText(note, noteOf(room, words));
  };
}

function makeRow() {
  const name = make("bdi", "name");
  name.translate = false;
  const dot = silent(make("span", "dot"));
  const about = make("div", "", name, make("span", "status"), make("bdi", "text"));
  about.className = "about";
  return make("li", "person", dot, about);
}

function fillRow(row, { id, name, person, words, sign }) {
  const [dot, about] = row.children;
  const [nameBox, status, text] = about.children;
  call(dot, sign);
  setText(nameBox, name);
  nameBox.title = id;
  setText(status, words[person.status]);
  setText(text, person.text ?? "");
}

function avatarsPainter(box) {
  const list = make("ul", "list faces");
  const number = silent(make("span"));
  const inWords = make("span", "unseen");
  const more = make("li", "", make("span", "avatar more", number), inWords);
  box.append(list);
  const paint = painterOf(list, 5, makeFace, fillFace);
  return (room, words, element) => {
    more.remove();
    const hidden = paint(room, words, element);
    setText(number, `+${hidden}`);
    setText(inWords, (more.title = words.more.replace("{n}", hidden)));
    if (hidden > 0) list.append(more);
    list.title = noteOf(room, words);
  };
}

function makeFace() {
  const parts = [silent(make("span", "avatar")), silent(make("span", "dot"))];
  return make("li", "person", ...parts, make("span", "unseen"));
}

function fillFace(item, { id, name, person, words, sign }) {
  const [face, dot, inWords] = item.children;
  call(dot, sign);
  setText(inWords, (item.title = said(id, person, words)));
  const picture = String(person.info?.avatar ?? "");
  if (face.of === name + picture) return;
  face.of = name + picture;
  face.className = `avatar hue${(id.charCodeAt(0) + id.charCodeAt(id.length - 1)) % 4}`;
  face.replaceChildren(make("span", "initials", initialsOf(name)));
  if (!/^(https?:|\/)/.test(picture)) return;
  const image = make("img", "picture");
  image.alt = "";
  image.referrerPolicy = "no-referrer";
  image.onload = () => face.of === name + picture && face.replaceChildren(image);
  image.src = picture;
}

function initialsOf(name) {
  const [first = "", ...others] = name.split(/[\s._-]+/).filter(Boolean);
  return [first, others.at(-1) ?? ""].map((word) => [...word][0]).join("");
}

function dotPainter(box) {
  const dot = silent(make("span", "dot"));
  const inWords = make("span", "unseen");
  box.append(dot, inWords);
  return (room, words, element) => {
    const id = element.getAttribute("user") ?? "";
    const person = room.people.get(id);
    call(dot, signOf(room, id));
    dot.title = said(id, person, words);
    const note = room.stale || room.isLastKnown(id) ? noteOf(room, words) : "";
    setText(inWords, note ? `${dot.title}. ${note}` : dot.title);
  };
}

function define(tag, makePainter) {
  if (!customElements.get(tag)) customElements.define(tag, elementOf(makePainter));
}

// Without a page importing this defines nothing and throws nothing.
if (globalThis.customElements) {
  define("presence-list", listPainter);
  define("presence-avatars", avatarsPainter);
  define("presence-dot", dotPainter);
}
