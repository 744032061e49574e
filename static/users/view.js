// The list on the screen: which people it shows, when it draws, and when they may change places.

import { Directory } from "./directory.js";
import { Hold } from "./hold.js";
import { Order } from "./order.js";
import { Rows } from "./rows.js";

const HIDDEN = 1_000; // how often a hidden page draws: only its title can be seen
const SETTLE = 800; // a row shows its new status for so long before it moves
const WORDS = 15_000; // how often "here for 5 min" is told anew
const AHEAD = 40; // rows left below the screen when the next page is read
const PRINTED = 5_000; // names; more would not be read on paper
const SPREAD = 10_000; // not all pages in the world ask anew in the moment a server is back
const FRESH = 3_000; // of many here, how many stand above a screen is asked anew after so long,
const FRESH_EACH = 2; // and so much longer for each who is here: they all ask
const SMALL = 2_000; // so many people are read as a whole when one searches, to look into all names

export class View {
  #roster;
  #favourites;
  #me;
  #rows;
  #hold;
  #onDraw;
  #search;
  #directory;
  #everybody = new Directory();
  #order = null;
  #next = null; // the order that is to be shown, and may have to be read
  #wanted = null; // its directory
  #stale = null; // the timer until its places are asked for anew; true when that is due
  #outdated = false;
  #waiting = new Map(); // username -> when it may have got into a wrong place
  #planned = false;

  /** `onDraw(view)` draws what stands around the list. */
  constructor(roster, favourites, me, { place, cover, template, fill, onDraw }) {
    this.#roster = roster;
    this.#favourites = favourites;
    this.#me = me;
    this.#onDraw = onDraw;
    this.#rows = new Rows(place, cover, template, fill);
    this.#hold = new Hold(place, () => this.plan());
    addEventListener("scroll", () => this.plan(), { passive: true });
    addEventListener("resize", () => this.#resize());
    // It grows with its words, and with the size of the text, of which no window tells.
    new ResizeObserver(() => this.#resize()).observe(cover);
    addEventListener("beforeprint", () => this.#print());
    addEventListener("afterprint", () => this.#printed());
    setInterval(() => this.plan(), WORDS);
    // What waits for a frame would wait as long as the page is hidden.
    document.addEventListener("visibilitychange", () => this.#planned && this.#schedule());
  }

  /** Shows those whom `search` finds among `total` people. */
  open({ typed, hereOnly }, total) {
    this.#setSearch(typed, hereOnly, total);
    this.#show(this.#search.isWhole ? this.#everybody : new Directory(typed));
  }

  /** The same, going on where the page that the server has drawn ends. */
  begin({ typed, hereOnly }, total, directory) {
    this.#setSearch(typed, hereOnly, total);
    if (typed === "") this.#everybody = directory;
    // The server has looked at the beginnings of names only.
    else this.#outdated = this.#search.isWhole;
    this.#show(directory, { toTop: false });
  }

  /** From now on the roster is partial, or no longer; the rows on the screen stay. */
  turn(isPartial) {
    // Whom it was not told of may have left since.
    if (!isPartial) this.outdate();
    this.#show(this.#wanted, { toTop: false, isPartial });
  }

  // Of many people the server looks at the beginnings of names only.
  #setSearch(typed, hereOnly, total) {
    const isSmall = total <= SMALL && !this.#roster.isPartial;
    this.#search = { typed, hereOnly, isWhole: typed === "" || isSmall };
  }

  async #show(directory, { toTop = true, isPartial = this.#roster.isPartial } = {}) {
    const [roster, favourites, me] = [this.#roster, this.#favourites, this.#me];
    const order = new Order(roster, directory, favourites, me, this.#search, isPartial);
    [this.#next, this.#wanted] = [order, directory];
    // The old rows stay until the new ones are there, so that nothing flickers.
    const pages = isPartial ? await this.#ask(order, (group) => this.#firstOf(group, toTop)) : [];
    if (this.#next !== order) return;
    directory.offlineOnly = roster.isPartial = isPartial;
    const begin = () => {
      [this.#directory, this.#order] = [directory, order];
      this.#waiting.clear();
      const here = isPartial ? [me] : roster.here();
      order.append([...here, ...directory.names, ...favourites]);
      this.#takePages(pages);
    };
    if (toTop || !this.#rows.order) {
      begin();
      this.#rows.show(order);
      if (toTop) this.#rows.toTop();
    } else {
      this.#rows.draw(() => {
        begin();
        this.#rows.order = order;
      });
    }
    this.#draw();
  }

  #firstOf(group, toTop) {
    return toTop || !this.isOpen ? 0 : this.#rows.onScreen(group).first;
  }

  /** [group, page] for each stretch of an order, around the indexes that `indexOf(group)` gives. */
  #ask(order, indexOf, groups = order.stretches) {
    return Promise.all(
      groups.map(async (group) => [group, await order.ask(group, indexOf(group))]),
    );
  }

  #takePages(pages) {
    for (const [group, page] of pages) {
      if (page === null) continue;
      this.#roster.note(page.users);
      this.#order.take(group, page);
    }
  }

  get isOpen() {
    return this.#order !== null;
  }

  /** Whether every page has been read, so that `length` is how many there are. */
  get complete() {
    return this.#order.complete;
  }

  /** Whether something has been read, so that `length` is a beginning at least. */
  get begun() {
    if (this.#next !== this.#order) return false;
    return this.complete || this.#directory.after !== null;
  }

  get length() {
    return this.#order.length;
  }

  lengthOf(group) {
    return this.#order.lengthOf(group);
  }

  /** Whose rows are drawn. */
  get names() {
    return this.#rows.names;
  }

  get failed() {
    return this.#directory.failed;
  }

  /** How many rows have waited for a while to change places. */
  get unsorted() {
    const patience = performance.now() - 2 * SETTLE;
    return [...this.#waiting].filter(
      ([username, since]) => since < patience && this.#order.isMisplaced(username),
    ).length;
  }

  /** These people changed. */
  touch(usernames) {
    const now = performance.now();
    for (const username of usernames) {
      if (!this.#waiting.has(username)) this.#waiting.set(username, now);
    }
    this.plan();
  }

  /** Nobody has told for a while which accounts are new, or gone. */
  outdate() {
    this.recount();
    setTimeout(() => {
      this.#outdated = true;
      this.plan();
    }, Math.random() * SPREAD);
  }

  sort() {
    this.#hold.release();
  }

  retry() {
    // The first page may not have come yet: then it is on its way.
    this.#directory?.retry();
    this.plan();
  }

  /** Draws once before the browser paints, however often this is called. */
  plan() {
    if (this.#planned || !this.isOpen) return;
    this.#planned = true;
    this.#schedule();
  }

  #schedule() {
    if (document.hidden) setTimeout(() => this.#draw(), HIDDEN);
    else requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#planned = false;
    const due = this.#hold.held ? [] : this.#due();
    for (const username of due) this.#waiting.delete(username);
    this.#rows.draw(() => this.#order.place(due));
    if (this.#waiting.size) setTimeout(() => this.plan(), SETTLE);
    this.#onDraw(this);
    if (this.#outdated && !this.#hold.held && this.#rows.atTop) this.#renew();
    else this.#readOn();
    this.#readAround();
  }

  // Who is not shown yet need not wait.
  #due() {
    const settled = performance.now() - SETTLE;
    return [...this.#waiting]
      .filter(([username, since]) => since <= settled || !this.#order.placeOf(username))
      .map(([username]) => username);
  }

  /** Others than those on the screen have changed. */
  recount() {
    if (!this.#order?.stretches.length) return;
    const wait = FRESH + Math.random() * FRESH_EACH * this.#roster.count;
    this.#stale ??= setTimeout(() => {
      this.#stale = true;
      this.plan();
    }, wait);
  }

  async #readAround() {
    const order = this.#order;
    const isStale = this.#stale === true && !this.#hold.held && !document.hidden;
    const groups = order.stretches.filter((group) => {
      const { first, last } = this.#rows.onScreen(group);
      return isStale || (first < last && !order.covers(group, first, last));
    });
    if (!groups.length) return;
    if (isStale) this.#stale = null;
    const pages = await this.#ask(order, (group) => this.#rows.onScreen(group).first, groups);
    if (order !== this.#order) return;
    this.#rows.draw(() => this.#takePages(pages));
    this.plan();
  }

  async #readOn() {
    if (this.complete || !this.#directory.ready || this.#rows.below > AHEAD) return;
    const directory = this.#directory;
    const users = await directory.next();
    // Another search may go on in the same directory; one that has gone on keeps what it read.
    if (directory === this.#directory) this.#take(users);
    else if (users !== null) this.#roster.note(users);
    this.plan();
  }

  // The first page is there before the old names go, so that nothing flickers; in the middle of
  // the list its names stay, until one is back at the top.
  async #renew() {
    this.#outdated = false;
    const search = this.#search;
    const directory = new Directory(search.isWhole ? "" : search.typed);
    directory.offlineOnly = this.#roster.isPartial;
    const users = await directory.next();
    if (users === null || search !== this.#search) return this.outdate();
    if (search.isWhole) this.#everybody = directory;
    this.#roster.note(users);
    this.#show(directory);
  }

  #take(users) {
    if (users === null) return;
    this.#roster.note(users);
    this.#order.append(users.map(({ username }) => username));
  }

  #print() {
    if (!this.isOpen) return;
    while (!this.complete && this.length < PRINTED) {
      const users = this.#directory.nextAtOnce();
      if (users === null) break;
      this.#take(users);
    }
    this.#rows.whole = true;
    this.#draw();
  }

  #printed() {
    this.#rows.whole = false;
    this.plan();
  }

  #resize() {
    if (!this.isOpen) return;
    this.#rows.measure();
    this.plan();
  }
}
