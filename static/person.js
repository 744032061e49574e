// Draws one person into one row, as the roster knows them now.

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

  /** Returns whether the row showed another status of the same person before. */
  draw(row, username) {
    const status = this.#roster.statusOf(username);
    const since = sinceWords(status, this.#roster.sinceOf(username), this.#now());
    const changed = row.dataset.username === username && row.dataset.status !== status;
    const said = row.querySelector(".since");
    if (said.textContent !== since) said.textContent = since;
    if (row.dataset.username === username && !changed) return false;
    row.dataset.username = username;
    row.dataset.status = status;
    row.querySelector(".initial").textContent = username[0];
    row.querySelector(".spoken").textContent = `${username}: ${statusWord(status)}`;
    row.querySelector(".name-text").textContent = username;
    row.querySelector(".name-text").title = username;
    row.querySelector(".chip").hidden = username !== this.#me;
    row.querySelector(".word").textContent = statusWord(status);
    return changed;
  }

  #now() {
    return Math.floor(Date.now() / 1000 - this.#ahead);
  }
}
