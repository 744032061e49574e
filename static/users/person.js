// Writes what the roster knows of a person into a row.

import { setText } from "./text.js";
import { elapsed } from "./elapsed.js";
import { exactly, sinceWords, statusWord } from "./words.js";

export class Person {
  #roster;
  #me;
  #loaded; // when this page was, by the server's clock
  #stoppedAt = null;

  constructor(roster, me, serverNow) {
    this.#roster = roster;
    this.#me = me;
    this.#loaded = serverNow - elapsed() / 1000;
  }

  /** While true no time passes in the words: what is shown is what was known last. */
  set stopped(value) {
    this.#stoppedAt = value ? this.#now : null;
  }

  get #now() {
    return this.#stoppedAt ?? Math.floor(this.#loaded + elapsed() / 1000);
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

  /** Writes into a row since when somebody has had a status. */
  tell(row, status, since) {
    const time = row.querySelector(".since");
    setText(time, sinceWords(status, since, this.#now));
    const at = since ? new Date(since * 1000).toISOString() : "";
    if (time.dateTime === at) return;
    time.dateTime = at;
    time.title = since ? exactly(since) : "";
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
    if (lastKnown) setText(row.querySelector(".since"), "last known");
    else this.tell(row, status, this.#roster.sinceOf(username));
  }
}
