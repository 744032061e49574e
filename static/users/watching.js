// Whom the server tells this page of: everybody, or, where many are here, those on the screen.

const DOWN = 0.8; // of the bound: nobody turns to and fro
const PAUSE = 700; // between two lists: a line on which too much is said in ten seconds is cut
const MOST = 500; // in a list
const LONGEST = 5_000; // until all of everybody should have come

export class Watching {
  #room;
  #roster;
  #always;
  #bound;
  #onTurn;
  #isPartial;
  #waitsSince = null; // for everybody
  #near = [];
  #watched = new Set();
  #timer = null;

  /**
   * Above `bound` people it is those whom `near` was told of, and those of `always()`.
   * `onTurn(isPartial)` is called when the page has to do with less, or has everybody.
   */
  constructor(room, roster, { always, bound, onTurn }) {
    this.#room = room;
    this.#roster = roster;
    this.#always = always;
    this.#bound = bound;
    this.#onTurn = onTurn;
    this.#isPartial = roster.isPartial;
    if (this.#isPartial) this.#watch();
  }

  /** The room has changed. */
  follow() {
    if (this.#room.state !== "live") return;
    const { count } = this.#roster;
    if (!this.#isPartial && count > this.#bound) this.#turn(true);
    else if (this.#isPartial && count < this.#bound * DOWN) this.#askForEverybody(count);
    if (this.#waitsSince !== null && this.#hasEverybody(count)) this.#turn(false);
  }

  /** Who is on the screen now. */
  near(usernames) {
    if (!this.#isPartial || !this.#roster.isPartial) return;
    this.#near = usernames;
    if (!this.#wanted().every((one) => this.#watched.has(one))) {
      this.#timer ??= setTimeout(() => this.#watch(), PAUSE);
    }
  }

  #wanted() {
    return [...new Set([...this.#always(), ...this.#near])].slice(0, MOST);
  }

  #watch() {
    this.#timer = null;
    if (!this.#isPartial) return;
    this.#watched = new Set(this.#wanted());
    this.#room.watch([...this.#watched]);
  }

  #turn(isPartial) {
    this.#isPartial = isPartial;
    this.#waitsSince = null;
    this.#roster.hold(isPartial ? this.#roster.count : null);
    this.#watched.clear();
    this.#onTurn(isPartial);
  }

  #askForEverybody(count) {
    this.#isPartial = false;
    this.#waitsSince = performance.now();
    this.#roster.hold(count);
    this.#room.watch(null);
    setTimeout(() => this.follow(), LONGEST);
  }

  #hasEverybody(count) {
    const isLate = performance.now() - this.#waitsSince >= LONGEST;
    return isLate || this.#room.people.size >= count * DOWN;
  }
}
