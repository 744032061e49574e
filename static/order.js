// Which names the list shows, and in which order: who is here, then the others as far as read.

import { Names, begins, inOrder } from "./names.js";

export class Order {
  #roster;
  #directory;
  #prefix;
  #here = new Names();
  #others = new Names();
  hereOnly;

  constructor(roster, directory, prefix, hereOnly) {
    this.#roster = roster;
    this.#directory = directory;
    this.#prefix = prefix;
    this.hereOnly = hereOnly;
  }

  get length() {
    return this.#here.length + (this.hereOnly ? 0 : this.#others.length);
  }

  at(index) {
    const first = this.#here.length;
    return index < first ? this.#here.at(index) : this.#others.at(index - first);
  }

  /** -1 when it is not shown. */
  indexOf(username) {
    if (this.#here.has(username)) return this.#here.indexOf(username);
    if (this.hereOnly || !this.#others.has(username)) return -1;
    return this.#here.length + this.#others.indexOf(username);
  }

  /** Whether this name no longer stands where it belongs. */
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

  /** Fills an empty order. */
  fill(usernames) {
    const all = [...usernames];
    this.#here.addAll(all.filter((username) => this.#belongsHere(username)));
    this.#others.addAll(all.filter((username) => this.#belongsToOthers(username)));
  }

  /** Adds a page of the directory without moving a row that is shown already. */
  append(usernames) {
    this.#others.addAll(
      usernames.filter((one) => !this.#here.has(one) && this.#belongsToOthers(one)),
    );
  }

  #belongsHere(username) {
    return this.#roster.isHere(username) && begins(username, this.#prefix);
  }

  // Names beyond the last page read come with their own page.
  #belongsToOthers(username) {
    return (
      !this.#roster.isHere(username) &&
      !this.#roster.isDeleted(username) &&
      begins(username, this.#prefix) &&
      (this.#directory.complete ||
        (this.#directory.after !== null && inOrder(username, this.#directory.after)))
    );
  }
}
