// Which names the list shows, by group and in order: favourites, who is online, who is away, and
// the others as far as the directory has been read. Oneself stands first in each.

import { Names, inOrder, matches } from "./names.js";

export const GROUPS = ["favourites", "online", "away", "offline"];

export class Order {
  #roster;
  #directory;
  #favourites;
  #search;
  #names;
  #groupOf = new Map(); // username -> the group in which it is shown

  /** `search` is {typed, hereOnly}; `favourites` has a method `has`. */
  constructor(roster, directory, favourites, me, search) {
    this.#roster = roster;
    this.#directory = directory;
    this.#favourites = favourites;
    this.#search = search;
    this.#names = new Map(GROUPS.map((group) => [group, new Names(me)]));
  }

  get length() {
    return this.#groupOf.size;
  }

  lengthOf(group) {
    return this.#names.get(group).length;
  }

  /** Whether there are no more than these. */
  get complete() {
    return this.#search.hereOnly || this.#directory.complete;
  }

  at(group, index) {
    return this.#names.get(group).at(index);
  }

  /** Null when it is not shown. */
  placeOf(username) {
    const group = this.#groupOf.get(username);
    return group ? { group, index: this.#names.get(group).indexOf(username) } : null;
  }

  /** Whether this name stands where it does not belong, or is missing. */
  isMisplaced(username) {
    return this.#groupOf.get(username) !== this.#belonging(username);
  }

  place(usernames) {
    for (const username of usernames) {
      if (!this.isMisplaced(username)) continue;
      const group = this.#belonging(username);
      this.#names.get(this.#groupOf.get(username))?.remove(username);
      if (group) this.#names.get(group).add(username);
      if (group) this.#groupOf.set(username, group);
      else this.#groupOf.delete(username);
    }
  }

  /** Adds many names that are not shown yet, without moving a row that is. */
  append(usernames) {
    const missing = usernames.filter((one) => !this.#groupOf.has(one));
    for (const username of missing) {
      const group = this.#belonging(username);
      if (group) this.#groupOf.set(username, group);
    }
    for (const [group, names] of this.#names) {
      names.addAll(missing.filter((one) => this.#groupOf.get(one) === group));
    }
  }

  // Undefined for who is not to be shown.
  #belonging(username) {
    if (this.#roster.isDeleted(username) || !this.#isFound(username)) return undefined;
    const isHere = this.#roster.isHere(username);
    if (!isHere && this.#search.hereOnly) return undefined;
    if (this.#favourites.has(username)) {
      return this.#roster.knows(username) ? "favourites" : undefined;
    }
    if (isHere) return this.#roster.statusOf(username) === "away" ? "away" : "online";
    return this.#isRead(username) ? "offline" : undefined;
  }

  #isFound(username) {
    const { typed } = this.#search;
    if (typed === "" || this.#directory.finds(username)) return true;
    return matches(typed, username, this.#roster.nameOf(username));
  }

  // Names beyond the last page read come with their own page.
  #isRead(username) {
    const { after, complete } = this.#directory;
    return complete || (after !== null && inOrder(username, after));
  }
}
