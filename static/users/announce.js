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

  note(username, before, after) {
    if ((before === "offline") === (after === "offline")) return;
    const left = after === "offline";
    const undone = left ? this.#came : this.#left;
    if (!undone.delete(username)) (left ? this.#left : this.#came).add(username);
    this.#plan();
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
