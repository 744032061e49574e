// Which names the list shows, by group and in order: favourites, who is online, who is away, and
// the others as far as the directory has been read. Oneself stands first in each.

import { Names, begins, inOrder, matches } from "./names.js";
import { Stretch } from "./stretch.js";

export const GROUPS = ["favourites", "online", "away", "offline"];

const LONG = ["online", "away"];

export class Order {
  #me;
  #roster;
  #directory;
  #favourites;
  #search;
  #names;
  #groupOf = new Map(); // username -> the group in which it is shown

  /**
   * `search` is {typed, hereOnly}. `isPartial`: of who is online and who is away there are
   * stretches only, which have to be asked for.
   */
  constructor(roster, directory, favourites, me, search, isPartial) {
    this.#me = me;
    this.#roster = roster;
    this.#directory = directory;
    this.#favourites = favourites;
    this.#search = search;
    this.#names = new Map(GROUPS.map((group) => [group, new Names(me)]));
    if (isPartial) for (const group of LONG) this.#names.set(group, this.#stretch(group));
    this.stretches = isPartial ? LONG : [];
  }

  #stretch(group) {
    const { typed } = this.#search;
    const apart = () => this.#apart(group);
    // What a search finds nobody counts all the time.
    const count = typed === "" ? () => this.#roster.counted(group) : () => null;
    return new Stretch(group, typed, this.#me, { apart, count });
  }

  // In the order of names these stand in the group, on the page they do not.
  #apart(group) {
    const { typed } = this.#search;
    return [...new Set([this.#me, ...this.#favourites])].filter(
      (one) =>
        this.#hereGroup(one) === group &&
        (typed === "" || begins(typed, one, this.#roster.nameOf(one))),
    );
  }

  /** Whether the stretch has these indexes. */
  covers(group, first, last) {
    return this.#names.get(group).covers(first, last);
  }

  /** A page of the stretch around an index, for `take`; null when it could not be had. */
  ask(group, index) {
    return this.#names.get(group).ask(index);
  }

  /** What `ask` has brought, and the roster noted. */
  take(group, page) {
    const names = page.users.map(({ username }) => username);
    const mine = names.filter((one) => this.#belonging(one) === group);
    for (const username of mine) {
      const before = this.#groupOf.get(username);
      if (before !== group) this.#names.get(before)?.remove(username, true);
      this.#groupOf.set(username, group);
    }
    this.#names.get(group).take(page, mine);
    this.append([this.#me]);
  }

  get length() {
    return GROUPS.reduce((sum, group) => sum + this.lengthOf(group), 0);
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
    const isShown = group && this.#names.get(group).has(username);
    return isShown ? { group, index: this.#names.get(group).indexOf(username) } : null;
  }

  /** Whether this name stands where it does not belong, or is missing. */
  isMisplaced(username) {
    return this.#groupOf.get(username) !== this.#belonging(username);
  }

  place(usernames) {
    for (const username of usernames) {
      if (!this.isMisplaced(username)) continue;
      const [before, group] = [this.#groupOf.get(username), this.#belonging(username)];
      // A favourite has not changed its status by that, nor has who has not been read yet.
      const isCounted = [before, group].includes("favourites") || before === undefined;
      this.#names.get(before)?.remove(username, isCounted);
      if (group) this.#names.get(group).add(username, isCounted);
      if (group) this.#groupOf.set(username, group);
      else this.#groupOf.delete(username);
    }
  }

  /** Adds many names that are not shown yet, without moving a row that is. */
  append(usernames) {
    const missing = usernames.filter((one) => !this.placeOf(one));
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
    return this.#hereGroup(username) ?? (this.#isRead(username) ? "offline" : undefined);
  }

  #hereGroup(username) {
    const status = this.#roster.statusOf(username);
    if (status === "offline") return undefined;
    return status === "away" ? "away" : "online";
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
