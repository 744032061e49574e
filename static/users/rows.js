// Draws the rows that are on the screen, and no others, into groups of any length.

import { GROUPS } from "./order.js";

const SPARE = 8; // rows drawn above and below the screen
const GLIDE = { duration: 240, easing: "ease-out" };
const GLOW = { duration: 1600, easing: "ease-out" };
const still = matchMedia("(prefers-reduced-motion: reduce)");

export class Rows {
  #place;
  #cover;
  #blank;
  #fill;
  #groups; // name -> {section, title, list}
  #order = null;
  #shown = new Map(); // username -> li
  #height = 0; // of one row
  #whole = false; // whether all rows are drawn
  #awaited = null; // {group, index} of the row that gets the focus once it is drawn
  #stop = null; // the name of the row that Tab reaches

  /**
   * `place` holds a section for each group. `cover` stays above the list while it scrolls.
   * `fill(row, username)` writes what is known into a row, and returns whether it showed another
   * status of this user before.
   */
  constructor(place, cover, template, fill) {
    this.#place = place;
    this.#cover = cover;
    this.#blank = template.content.querySelector("li");
    this.#fill = fill;
    this.#groups = new Map(GROUPS.map((name) => [name, this.#find(name)]));
    place.addEventListener("keydown", (event) => this.#walk(event));
    place.addEventListener("focusin", (event) => {
      this.#stop = event.target.closest("li")?.dataset.username ?? null;
      this.#awaited = null;
    });
  }

  #find(name) {
    const section = this.#place.querySelector(`[data-group="${name}"]`);
    return { section, title: section.querySelector("h2"), list: section.querySelector("ul") };
  }

  /** Shows another order; the rows that the list has already, the server's too, are kept. */
  show(order) {
    this.#order = order;
    for (const row of this.#place.querySelectorAll("li")) {
      this.#shown.set(row.dataset.username, row);
    }
    // A further page of the server's, in no groups: its rows go to theirs.
    this.#place.querySelector('[data-group="all"]')?.remove();
    this.measure();
    this.#place.classList.add("virtual");
    this.#size();
  }

  get order() {
    return this.#order;
  }

  /** Another one in the midst of `draw`. */
  set order(order) {
    this.#order = order;
  }

  /** The names of the rows that are drawn. */
  get names() {
    return [...this.#shown.keys()];
  }

  measure() {
    const row = this.#place.appendChild(this.#blank.cloneNode(true));
    this.#height = row.getBoundingClientRect().height;
    row.remove();
    this.#place.style.setProperty("--cover", `${this.#cover.offsetHeight}px`);
  }

  /** How many rows lie below the screen. */
  get below() {
    return GROUPS.reduce((sum, name) => sum + this.#belowIn(name), 0);
  }

  #belowIn(name) {
    return this.#order.lengthOf(name) - Math.max(0, this.onScreen(name).last);
  }

  /** Whether nothing is above the screen. */
  get atTop() {
    // An empty list has no place on the page.
    if (this.#order.length === 0) return true;
    return this.#place.getBoundingClientRect().top >= this.#covered() - 1;
  }

  /** Brings the first row onto the screen when it lies above. */
  toTop() {
    const above = this.#place.getBoundingClientRect().top - this.#covered();
    if (above < 0) scrollBy(0, above);
  }

  /**
   * Draws what is on the screen. `change`, if any, changes the order: a screen in the middle of
   * the list then keeps the rows that it shows where they are.
   */
  draw(change = () => {}) {
    const before = new Map([...this.#shown.keys()].map((one) => [one, this.#yOf(one)]));
    const anchor = this.#anchor();
    change();
    this.#size();
    const isThere = anchor !== null && this.#order.placeOf(anchor);
    const shift = isThere ? this.#yOf(anchor) - before.get(anchor) : 0;
    if (shift) scrollBy(0, shift);
    this.#drawRows();
    if (!shift) this.#glide(before);
  }

  /** Draws all rows, for paper, until it is told to stop. */
  set whole(value) {
    this.#whole = value;
  }

  #size() {
    for (const [name, { section, list }] of this.#groups) {
      const length = this.#order.lengthOf(name);
      const height = `${length * this.#height}px`;
      if (list.style.height !== height) list.style.height = height;
      if (section.hidden !== (length === 0)) section.hidden = length === 0;
    }
  }

  #drawRows() {
    const drawn = [...this.#groups.keys()].map((name) => [name, this.#indexesToDraw(name)]);
    const keep = new Set(
      drawn.flatMap(([name, indexes]) => indexes.map((index) => this.#order.at(name, index))),
    );
    for (const [username, row] of this.#shown) {
      if (keep.has(username)) continue;
      row.remove();
      this.#shown.delete(username);
    }
    for (const [name, indexes] of drawn) this.#drawGroup(name, indexes);
    this.#giveStop();
    this.#focusAwaited();
  }

  #drawGroup(name, indexes) {
    const { list } = this.#groups.get(name);
    const size = name === "offline" && !this.#order.complete ? -1 : this.#order.lengthOf(name);
    let next = list.firstElementChild;
    for (const index of indexes) {
      const row = this.#drawRow(name, index, size);
      if (row === next) next = next.nextElementSibling;
      else list.insertBefore(row, next);
    }
  }

  #drawRow(name, index, size) {
    const username = this.#order.at(name, index);
    const known = this.#shown.get(username);
    const row = known ?? this.#blank.cloneNode(true);
    const changed = this.#fill(row, username);
    const place = this.#placed(index);
    if (row.style.transform !== place) row.style.transform = place;
    if (row.ariaPosInSet !== `${index + 1}`) row.ariaPosInSet = index + 1;
    if (row.ariaSetSize !== `${size}`) row.ariaSetSize = size;
    this.#shown.set(username, row);
    if (known && changed) this.#glow(row);
    return row;
  }

  #placed(index) {
    return `translateY(${index * this.#height}px)`;
  }

  // Where a row stands on the screen, or would stand; null when it is not shown.
  #yOf(username) {
    const place = this.#order.placeOf(username);
    return place && this.#topOf(place.group) + place.index * this.#height;
  }

  #topOf(name) {
    return this.#groups.get(name).list.getBoundingClientRect().top;
  }

  // The focused row is kept however far one scrolls: its focus must not fall to the body.
  #indexesToDraw(name) {
    const length = this.#order.lengthOf(name);
    const { first, last } = this.#whole ? { first: 0, last: length } : this.onScreen(name);
    const from = Math.max(0, Math.min(first - SPARE, length));
    const to = Math.min(length, Math.max(last + SPARE, 0));
    const indexes = Array.from({ length: Math.max(0, to - from) }, (_, offset) => from + offset);
    const focused = document.activeElement.closest?.("li")?.dataset.username;
    const place = this.#shown.has(focused) ? this.#order.placeOf(focused) : null;
    const at = place?.group === name ? place.index : -1;
    if (at >= 0 && at < from) indexes.unshift(at);
    if (at >= to) indexes.push(at);
    // What has not been read leaves a gap for as long.
    return indexes.filter((index) => this.#order.at(name, index) !== undefined);
  }

  #covered() {
    // Where there is no room for it, it does not stay.
    return Math.max(0, this.#cover.getBoundingClientRect().bottom);
  }

  /** The indexes from `first` to before `last` of a group. */
  onScreen(name) {
    const length = this.#order.lengthOf(name);
    if (length === 0) return { first: 0, last: 0 };
    const top = this.#topOf(name);
    const covered = this.#covered() + this.#groups.get(name).title.offsetHeight;
    return {
      first: Math.max(0, Math.ceil((covered - top) / this.#height)),
      last: Math.min(length, Math.ceil((innerHeight - top) / this.#height)),
    };
  }

  // The first row on the screen that is not about to move, when the list begins above it.
  #anchor() {
    if (this.atTop) return null;
    for (const name of this.#groups.keys()) {
      const { first, last } = this.onScreen(name);
      for (let index = first; index < last; index += 1) {
        const username = this.#order.at(name, index);
        if (this.#shown.has(username) && !this.#order.isMisplaced(username)) return username;
      }
    }
    return null;
  }

  #glide(before) {
    if (still.matches || document.hidden) return;
    for (const [username, row] of this.#shown) {
      const from = before.get(username) ?? null;
      const distance = from === null ? 0 : from - this.#yOf(username);
      if (!distance || Math.abs(distance) > innerHeight) continue;
      const to = row.style.transform;
      row.animate([{ transform: `${to} translateY(${distance}px)` }, { transform: to }], GLIDE);
    }
  }

  #glow(row) {
    if (still.matches || document.hidden) return;
    row.animate([{ backgroundColor: "var(--glow)" }, { backgroundColor: "transparent" }], GLOW);
  }

  #giveStop() {
    if (!this.#shown.has(this.#stop)) this.#stop = this.#firstOnScreen();
    for (const [username, row] of this.#shown) {
      const reach = username === this.#stop ? "0" : "-1";
      const button = row.querySelector(".open");
      if (button.getAttribute("tabindex") !== reach) button.setAttribute("tabindex", reach);
    }
  }

  #firstOnScreen() {
    for (const name of this.#groups.keys()) {
      const { first, last } = this.onScreen(name);
      if (first < last) return this.#order.at(name, first);
    }
    return null;
  }

  #walk(event) {
    const username = event.target.closest("li")?.dataset.username;
    const at = this.#numberOf(username);
    const page = Math.max(1, Math.floor((innerHeight - this.#covered()) / this.#height) - 2);
    const last = this.#order.length - 1;
    const to = {
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      PageDown: at + page,
      PageUp: at - page,
      Home: 0,
      End: last,
    }[event.key];
    if (at < 0 || to === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    this.#focus(Math.min(Math.max(to, 0), last));
  }

  // Counted over all groups, as one walks.
  #numberOf(username) {
    const place = this.#order.placeOf(username);
    if (!place) return -1;
    const before = GROUPS.slice(0, GROUPS.indexOf(place.group));
    return before.reduce((sum, name) => sum + this.#order.lengthOf(name), place.index);
  }

  #placeOf(number) {
    for (const group of GROUPS) {
      if (number < this.#order.lengthOf(group)) return { group, index: number };
      number -= this.#order.lengthOf(group);
    }
    return undefined;
  }

  #focus(number) {
    const { group, index } = this.#placeOf(number);
    const { title } = this.#groups.get(group);
    const top = this.#topOf(group) + index * this.#height;
    const above = top - this.#covered() - title.offsetHeight - this.#height;
    const below = top + 2 * this.#height - innerHeight;
    if (above < 0) scrollBy(0, above);
    else if (below > 0) scrollBy(0, below);
    this.#awaited = { group, index };
    this.#drawRows();
  }

  // It may have to be read first.
  #focusAwaited() {
    if (this.#awaited === null) return;
    const username = this.#order.at(this.#awaited.group, this.#awaited.index);
    const row = this.#shown.get(username);
    if (!row) return;
    this.#awaited = null;
    row.querySelector(".open").focus({ preventScroll: true });
  }
}
