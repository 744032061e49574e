// Writes what the roster knows of a person into a row.

import { setText } from "./text.js";
import { sinceWords, statusWord } from "./words.js";

export class Person {
  #roster;
  #me;
  #ahead; // how far this machine's clock is ahead of the server's, in seconds

  constructor(roster, me, serverNow) {
    this.#roster = roster;
    this.#me = me;
    this.#ahead = Date.now() / 1000 - serverNow;
  }

  /** Returns whether the row showed another status of this person before. */
  fill(row, username) {
    const status = this.#roster.statusOf(username);
    const same = row.dataset.username === username;
    const changed = row.dataset.status !== status;
    this.#fillSince(row, username, status);
    if (!same) this.#fillName(row, username);
    if (!same || changed) {
      row.dataset.status = status;
      row.querySelector(".spoken").textContent = `${username}: ${statusWord(status)}`;
      row.querySelector(".word").textContent = statusWord(status);
    }
    return same && changed;
  }

  #fillName(row, username) {
    row.dataset.username = username;
    row.querySelector(".initial").textContent = username[0];
    row.querySelector(".name-text").textContent = username;
    row.querySelector(".name-text").title = username;
    row.querySelector(".chip").textContent = username === this.#me ? "you" : "";
  }

  #fillSince(row, username, status) {
    const lastKnown = username !== this.#me && this.#roster.isLastKnown(username);
    row.classList.toggle("last-known", lastKnown);
    const now = Math.floor(Date.now() / 1000 - this.#ahead);
    const since = sinceWords(status, this.#roster.sinceOf(username), now);
    setText(row.querySelector(".since"), lastKnown ? "last known" : since);
  }
}
