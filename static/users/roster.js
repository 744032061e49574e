// Who is here, and what is known of the others: the room, and pages of /api/users beside it.

export class Roster {
  #room;
  #here = new Set(); // as of the last change, to tell who comes and who leaves
  #others = new Map(); // username -> {since, name, text, until}; since is null for never
  #deleted = new Set();

  constructor(room) {
    this.#room = room;
  }

  get count() {
    return this.#room.people.size;
  }

  here() {
    return this.#room.people.keys();
  }

  knows(username) {
    return this.isHere(username) || this.#others.has(username);
  }

  isHere(username) {
    return this.#room.people.has(username);
  }

  isDeleted(username) {
    return this.#deleted.has(username);
  }

  statusOf(username) {
    return this.#room.people.get(username)?.status ?? "offline";
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

  /** Takes a page of `/api/users`; the statuses in it are none of our business. */
  note(users) {
    for (const { username, status, ...told } of users) {
      const known = this.#others.get(username);
      // Of those who are here the name alone: the room may have said later than the page was made.
      if (status !== "offline" || this.isHere(username)) told.since = known?.since;
      else if (known?.since > told.since) continue;
      this.#others.set(username, told);
    }
  }

  /** After a change of the room: the names of those who came, who left, and whose account went. */
  follow({ added, removed, others }) {
    const came = [...added.keys()];
    const left = [...removed.keys()].filter((username) => this.#here.delete(username));
    for (const username of came) {
      this.#here.add(username);
      this.#deleted.delete(username);
    }
    for (const [username, person] of removed) this.#setOffline(username, person);
    for (const [username, about] of others) {
      this.#others.set(username, { since: this.#others.get(username)?.since, ...about });
    }
    const deleted = [...removed].filter(([, { status }]) => status === "deleted");
    for (const [username] of deleted) this.#delete(username);
    return { came, left, deleted };
  }

  #about(username) {
    return this.#room.people.get(username) ?? this.#others.get(username) ?? {};
  }

  #setOffline(username, { since, name, text, until }) {
    const known = this.#others.get(username) ?? {};
    // Nobody has told since when: that is not never.
    const then = since ?? undefined;
    this.#others.set(username, { name: name ?? known.name, text, until, since: then });
  }

  #delete(username) {
    this.#others.delete(username);
    this.#deleted.add(username);
  }
}
