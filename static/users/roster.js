// Who is here, as the socket said it. Nothing else may answer that question.

const STATUSES = ["online", "away", "offline"];

export class Roster {
  #here = new Map(); // username -> {status, since}
  #lastSeen = new Map(); // username -> Unix second, or null for never
  #deleted = new Set();
  #degraded = false;
  #heard = new Set(); // whose status is known although other servers are silent

  get count() {
    return this.#here.size;
  }

  names() {
    return this.#here.keys();
  }

  isHere(username) {
    return this.#here.has(username);
  }

  isDeleted(username) {
    return this.#deleted.has(username);
  }

  statusOf(username) {
    return this.#here.get(username)?.status ?? "offline";
  }

  /** When that status began: null for never, undefined when nobody told us. */
  sinceOf(username) {
    return this.#here.has(username) ? this.#here.get(username).since : this.#lastSeen.get(username);
  }

  /** These are with the server that we hear: their status is known. */
  confirm(usernames) {
    for (const username of usernames) this.#heard.add(username);
  }

  /** While other servers cannot be heard, all are as last known but whom ours has, or tells of. */
  isLastKnown(username) {
    return this.#degraded && this.#here.has(username) && !this.#heard.has(username);
  }

  set degraded(value) {
    if (value === this.#degraded) return;
    this.#degraded = value;
    this.#heard.clear();
  }

  /** Takes the last-seen times of a page of `/api/users`; its statuses are none of our business. */
  note(users) {
    for (const { username, status, since } of users) {
      if (status !== "offline" || this.#here.has(username)) continue;
      const known = this.#lastSeen.get(username) ?? null;
      // The socket may have said later than the page was made.
      if (known === null || since > known) this.#lastSeen.set(username, since);
    }
  }

  /** Applies a snapshot or changes; returns the status that each username touched had before. */
  apply(message) {
    const before = new Map();
    if (message.type === "snapshot") this.#forgetAllBut(message, before);
    for (const status of STATUSES) {
      for (const [username, since] of Object.entries(message[status] ?? {})) {
        if (!before.has(username)) before.set(username, this.statusOf(username));
        this.#put(username, status, since);
      }
    }
    for (const username of Object.keys(message.deleted ?? {})) {
      before.set(username, this.statusOf(username));
      this.#here.delete(username);
      this.#lastSeen.delete(username);
      this.#deleted.add(username);
    }
    return before;
  }

  // Whoever a snapshot does not name has left; when, it does not say.
  #forgetAllBut({ online = {}, away = {} }, before) {
    for (const [username, { status }] of this.#here) {
      if (Object.hasOwn(online, username) || Object.hasOwn(away, username)) continue;
      before.set(username, status);
      this.#here.delete(username);
      this.#lastSeen.delete(username);
    }
  }

  #put(username, status, since) {
    this.#deleted.delete(username);
    this.#heard.add(username);
    if (status === "offline") {
      this.#here.delete(username);
      this.#lastSeen.set(username, since);
    } else {
      this.#here.set(username, { status, since });
    }
  }
}
