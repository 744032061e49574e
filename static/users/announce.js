// Tells a screen reader what a search found, and who came and left: as one digest at a bounded rate.

import { digest } from "./words.js";

const GATHER = 3_000;
const QUIET = 20_000;

export class Announcer {
  #place;
  #came = new Set();
  #left = new Set();
  #timer = null;
  #saidAt = -Infinity;

  constructor(place) {
    this.#place = place;
  }

  note(came, left) {
    for (const username of came) this.#left.delete(username) || this.#came.add(username);
    for (const username of left) this.#came.delete(username) || this.#left.add(username);
    if (came.length + left.length) this.#plan();
  }

  say(words) {
    this.#place.textContent = words;
  }

  #plan() {
    const wait = Math.max(GATHER, this.#saidAt + QUIET - performance.now());
    this.#timer ??= setTimeout(() => this.#digest(), wait);
  }

  #digest() {
    this.#timer = null;
    const words = digest([...this.#came], [...this.#left]);
    this.#came.clear();
    this.#left.clear();
    if (!words) return;
    this.#saidAt = performance.now();
    this.say(words);
  }
}
