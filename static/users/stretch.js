// Names of one status out of a list that is too long to be had: those around the screen, in the
// order of the server, and where in the list they stand.

import { readUsers } from "./directory.js";
import { elapsed } from "./elapsed.js";
import { Names, inOrder } from "./names.js";

const PAGE = 120;
const BEFORE = 40; // of them above the first that is asked for
const AGAIN = 2_000; // what was not there a moment ago is not asked for at once

export class Stretch {
  #query;
  #me;
  #apart;
  #count;
  #names = new Names();
  #before = 0; // how many the server has before the first of them
  #total = 0;
  #hasMe = false; // oneself stands first, wherever the server has one
  #asked = null;
  #askedAt = 0;

  /**
   * `apart()` are those whom the server counts here and who stand elsewhere on the page, or first.
   * `count()` says how many the server has now; null: as many as with the last page.
   */
  constructor(status, typed, me, { apart, count }) {
    this.#query = typed ? { status, q: typed } : { status };
    this.#me = me;
    this.#apart = apart;
    this.#count = count;
  }

  get length() {
    const length = (this.#count() ?? this.#total) - this.#apart().length + Number(this.#hasMe);
    return Math.max(length, this.#first + this.#names.length);
  }

  // The index of the first name.
  get #first() {
    if (!this.#names.length) return Number(this.#hasMe);
    const apart = this.#apart().filter((one) => inOrder(one, this.#names.at(0)));
    return Math.max(0, this.#before - apart.length) + Number(this.#hasMe);
  }

  has(username) {
    return username === this.#me ? this.#hasMe : this.#names.has(username);
  }

  /** Undefined for who has not been read. */
  at(index) {
    if (this.#hasMe && index === 0) return this.#me;
    return this.#names.at(index - this.#first);
  }

  indexOf(username) {
    if (username === this.#me) return 0;
    return this.#first + this.#names.indexOf(username);
  }

  /** `isCounted`: the server has this one in the list already. */
  add(username, isCounted = false) {
    if (!isCounted) this.#total += 1;
    if (username === this.#me) this.#hasMe = true;
    else if (this.#isWithin(username)) this.#names.add(username);
    else if (!isCounted && this.#isBefore(username)) this.#before += 1;
  }

  /** `isCounted`: the server still has this one in the list. */
  remove(username, isCounted = false) {
    if (!isCounted) this.#total -= 1;
    if (username === this.#me) this.#hasMe = false;
    else if (this.#names.has(username)) this.#names.remove(username);
    else if (!isCounted && this.#isBefore(username)) this.#before -= 1;
  }

  /** Only oneself: the others come with their page. */
  addAll(usernames) {
    if (usernames.includes(this.#me)) this.#hasMe = true;
  }

  #isBefore(username) {
    return this.#names.length > 0 && inOrder(username, this.#names.at(0));
  }

  #isWithin(username) {
    const last = this.#names.at(this.#names.length - 1);
    const isBehind = last === undefined || !inOrder(username, last);
    if (isBehind) return this.#first + this.#names.length >= this.length - 1;
    return !this.#isBefore(username) || this.#before === 0;
  }

  /** Whether these are there, or were asked for in vain a moment ago. */
  covers(first, last) {
    if (this.#asked === first && elapsed() - this.#askedAt < AGAIN) return true;
    const from = this.#hasMe && first === 0 ? 1 : first;
    return from >= Math.min(last, this.#first) && last <= this.#first + this.#names.length;
  }

  /** What the server has around an index; null when it could not be had. */
  async ask(index) {
    this.#asked = index;
    this.#askedAt = elapsed();
    const at = Math.max(0, index + this.#apart().length - BEFORE);
    try {
      return await readUsers({ ...this.#query, at, limit: PAGE });
    } catch {
      return null;
    }
  }

  /** An answer, and the names in it that belong here. */
  take({ at, count }, usernames) {
    this.#before = at;
    this.#total = count;
    this.#names = new Names();
    this.#names.addAll(usernames.filter((one) => one !== this.#me));
  }
}
