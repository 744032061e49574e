// Tells how far the list can be believed.

import { setText } from "./text.js";

const byId = (id) => document.getElementById(id);

const WORDS = {
  connecting: "Connecting…",
  reconnecting: "Reconnecting… Shown as last known.",
  live: "Live",
  degraded: "Live, but other servers are out of reach",
  waiting: "Connection lost. Shown as last known.",
  refused: "The server accepts no live connections right now. Shown as last known.",
  ended: "Logged out.",
  closed: "Not connected.",
};

export class State {
  #room;
  #onLive;
  #shown = "connecting";
  #timer = null;

  /** `onLive` is called whenever the list can be believed again. */
  constructor(room, onLive) {
    this.#room = room;
    this.#onLive = onLive;
  }

  get live() {
    return this.#shown === "live";
  }

  /** The room has changed. */
  follow() {
    const { state } = this.#room;
    const wasLive = this.live;
    // A try is part of the wait: to tell of each would be noise, to a screen reader above all.
    if (state !== "connecting" || !this.#waits) this.#shown = state;
    if (this.live && !wasLive) this.#onLive();
    this.#draw();
  }

  get #waits() {
    return this.#shown === "waiting" || this.#shown === "refused";
  }

  get #word() {
    if (this.live && this.#room.degraded) return "degraded";
    if (this.#shown === "connecting" && this.#room.stale) return "reconnecting";
    return this.#shown;
  }

  #draw() {
    const word = this.#word;
    document.body.dataset.state = word;
    document.body.classList.toggle("stale", this.#room.stale);
    setText(byId("state-words"), WORDS[word]);
    byId("try-now").hidden = !this.#waits;
    clearInterval(this.#timer);
    if (this.#waits) this.#timer = setInterval(() => this.#countDown(), 1000);
    this.#countDown();
  }

  #countDown() {
    const { nextTry } = this.#room;
    const seconds = Math.max(1, Math.ceil(nextTry / 1000));
    const words = nextTry === null ? "Trying now." : `Next try in ${seconds} s.`;
    setText(byId("next-try"), this.#waits ? words : "");
  }
}
