// Draws the rows that are on the screen, and no others, into a list of any length.

const SPARE = 8; // rows drawn above and below the screen
const GLIDE = { duration: 220, easing: "ease-out" };
const GLOW = { duration: 1400, easing: "ease-out" };
const still = matchMedia("(prefers-reduced-motion: reduce)");

export class Rows {
  #list;
  #blank;
  #draw;
  #order = null;
  #shown = new Map(); // username -> li
  #rowHeight = 0;
  #stop = null; // the row that Tab reaches

  /** `draw(li, username)` fills in a row and returns whether its status changed before one's eyes. */
  constructor(list, template, draw) {
    this.#list = list;
    this.#blank = template.content.querySelector("li");
    this.#draw = draw;
    list.addEventListener("keydown", (event) => this.#walk(event));
    list.addEventListener("focusin", (event) => {
      this.#stop = event.target.closest("li")?.dataset.username ?? this.#stop;
    });
  }

  /** Takes over the rows that the server drew. */
  takeOver() {
    for (const row of this.#list.querySelectorAll("li")) {
      this.#shown.set(row.dataset.username, row);
    }
    this.measure();
    this.#list.classList.add("virtual");
  }

  measure() {
    const row = this.#list.querySelector("li");
    this.#rowHeight = row ? row.getBoundingClientRect().height : this.#rowHeight || 60;
  }

  /** How many rows lie below the screen. */
  get below() {
    return this.#order.length - this.#visible().last;
  }

  /** Another list: no row of the one before is kept in place. */
  show(order) {
    this.#order = order;
  }

  /** Runs `change` on the order; a screen in the middle of the list keeps the rows it shows. */
  rearrange(change) {
    const anchor = this.#anchor();
    const before = new Map(
      [...this.#shown.keys()].map((username) => [username, this.#order.indexOf(username)]),
    );
    change();
    const shift = anchor === null ? 0 : this.#order.indexOf(anchor) - before.get(anchor);
    this.#list.style.height = `${this.#order.length * this.#rowHeight}px`;
    if (shift && this.#order.indexOf(anchor) >= 0) scrollBy(0, shift * this.#rowHeight);
    this.render({ total: this.total });
    if (!shift) this.#glide(before);
  }

  /** `total`: how many rows there would be with every page read, -1 when unknown. */
  render({ total }) {
    this.total = total;
    const { first, last } = this.#range();
    this.#list.style.height = `${this.#order.length * this.#rowHeight}px`;
    const keep = new Set();
    for (let index = first; index < last; index += 1) keep.add(this.#order.at(index));
    for (const [username, row] of this.#shown) {
      if (!keep.has(username) && !this.#stays(username, row)) this.#remove(username, row);
    }
    let next = this.#list.firstElementChild;
    const names = [...this.#shown.keys()].filter((username) => !keep.has(username));
    const indexes = names.map((username) => this.#order.indexOf(username));
    for (let index = first; index < last; index += 1) indexes.push(index);
    for (const index of indexes.sort((one, other) => one - other)) {
      const row = this.#place(index);
      if (row === next) next = next.nextElementSibling;
      else this.#list.insertBefore(row, next);
    }
    this.#giveStop();
  }

  #place(index) {
    const username = this.#order.at(index);
    const known = this.#shown.get(username);
    const row = known ?? this.#blank.cloneNode(true);
    const changed = this.#draw(row, username);
    const top = `translateY(${index * this.#rowHeight}px)`;
    if (row.style.transform !== top) row.style.transform = top;
    if (row.ariaPosInSet !== String(index + 1)) row.ariaPosInSet = String(index + 1);
    if (row.ariaSetSize !== String(this.total)) row.ariaSetSize = String(this.total);
    this.#shown.set(username, row);
    if (known && changed) this.#glow(row);
    return row;
  }

  // The focused row stays in the page however far one scrolls: focus must not fall to the body.
  #stays(username, row) {
    return row === document.activeElement && this.#order.indexOf(username) >= 0;
  }

  #remove(username, row) {
    row.remove();
    this.#shown.delete(username);
  }

  #top() {
    return this.#list.getBoundingClientRect().top;
  }

  #visible() {
    const top = this.#top();
    return {
      first: Math.max(0, Math.floor(-top / this.#rowHeight)),
      last: Math.min(this.#order.length, Math.ceil((innerHeight - top) / this.#rowHeight)),
    };
  }

  #range() {
    const { first, last } = this.#visible();
    return {
      first: Math.min(Math.max(0, first - SPARE), this.#order.length),
      last: Math.max(0, Math.min(this.#order.length, last + SPARE)),
    };
  }

  // The first row that is wholly on the screen, when the list begins above it.
  #anchor() {
    if (this.#top() >= 0) return null;
    for (let index = this.#visible().first; index < this.#visible().last; index += 1) {
      const username = this.#order.at(index);
      if (!this.#order.isMisplaced(username)) return username;
    }
    return null;
  }

  #glide(before) {
    if (still.matches || document.hidden) return;
    for (const [username, index] of before) {
      const row = this.#shown.get(username);
      const now = this.#order.indexOf(username);
      if (!row || now < 0 || index < 0 || now === index) continue;
      const from = `translateY(${index * this.#rowHeight}px)`;
      row.animate([{ transform: from }, { transform: row.style.transform }], GLIDE);
    }
  }

  #glow(row) {
    if (still.matches || document.hidden) return;
    row.animate([{ backgroundColor: "var(--tint)" }, { backgroundColor: "transparent" }], GLOW);
  }

  #giveStop() {
    if (!this.#shown.has(this.#stop)) this.#stop = this.#order.at(this.#visible().first) ?? null;
    for (const [username, row] of this.#shown) {
      const reach = username === this.#stop ? 0 : -1;
      if (row.tabIndex !== reach || !row.hasAttribute("tabindex")) row.tabIndex = reach;
    }
  }

  #walk(event) {
    const at = this.#order.indexOf(event.target.closest("li")?.dataset.username ?? "");
    const page = Math.max(1, Math.floor(innerHeight / this.#rowHeight) - 2);
    const step = {
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      PageDown: at + page,
      PageUp: at - page,
      Home: 0,
      End: this.#order.length - 1,
    }[event.key];
    if (at < 0 || step === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    this.#focus(Math.min(Math.max(step, 0), this.#order.length - 1));
  }

  #focus(index) {
    const top = this.#top() + index * this.#rowHeight;
    if (top < 0) scrollBy(0, top - this.#rowHeight);
    else if (top + this.#rowHeight > innerHeight) {
      scrollBy(0, top + 2 * this.#rowHeight - innerHeight);
    }
    this.render({ total: this.total });
    this.#shown.get(this.#order.at(index))?.focus({ preventScroll: true });
  }
}
