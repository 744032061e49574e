// Tells how far the list can be believed.

import { elapsed } from "./elapsed.js";
import { setText } from "./text.js";

const byId = (id) => document.getElementById(id);

const WORDS = {
  connecting: "Connecting…",
  reconnecting: "Reconnecting… Shown as last known.",
  live: "Live",
  degraded: "Live, but other servers are out of reach",
  waiting: "Connection lost. Shown as last known.",
  refused: "The server opens no live connection now. Shown as last known.",
  ended: "Logged out.",
};

export class State {
  #connection = "connecting";
  #hasLived = false;
  #degraded = false;
  #nextTry = null;
  #timer = null;

  get live() {
    return this.#connection === "live";
  }

  /** Whether what is shown was true once and may not be now. */
  get stale() {
    return this.#hasLived && !this.live;
  }

  set degraded(value) {
    this.#degraded = value;
    this.#draw();
  }

  /** See Connection. */
  set(connection, nextTry) {
    // A try is part of the wait: to tell of each would be noise, to a screen reader above all.
    if (connection !== "connecting" || !this.#waits) this.#connection = connection;
    this.#nextTry = nextTry;
    this.#hasLived ||= this.live;
    this.#draw();
  }

  get #waits() {
    return this.#connection === "waiting" || this.#connection === "refused";
  }

  get #word() {
    if (this.live && this.#degraded) return "degraded";
    if (this.#connection === "connecting" && this.#hasLived) return "reconnecting";
    return this.#connection;
  }

  #draw() {
    const word = this.#word;
    document.body.dataset.state = word;
    document.body.classList.toggle("stale", this.stale);
    setText(byId("state-words"), WORDS[word]);
    byId("try-now").hidden = !this.#waits;
    clearInterval(this.#timer);
    if (this.#waits) this.#timer = setInterval(() => this.#countDown(), 1000);
    this.#countDown();
  }

  #countDown() {
    const seconds = Math.max(1, Math.ceil((this.#nextTry - elapsed()) / 1000));
    const words = this.#nextTry === null ? "Trying now." : `Next try in ${seconds} s.`;
    setText(byId("next-try"), this.#waits ? words : "");
  }
}
