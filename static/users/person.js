// Writes what the roster knows of a person into a row, or into the card that a row opens.

import { setText } from "./text.js";
import { elapsed } from "./elapsed.js";
import { initials, plainStatus, statusWords, untilWords, exactly } from "./words.js";

export class Person {
  #roster;
  #me;
  #bells;
  #controls;
  #loaded; // when this page was, by the server's clock
  #stoppedAt = null;

  /** `controls` are the buttons of a row, which the server does not write. */
  constructor(roster, me, bells, controls, serverNow) {
    this.#roster = roster;
    this.#me = me;
    this.#bells = bells;
    this.#controls = controls;
    this.#loaded = serverNow - elapsed() / 1000;
  }

  /** While true no time passes in the words: what is shown is what was known last. */
  set stopped(value) {
    this.#stoppedAt = value ? this.now : null;
  }

  /** The Unix second, by the server's clock. */
  get now() {
    return this.#stoppedAt ?? Math.floor(this.#loaded + elapsed() / 1000);
  }

  /** Returns whether the row showed another status of this person before. */
  fill(row, username) {
    const status = this.#roster.statusOf(username);
    const same = row.dataset.username === username;
    const changed = row.dataset.status !== status;
    if (!row.querySelector(".open")) this.#equip(row);
    if (!same) row.dataset.username = username;
    if (!same || changed) row.dataset.status = status;
    setText(row.querySelector(".spoken"), `${username}: ${plainStatus[status]}`);
    this.#fillName(row, username);
    this.#fillSince(row, username, status);
    this.#fillText(row, username);
    this.#fillBell(row, username, status);
    return same && changed;
  }

  #equip(row) {
    const [open, bell] = this.#controls.cloneNode(true).children;
    row.prepend(open);
    row.append(bell);
    // Apart from the words, so that these may be cut and not their end.
    const ends = document.createElement("span");
    ends.className = "ends";
    row.querySelector(".words").append(ends);
  }

  /** Writes into a row since when somebody has had a status. */
  tell(row, status, since) {
    const time = row.querySelector(".since");
    const { word, rest } = statusWords(status, since, this.now);
    setText(row.querySelector(".word"), word);
    setText(time, rest);
    const at = since ? new Date(since * 1000).toISOString() : "";
    if (time.dateTime === at) return;
    time.dateTime = at;
    time.title = since ? exactly(since) : "";
  }

  /** The person's own words as they are shown: with their end, and not beyond it. */
  textOf(username) {
    return this.#textAndEnd(username).join("");
  }

  #textAndEnd(username) {
    const { text, until } = this.#roster.wordsOf(username);
    if (!text || until <= this.now) return ["", ""];
    return [text, until ? ` · ${untilWords(until, this.now)}` : ""];
  }

  #fillName(row, username) {
    const name = this.#roster.nameOf(username);
    row.querySelector(".open").ariaLabel = `About ${name ?? username}`;
    const shown = row.querySelector(".name-text");
    setText(row.querySelector(".initials"), initials(name ?? username));
    setText(shown, name ?? username);
    shown.title = shown.textContent;
    shown.ariaHidden = name ? null : "true";
    setText(row.querySelector(".username"), name ? username : "");
    setText(row.querySelector(".chip"), username === this.#me ? "you" : "");
  }

  #fillSince(row, username, status) {
    const lastKnown = username !== this.#me && this.#roster.isLastKnown(username);
    row.classList.toggle("last-known", lastKnown);
    this.tell(row, status, this.#roster.sinceOf(username));
    if (lastKnown) setText(row.querySelector(".since"), ", last known");
    const invisible = username === this.#me && this.#roster.isInvisible;
    row.classList.toggle("invisible", invisible);
    if (!invisible) return;
    setText(row.querySelector(".word"), "invisible");
    setText(row.querySelector(".since"), ": others see you offline");
  }

  #fillText(row, username) {
    const [text, end] = this.#textAndEnd(username);
    setText(row.querySelector(".text"), text);
    setText(row.querySelector(".ends"), end);
    row.querySelector(".text").title = text + end;
  }

  #fillBell(row, username, status) {
    const bell = row.querySelector(".bell");
    const rung = this.#bells.has(username);
    bell.hidden = !rung && (username === this.#me || !["away", "offline"].includes(status));
    if (bell.ariaPressed !== String(rung)) bell.ariaPressed = rung;
    const label = `Tell me when ${this.#roster.nameOf(username) ?? username} comes`;
    if (bell.ariaLabel !== label) bell.ariaLabel = bell.title = label;
  }
}
