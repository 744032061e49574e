// Away by itself: after five minutes without input, or out of sight for as long.

import { elapsed } from "./elapsed.js";

const IDLE = 5 * 60_000;
const LOOK = 5_000;
// Not "scroll": the list also scrolls by itself, to keep its rows in place.
const INPUT = ["pointerdown", "pointermove", "keydown", "wheel", "touchstart"];

/** Calls `onChange("away")` and, at the next input, `onChange("online")`. */
export class Away {
  #seenAt = elapsed();
  #away = false;
  #onChange;

  constructor(onChange) {
    this.#onChange = onChange;
    for (const type of INPUT) {
      addEventListener(type, () => this.#see(), { passive: true, capture: true });
    }
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.#see();
    });
    setInterval(() => this.#look(), LOOK);
  }

  get status() {
    return this.#away ? "away" : "online";
  }

  #see() {
    this.#seenAt = elapsed();
    this.#set(false);
  }

  #look() {
    if (elapsed() - this.#seenAt >= IDLE) this.#set(true);
  }

  #set(away) {
    if (away === this.#away) return;
    this.#away = away;
    this.#onChange(this.status);
  }
}
