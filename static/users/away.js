// Away by itself: after some minutes without input in any tab of this browser. A tab out of sight is
// not away for that alone.

import { elapsed } from "./elapsed.js";
import { Idle } from "./idle.js";

const LOOK = 5_000;
const TELL = 3_000; // other tabs need not hear of every movement
// Not "scroll": the list also scrolls by itself, to keep its rows in place.
const INPUT = ["pointerdown", "pointermove", "keydown", "wheel", "touchstart"];

/** Calls `onChange("away")` and, at the next input, `onChange("online")`. */
export class Away {
  /** What the system knows of input anywhere, where the browser asks it. */
  idle;
  #limit;
  #seenAt = elapsed();
  #toldAt = -Infinity;
  #away = false;
  #onChange;
  #tabs = new BroadcastChannel("input");

  /** `minutes` without input; 0 for never. */
  constructor(minutes, onChange) {
    this.#limit = minutes * 60_000;
    this.#onChange = onChange;
    for (const type of INPUT) {
      addEventListener(type, () => this.#see(), { passive: true, capture: true });
    }
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.#see();
    });
    this.#tabs.addEventListener("message", () => this.#hear());
    this.idle = new Idle(this.#limit, (active) => (active ? this.#hear() : this.#set(true)));
    if (this.#limit) setInterval(() => this.#look(), LOOK);
  }

  get status() {
    return this.#away ? "away" : "online";
  }

  #see() {
    this.#hear();
    if (this.#seenAt - this.#toldAt < TELL) return;
    this.#toldAt = this.#seenAt;
    this.#tabs.postMessage("input");
  }

  #hear() {
    this.#seenAt = elapsed();
    this.#set(false);
  }

  #look() {
    if (this.idle.active) this.#hear();
    else if (elapsed() - this.#seenAt >= this.#limit) this.#set(true);
  }

  #set(away) {
    if (away === this.#away) return;
    this.#away = away;
    this.#onChange(this.status);
  }
}
