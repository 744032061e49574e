// Who is here, and what is known of the others: the room, and pages of /api/users beside it. Where
// the room tells of some people only, the pages say how the others are.

const isGone = (status) => ["offline", "deleted"].includes(status);

export class Roster {
  /** Whether the room tells of some only. */
  isPartial;
  #room;
  #held; // the count, while the room has none
  #here = new Set(); // as of the last change, to tell who comes and who leaves
  #others = new Map(); // username -> {status, since, name, text, until}; since is null for never
  #deleted = new Set();

  /** `here` is how many are, as far as is known before the room says so. */
  constructor(room, isPartial, here) {
    this.#room = room;
    this.isPartial = isPartial;
    this.#held = isPartial ? here : null;
  }

  get count() {
    return this.#held ?? this.#room.count;
  }

  /** How many are "online" or "away", where the room tells of some only; null when it does not. */
  counted(status) {
    const { counts } = this.#room;
    if (counts === null || this.#held !== null) return null;
    const { online = 0, busy = 0, away = 0 } = counts;
    return status === "away" ? away : online + busy;
  }

  /** Until the room says how many there are. */
  hold(count) {
    this.#held = count;
  }

  here() {
    return this.#room.people.keys();
  }

  knows(username) {
    return this.isHere(username) || this.#others.has(username);
  }

  isHere(username) {
    return this.statusOf(username) !== "offline";
  }

  isDeleted(username) {
    return this.#deleted.has(username);
  }

  statusOf(username) {
    const read = this.isPartial ? this.#others.get(username) : null;
    return this.#room.people.get(username)?.status ?? read?.status ?? "offline";
  }

  /** When that status began: null for never, undefined when nobody told us. */
  sinceOf(username) {
    return this.#about(username).since;
  }

  /** Undefined for who has none but the username. */
  nameOf(username) {
    return this.#about(username).name || this.#others.get(username)?.name || undefined;
  }

  /** {text, until}: the person's own words, and the Unix second until when they hold. */
  wordsOf(username) {
    const { text, until } = this.#about(username);
    return { text, until };
  }

  /** "computer", "mobile": what they are on, if they let others know. */
  devicesOf(username) {
    return this.#room.people.get(username)?.devices ?? [];
  }

  /** Whether one has chosen oneself to be seen as offline. */
  get isInvisible() {
    return this.#room.choice?.status === "invisible";
  }

  /** Whether this one is, and not all because the line is lost. */
  isLastKnown(username) {
    return !this.#room.stale && this.#room.isLastKnown(username);
  }

  /** Takes a page of `/api/users`. */
  note(users) {
    for (const { username, ...told } of users) {
      const known = this.#others.get(username);
      if (told.status !== "offline" && !this.isPartial && !this.isHere(username)) {
        // The room has said later than the page was made.
        Object.assign(told, { status: "offline", since: known?.since });
      } else if (told.status === "offline" && known?.status === "offline") {
        if (known.since > told.since) continue;
      }
      this.#others.set(username, told);
    }
  }

  /** After a change of the room: the names of those who came, who left, and whose account went. */
  follow({ added, removed, others }) {
    if (this.isPartial && this.#room.counts) this.hold(null);
    const came = [...added.keys()].filter((username) => this.#comes(username));
    const left = [...removed]
      .filter(([username, { status }]) => this.#here.delete(username) && isGone(status))
      .map(([username]) => username);
    for (const username of added.keys()) {
      this.#here.add(username);
      this.#deleted.delete(username);
    }
    for (const [username, person] of removed) {
      if (isGone(person.status)) this.#setOffline(username, person);
      // One looks away.
      else this.#others.set(username, person);
    }
    for (const [username, about] of others) {
      const { since, status } = this.#others.get(username) ?? {};
      this.#others.set(username, { since, status, ...about });
    }
    const deleted = [...removed].filter(([, { status }]) => status === "deleted");
    for (const [username] of deleted) this.#delete(username);
    return { came, left, deleted };
  }

  // Or it is just that one looks there.
  #comes(username) {
    return !this.isPartial || this.#others.get(username)?.status === "offline";
  }

  #about(username) {
    return this.#room.people.get(username) ?? this.#others.get(username) ?? {};
  }

  #setOffline(username, { since, name, text, until }) {
    const known = this.#others.get(username) ?? {};
    // Nobody has told since when: that is not never.
    const then = since ?? undefined;
    const told = { name: name ?? known.name, text, until, since: then };
    this.#others.set(username, { ...told, status: "offline" });
  }

  #delete(username) {
    this.#others.delete(username);
    this.#deleted.add(username);
  }
}
