// The accounts that the server finds, page by page from /api/users, in order of username.

import { elapsed } from "./elapsed.js";
import { site } from "./site.js";

const PAGE = 200;
const RETRY = 5_000;

export class Directory {
  /** The usernames that have been read. */
  names;
  /** Whether to ask for those only who are not here. */
  offlineOnly = false;
  #typed;
  #loading = false;
  #retryAt = 0;

  /** `after`: the name that was read last, null for none; `complete`: there are no more. */
  constructor(typed = "", { names = [], after = null, complete = false } = {}) {
    this.#typed = typed;
    this.names = new Set(names);
    this.after = after;
    this.complete = complete;
  }

  /** Whether the server has found this one for what was typed. */
  finds(username) {
    return this.#typed !== "" && this.names.has(username);
  }

  get failed() {
    return this.#retryAt > 0;
  }

  /** Whether a page may be read now: one at a time, and after a failure not at once. */
  get ready() {
    return !this.complete && !this.#loading && elapsed() >= this.#retryAt;
  }

  /** Forgets that reading failed a moment ago. */
  retry() {
    this.#retryAt = 0;
  }

  /** The users of the next page; null when it could not be had. */
  async next() {
    this.#loading = true;
    const { after } = this;
    try {
      const page = await readUsers(this.#query);
      // Or nextAtOnce() has been quicker.
      return after === this.after ? this.#take(page) : page.users;
    } catch {
      this.#retryAt = elapsed() + RETRY;
      return null;
    } finally {
      this.#loading = false;
    }
  }

  /** The same without waiting: a browser that prints does not wait either. */
  nextAtOnce() {
    const request = new XMLHttpRequest();
    request.open("GET", urlOf(this.#query), false);
    try {
      request.send();
      return request.status === 200 ? this.#take(JSON.parse(request.responseText)) : null;
    } catch {
      return null;
    }
  }

  #take({ users, next }) {
    this.after = next ?? users.at(-1)?.username ?? this.after;
    this.complete = next === null;
    this.#retryAt = 0;
    for (const { username } of users) this.names.add(username);
    return users;
  }

  get #query() {
    const query = { limit: PAGE };
    if (this.#typed) query.q = this.#typed;
    if (this.after !== null) query.after = this.after;
    if (this.offlineOnly) query.status = "offline";
    return query;
  }
}

const urlOf = (query) => new URL(`api/users?${new URLSearchParams(query)}`, site);

/** A page of `/api/users`. */
export async function readUsers(query) {
  const answer = await fetch(urlOf(query));
  // No name can be what was typed.
  if (answer.status === 400) return { users: [], next: null, at: 0, count: 0 };
  if (!answer.ok) throw new Error(`/api/users answered ${answer.status}`);
  return answer.json();
}
