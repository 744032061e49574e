// Draws the rows that are on the screen, and no others, into a list of any length.

const SPARE = 8; // rows drawn above and below the screen
const GLIDE = { duration: 240, easing: "ease-out" };
const GLOW = { duration: 1600, easing: "ease-out" };
const still = matchMedia("(prefers-reduced-motion: reduce)");

export class Rows {
  #list;
  #cover;
  #blank;
  #fill;
  #order = null;
  #shown = new Map(); // username -> li
  #height = 0; // of one row
  #whole = false; // whether all rows are drawn
  #stop = null; // the name of the row that Tab reaches

  /**
   * `cover` stays above the list while it scrolls. `fill(row, username)` writes what is known into
   * a row, and returns whether it showed another status of this user before.
   */
  constructor(list, cover, template, fill) {
    this.#list = list;
    this.#cover = cover;
    this.#blank = template.content.querySelector("li");
    this.#fill = fill;
    list.addEventListener("keydown", (event) => this.#walk(event));
    list.addEventListener("focusin", (event) => {
      this.#stop = event.target.closest("li")?.dataset.username ?? null;
    });
  }

  /** Shows another order; the rows that the list has already, the server's too, are kept. */
  show(order) {
    this.#order = order;
    for (const row of this.#list.children) this.#shown.set(row.dataset.username, row);
    this.measure();
    this.#list.classList.add("virtual");
  }

  measure() {
    const row = this.#list.firstElementChild ?? this.#list.appendChild(this.#blank.cloneNode(true));
    this.#height = row.getBoundingClientRect().height;
    if (!row.dataset.username) row.remove();
  }

  /** How many rows lie below the screen. */
  get below() {
    return this.#order.length - this.#onScreen().last;
  }

  /** Whether nothing is above the screen. */
  get atTop() {
    return this.#onScreen().first === 0;
  }

  /** Brings the first row onto the screen when it lies above. */
  toTop() {
    const above = this.#top() - this.#covered();
    if (above < 0) scrollBy(0, above);
  }

  /**
   * Draws what is on the screen. `change`, if any, changes the order: a screen in the middle of
   * the list then keeps the rows that it shows where they are.
   */
  draw(size, change = () => {}) {
    const before = this.#indexes();
    const anchor = this.#anchor();
    change();
    this.#list.style.height = `${this.#order.length * this.#height}px`;
    const now = anchor === null ? -1 : this.#order.indexOf(anchor);
    const shift = now < 0 ? 0 : now - before.get(anchor);
    if (shift) scrollBy(0, shift * this.#height);
    this.#drawRows(size);
    if (!shift) this.#glide(before);
  }

  /** Draws all rows, for paper, until it is told to stop. */
  set whole(value) {
    this.#whole = value;
  }

  #drawRows(size) {
    const indexes = this.#indexesToDraw();
    const keep = new Set(indexes.map((index) => this.#order.at(index)));
    for (const [username, row] of this.#shown) {
      if (keep.has(username)) continue;
      row.remove();
      this.#shown.delete(username);
    }
    let next = this.#list.firstElementChild;
    for (const index of indexes) {
      const row = this.#drawRow(index, size);
      if (row === next) next = next.nextElementSibling;
      else this.#list.insertBefore(row, next);
    }
    this.#giveStop();
  }

  #drawRow(index, size) {
    const username = this.#order.at(index);
    const known = this.#shown.get(username);
    const row = known ?? this.#blank.cloneNode(true);
    const changed = this.#fill(row, username);
    const place = this.#place(index);
    if (row.style.transform !== place) row.style.transform = place;
    if (row.ariaPosInSet !== `${index + 1}`) row.ariaPosInSet = index + 1;
    if (row.ariaSetSize !== `${size}`) row.ariaSetSize = size;
    this.#shown.set(username, row);
    if (known && changed) this.#glow(row);
    return row;
  }

  #place(index) {
    return `translateY(${index * this.#height}px)`;
  }

  #indexes() {
    return new Map([...this.#shown.keys()].map((one) => [one, this.#order.indexOf(one)]));
  }

  // The focused row is kept however far one scrolls: its focus must not fall to the body.
  #indexesToDraw() {
    const { first, last } = this.#whole ? { first: 0, last: this.#order.length } : this.#onScreen();
    const from = Math.max(0, Math.min(first - SPARE, this.#order.length));
    const to = Math.min(this.#order.length, Math.max(last + SPARE, 0));
    const indexes = Array.from({ length: Math.max(0, to - from) }, (_, offset) => from + offset);
    const focused = document.activeElement.closest?.("li")?.dataset.username;
    const at = this.#shown.has(focused) ? this.#order.indexOf(focused) : -1;
    if (at >= 0 && at < from) indexes.unshift(at);
    if (at >= to) indexes.push(at);
    return indexes;
  }

  #top() {
    return this.#list.getBoundingClientRect().top;
  }

  #covered() {
    // Where there is no room for it, it does not stay.
    return Math.max(0, this.#cover.getBoundingClientRect().bottom);
  }

  #onScreen() {
    const top = this.#top();
    return {
      first: Math.max(0, Math.ceil((this.#covered() - top) / this.#height)),
      last: Math.min(this.#order.length, Math.ceil((innerHeight - top) / this.#height)),
    };
  }

  // The first row on the screen that is not about to move, when the list begins above it.
  #anchor() {
    const { first, last } = this.#onScreen();
    for (let index = first; first > 0 && index < last; index += 1) {
      const username = this.#order.at(index);
      if (this.#shown.has(username) && !this.#order.isMisplaced(username)) return username;
    }
    return null;
  }

  #glide(before) {
    if (still.matches || document.hidden) return;
    for (const [username, row] of this.#shown) {
      const from = before.get(username) ?? -1;
      const to = this.#order.indexOf(username);
      if (from < 0 || from === to) continue;
      row.animate([{ transform: this.#place(from) }, { transform: this.#place(to) }], GLIDE);
    }
  }

  #glow(row) {
    if (still.matches || document.hidden) return;
    row.animate([{ backgroundColor: "var(--glow)" }, { backgroundColor: "transparent" }], GLOW);
  }

  #giveStop() {
    if (!this.#shown.has(this.#stop)) this.#stop = this.#order.at(this.#onScreen().first) ?? null;
    for (const [username, row] of this.#shown) {
      const reach = username === this.#stop ? "0" : "-1";
      if (row.getAttribute("tabindex") !== reach) row.setAttribute("tabindex", reach);
    }
  }

  #walk(event) {
    const at = this.#order.indexOf(event.target.closest("li")?.dataset.username ?? "");
    const page = Math.max(1, Math.floor((innerHeight - this.#covered()) / this.#height) - 1);
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
    this.#focus(Math.min(Math.max(to, 0), last), this.#shown.get(this.#order.at(at)).ariaSetSize);
  }

  #focus(index, size) {
    const top = this.#top() + index * this.#height;
    const above = top - this.#covered() - this.#height;
    const below = top + 2 * this.#height - innerHeight;
    if (above < 0) scrollBy(0, above);
    else if (below > 0) scrollBy(0, below);
    this.#drawRows(size);
    this.#shown.get(this.#order.at(index))?.focus({ preventScroll: true });
  }
}
