// Who is here, as the socket said it. Nothing else may answer that question.

const STATUSES = ["online", "away", "offline"];

export class Roster {
  #here = new Map(); // username -> {status, since}
  #lastSeen = new Map(); // username -> Unix second, or null for never
  #deleted = new Set();

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

  /** When that status began; undefined when nobody told us. */
  sinceOf(username) {
    return this.#here.has(username) ? this.#here.get(username).since : this.#lastSeen.get(username);
  }

  /** Takes the last-seen times of a page of `/api/users`; its statuses are none of our business. */
  note(users) {
    for (const { username, status, since } of users) {
      if (status === "offline" && !this.#here.has(username)) this.#lastSeen.set(username, since);
    }
  }

  /** Applies a message; returns the usernames it touched as a Map to the status each had before. */
  apply(message) {
    const before = new Map();
    if (message.type === "snapshot") this.#forgetAllBut(message, before);
    for (const status of STATUSES) {
      for (const [username, since] of Object.entries(message[status] ?? {})) {
        before.set(username, before.get(username) ?? this.statusOf(username));
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
  #forgetAllBut(snapshot, before) {
    for (const [username, { status }] of this.#here) {
      if (username in (snapshot.online ?? {}) || username in (snapshot.away ?? {})) continue;
      before.set(username, status);
      this.#here.delete(username);
      this.#lastSeen.delete(username);
    }
  }

  #put(username, status, since) {
    this.#deleted.delete(username);
    if (status === "offline") {
      this.#here.delete(username);
      this.#lastSeen.set(username, since);
    } else {
      this.#here.set(username, { status, since });
    }
  }
}
