// Which names the list shows, and in which order: oneself, who else is here, then the others as
// far as the directory has been read.

import { Names, begins, inOrder } from "./names.js";

export class Order {
  #roster;
  #directory;
  #prefix;
  #hereOnly;
  #here;
  #others = new Names();

  constructor(roster, directory, { me, prefix, hereOnly }) {
    this.#roster = roster;
    this.#directory = directory;
    this.#prefix = prefix;
    this.#hereOnly = hereOnly;
    this.#here = new Names(me);
  }

  get length() {
    return this.#here.length + (this.#hereOnly ? 0 : this.#others.length);
  }

  /** How many there will be with every page read; -1 when that is not known. */
  get whole() {
    return this.#hereOnly || this.#directory.complete ? this.length : -1;
  }

  at(index) {
    const first = this.#here.length;
    return index < first ? this.#here.at(index) : this.#others.at(index - first);
  }

  /** -1 when it is not shown. */
  indexOf(username) {
    if (this.#here.has(username)) return this.#here.indexOf(username);
    if (this.#hereOnly || !this.#others.has(username)) return -1;
    return this.#here.length + this.#others.indexOf(username);
  }

  /** Whether this name stands where it does not belong, or is missing. */
  isMisplaced(username) {
    return (
      this.#here.has(username) !== this.#belongsHere(username) ||
      this.#others.has(username) !== this.#belongsToOthers(username)
    );
  }

  place(usernames) {
    for (const username of usernames) {
      if (this.#belongsHere(username)) this.#here.add(username);
      else this.#here.remove(username);
      if (this.#belongsToOthers(username)) this.#others.add(username);
      else this.#others.remove(username);
    }
  }

  /** Adds many names that are not shown yet, without moving a row that is. */
  append(usernames) {
    const missing = usernames.filter((one) => !this.#here.has(one) && !this.#others.has(one));
    this.#here.addAll(missing.filter((one) => this.#belongsHere(one)));
    this.#others.addAll(missing.filter((one) => this.#belongsToOthers(one)));
  }

  #belongsHere(username) {
    return this.#roster.isHere(username) && begins(username, this.#prefix);
  }

  // Names beyond the last page read come with their own page.
  #belongsToOthers(username) {
    const { after, complete } = this.#directory;
    return (
      !this.#roster.isHere(username) &&
      !this.#roster.isDeleted(username) &&
      begins(username, this.#prefix) &&
      (complete || (after !== null && inOrder(username, after)))
    );
  }
}
