// Whom the elements of a page watch where thousands are here: those who show, and as many again,
// so that the page need not ask for others each time somebody goes.

const DOWN = 0.8; // of the bound: nobody turns to and fro
const SPREAD = 5_000; // not all pages turn at once
const SETTLED = 5_000; // by then the server has said how many are here
const PAUSE = 10_000; // between two questions
const MOST_FAILURES = 3;
const MOST_WATCHED = 500;
const USUAL = { "presence-list": 200, "presence-avatars": 5 };

export class Large {
  #shared;
  #bound;
  #first;
  #isPartial = false;
  #isBlank; // too many were here for the page to be told of anybody
  #chosen = [];
  #after = null; // the last id that was read
  #failures = 0;
  #turning = null;
  #pause = null;

  /**
   * `shared` has the elements, and the room that they share. Where more than `bound` people are
   * here, those that `first(most, element)` gives are watched, in place of everybody.
   */
  constructor(shared, bound, first) {
    this.#shared = shared;
    this.#bound = bound;
    this.#first = first;
    this.#isPartial = this.#isBlank = shared.room.counts !== null;
    shared.room.addEventListener("change", () => this.#follow());
    this.#follow();
  }

  /** Other elements are there, or they show others. */
  watch() {
    if (this.#isPartial) this.#refill();
    this.#say();
  }

  // Those that show anybody.
  get #lists() {
    return [...this.#shared.elements].filter(([, user]) => user === null).map(([one]) => one);
  }

  get #users() {
    return new Set([...this.#shared.elements.values()].filter((user) => user !== null));
  }

  get #most() {
    return Math.max(0, ...this.#lists.map(mostOf));
  }

  get #size() {
    return Math.max(0, Math.min(2 * this.#most, MOST_WATCHED - this.#users.size));
  }

  #say() {
    const users = this.#users;
    const isAll = users.size > MOST_WATCHED || (!this.#isPartial && this.#lists.length > 0);
    const chosen = this.#isPartial ? this.#chosen.slice(0, this.#size) : [];
    this.#shared.room.watch(isAll ? null : [...new Set([...users, ...chosen])]);
  }

  #follow() {
    const { room } = this.#shared;
    if (room.state !== "live") return;
    // A new line may have begun with nobody.
    if (!this.#isPartial) this.#say();
    if (this.#isDue) this.#turning ??= setTimeout(() => this.#turn(), Math.random() * SPREAD);
    else if (this.#isPartial) this.#refill();
  }

  get #isDue() {
    const { room } = this.#shared;
    if (this.#isPartial) return room.count < this.#bound * DOWN;
    // Those who are yet to come do not show.
    return (this.#lists.length ? room.people.size : room.count) > this.#bound;
  }

  #turn() {
    this.#turning = null;
    const { room } = this.#shared;
    if (room.state !== "live" || !this.#isDue) return;
    this.#isPartial = !this.#isPartial;
    this.#chosen = this.#isPartial && this.#size > 0 ? this.#firstOfAll() : [];
    const held = { online: room.count };
    this.#say();
    // The number of before holds until there is another.
    if (!this.#isPartial) return;
    room.counts = held;
    setTimeout(() => room.counts === held && (room.counts = null), SETTLED);
  }

  #firstOfAll() {
    const [longest] = this.#lists.sort((one, other) => mostOf(other) - mostOf(one));
    return this.#first(this.#size, longest).map(({ id }) => id);
  }

  async #refill() {
    const { people, state } = this.#shared.room;
    if (state !== "live" || this.#pause !== null) return;
    const here = this.#chosen.filter((id) => people.has(id));
    if (here.length >= Math.min(this.#most, this.#size)) return;
    this.#pause = setTimeout(() => {
      this.#pause = null;
      this.#follow();
    }, PAUSE);
    const ids = await this.#read(this.#size - here.length).catch((error) => this.#fail(error));
    if (!this.#isPartial) return;
    // Without anybody to show it shall not wait.
    if (this.#isBlank && ids.length === 0) this.#isPartial = false;
    this.#isBlank = false;
    this.#chosen = [...new Set([...here, ...ids])];
    this.#say();
  }

  // Who may not ask, or cannot, is told of everybody.
  #fail(error) {
    console.warn("presence: who else is here could not be read", error);
    this.#failures += 1;
    if (this.#failures === MOST_FAILURES) this.#bound = Infinity;
    return [];
  }

  async #read(limit) {
    const { src, room, token } = this.#shared;
    const server = new URL(src.replace(/\/*$/, "/"), globalThis.location?.href);
    const address = new URL(`api/v1/rooms/${encodeURIComponent(room.name)}`, server);
    address.searchParams.set("limit", limit);
    if (this.#after !== null) address.searchParams.set("after", this.#after);
    const headers = { Authorization: `Bearer ${token}` };
    const response = await fetch(address, { headers, cache: "no-store" });
    if ([429, 503].includes(response.status)) return [];
    if (!response.ok) throw new Error(String(response.status));
    const { users, next } = await response.json();
    this.#failures = 0;
    this.#after = next;
    return Object.keys(users);
  }
}

function mostOf(element) {
  const said = Math.trunc(Number(element.getAttribute("max")));
  return Math.max(1, said || USUAL[element.localName]);
}
