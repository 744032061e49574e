// Usernames in the order of their lower-case letters, as the server orders them.

const lower = (username) => username.toLowerCase();

export class Names {
  #keys = [];
  #typed = new Map(); // key -> as typed
  #foremost;

  /** `foremost` stands before all others. */
  constructor(foremost = "") {
    this.#foremost = lower(foremost);
  }

  get length() {
    return this.#keys.length;
  }

  has(username) {
    return this.#typed.has(this.#key(username));
  }

  at(index) {
    return this.#typed.get(this.#keys[index]);
  }

  /** Where it is, or would be. */
  indexOf(username) {
    const key = this.#key(username);
    let low = 0;
    let high = this.#keys.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#keys[middle] < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  add(username) {
    if (this.has(username)) return;
    this.#keys.splice(this.indexOf(username), 0, this.#key(username));
    this.#typed.set(this.#key(username), username);
  }

  remove(username) {
    if (!this.has(username)) return;
    this.#keys.splice(this.indexOf(username), 1);
    this.#typed.delete(this.#key(username));
  }

  /** Many at once cost one sort, not a splice each. */
  addAll(usernames) {
    for (const username of usernames) {
      if (this.has(username)) continue;
      this.#keys.push(this.#key(username));
      this.#typed.set(this.#key(username), username);
    }
    this.#keys.sort();
  }

  #key(username) {
    const key = lower(username);
    return key === this.#foremost ? "" : key;
  }
}

// Without accents, as the server folds them.
const folded = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

/** Whether what was typed stands anywhere in a username, or in the name beside it. */
export function matches(typed, username, name = "") {
  const part = folded(typed);
  return folded(username).includes(part) || folded(name).includes(part);
}

/** Whether it stands at the beginning of a username, or of a word of the name. */
export function begins(typed, username, name = "") {
  const part = folded(typed);
  if (folded(username).startsWith(part)) return true;
  return folded(name).split(/(?<=[\p{Z}\p{P}\p{S}])(?=[\p{L}\p{N}])/u).some(
    (_, at, words) => words.slice(at).join("").startsWith(part),
  );
}

export const inOrder = (one, other) => lower(one) <= lower(other);
