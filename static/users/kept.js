// Usernames that this browser keeps for one person, the same in all tabs: favourites, bells.

export class Kept {
  #key;
  #names;
  #onChange;

  /** `onChange(usernames)` is told of what has come or gone, here or in another tab. */
  constructor(what, me, onChange = () => {}) {
    this.#key = `${what} of ${me}`;
    this.#onChange = onChange;
    this.#names = this.#read();
    addEventListener("storage", ({ key }) => key === this.#key && this.#follow());
  }

  has(username) {
    return this.#names.has(username);
  }

  [Symbol.iterator]() {
    return this.#names.values();
  }

  set(username, kept) {
    this.#follow();
    if (this.#names.has(username) === kept) return;
    if (kept) this.#names.add(username);
    else this.#names.delete(username);
    this.#write();
    this.#onChange([username]);
  }

  toggle(username) {
    this.set(username, !this.has(username));
  }

  #follow() {
    const before = this.#names;
    this.#names = this.#read();
    const changed = [...before, ...this.#names].filter((one) => before.has(one) !== this.has(one));
    if (changed.length) this.#onChange(changed);
  }

  // Where storage is switched off, it holds until the page is closed.
  #read() {
    try {
      return new Set(JSON.parse(localStorage.getItem(this.#key) ?? "[]"));
    } catch {
      return new Set(this.#names);
    }
  }

  #write() {
    try {
      localStorage.setItem(this.#key, JSON.stringify([...this.#names]));
    } catch {
      // As above.
    }
  }
}
