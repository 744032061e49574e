// Usernames in the order of their lower-case letters, as the server orders them.

const key = (username) => username.toLowerCase();

export class Names {
  #keys = [];
  #typed = new Map(); // key -> as typed

  get length() {
    return this.#keys.length;
  }

  has(username) {
    return this.#typed.has(key(username));
  }

  at(index) {
    return this.#typed.get(this.#keys[index]);
  }

  /** Where it is; where it would stand when it is not here. */
  indexOf(username) {
    const wanted = key(username);
    let low = 0;
    let high = this.#keys.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#keys[middle] < wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  add(username) {
    if (this.has(username)) return;
    this.#keys.splice(this.indexOf(username), 0, key(username));
    this.#typed.set(key(username), username);
  }

  remove(username) {
    if (!this.has(username)) return;
    this.#keys.splice(this.indexOf(username), 1);
    this.#typed.delete(key(username));
  }

  /** Many at once cost one sort, not one splice each. */
  addAll(usernames) {
    for (const username of usernames) {
      if (this.has(username)) continue;
      this.#keys.push(key(username));
      this.#typed.set(key(username), username);
    }
    this.#keys.sort();
  }
}

/** Whether the server's search for `prefix` finds this name. */
export const begins = (username, prefix) => key(username).startsWith(key(prefix));

export const inOrder = (one, other) => key(one) <= key(other);
