// Who is here, and when the others were: what the room says, and pages of /api/users beside it.

export class Roster {
  #room;
  #here = new Set(); // as of the last change, to tell who comes and who leaves
  #lastSeen = new Map(); // username -> Unix second, or null for never
  #deleted = new Set();

  constructor(room) {
    this.#room = room;
  }

  get count() {
    return this.#room.people.size;
  }

  names() {
    return this.#room.people.keys();
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
    return (this.#room.people.get(username) ?? { since: this.#lastSeen.get(username) }).since;
  }

  /** Whether this one is, and not all because the line is lost. */
  isLastKnown(username) {
    return !this.#room.stale && this.#room.isLastKnown(username);
  }

  /** Takes the last-seen times of a page of `/api/users`; its statuses are none of our business. */
  note(users) {
    for (const { username, status, since } of users) {
      if (status !== "offline" || this.isHere(username)) continue;
      const known = this.#lastSeen.get(username) ?? null;
      // The socket may have said later than the page was made.
      if (known === null || since > known) this.#lastSeen.set(username, since);
    }
  }

  /** After a change of the room: the names of those who came, who left, and whose account went. */
  follow({ added, removed }) {
    const came = [...added.keys()];
    const left = [...removed.keys()].filter((username) => this.#here.delete(username));
    for (const username of came) {
      this.#here.add(username);
      this.#deleted.delete(username);
    }
    for (const [username, { since }] of removed) this.#setLastSeen(username, since);
    const deleted = [...removed].filter(([, { status }]) => status === "deleted");
    for (const [username] of deleted) this.#delete(username);
    return { came, left, deleted };
  }

  #setLastSeen(username, since) {
    if (since === null) this.#lastSeen.delete(username);
    else this.#lastSeen.set(username, since);
  }

  #delete(username) {
    this.#lastSeen.delete(username);
    this.#deleted.add(username);
  }
}
