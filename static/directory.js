// The accounts whose names begin with a prefix, page by page from /api/users, in order of name.

const PAGE = 200;

export class Directory {
  #prefix;
  #after;
  #loading = null;
  complete;

  constructor(prefix, after = null, complete = false) {
    this.#prefix = prefix;
    this.#after = after;
    this.complete = complete;
  }

  /** The last name we have read up to, or null before the first page. */
  get after() {
    return this.#after;
  }

  get loading() {
    return this.#loading !== null;
  }

  /** The next page; rejects when it could not be had. One at a time. */
  next() {
    this.#loading ??= this.#fetch().finally(() => (this.#loading = null));
    return this.#loading;
  }

  async #fetch() {
    const query = new URLSearchParams({ limit: PAGE });
    if (this.#prefix) query.set("q", this.#prefix);
    if (this.#after !== null) query.set("after", this.#after);
    const answer = await fetch(`/api/users?${query}`, { headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error(`/api/users answered ${answer.status}`);
    const { users, next } = await answer.json();
    if (users.length) this.#after = users.at(-1).username;
    this.complete = next === null;
    return users;
  }
}
