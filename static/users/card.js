// The card of a person: all that the list knows of them, and what can be done.

import { setText } from "./text.js";
import { devicesInWords, exactly, initials, statusNames } from "./words.js";

export class Card {
  #dialog;
  #known;
  #username = null;
  #pressed = null; // where the pointer went down: whoever selects words may let go beside the card

  /** `known` holds roster, person, favourites, bells and me. */
  constructor(dialog, known) {
    this.#dialog = dialog;
    this.#known = known;
    dialog.addEventListener("pointerdown", ({ target }) => (this.#pressed = target));
    dialog.addEventListener("click", ({ target }) => this.#press(target));
    dialog.addEventListener("close", () => (this.#username = null));
  }

  open(username) {
    this.#username = username;
    this.draw();
    this.#dialog.showModal();
  }

  /** Something has changed, perhaps of this person. */
  draw() {
    if (this.#username === null) return;
    const { roster, person, favourites, bells, me } = this.#known;
    const username = this.#username;
    if (roster.isDeleted(username)) return this.#dialog.close();
    const name = roster.nameOf(username) ?? username;
    const status = roster.statusOf(username);
    const head = this.#dialog.querySelector(".card-head");
    Object.assign(head.dataset, { username, status });
    this.#dialog.dataset.status = status;
    this.#write("initials", initials(name));
    this.#write("card-name", name);
    this.#write("card-username", name === username ? "" : username);
    this.#write("card-text", person.textOf(username));
    this.#write("card-devices", devicesInWords(roster.devicesOf(username)));
    this.#writeSince(status, roster.sinceOf(username));
    const here = username === me || ["online", "busy"].includes(status);
    this.#offer("bell", `Tell me when ${name} comes`, bells.has(username), here);
    this.#offer("favourite", "Favourite", favourites.has(username), username === me);
  }

  #writeSince(status, since) {
    const seen = status === "offline" ? "Last seen" : `${statusNames[status]} since`;
    this.#write("card-status", since ? seen : statusNames[status]);
    this.#write("card-since", since ? exactly(since) : "");
  }

  #offer(what, label, pressed, hidden) {
    const button = this.#dialog.querySelector(`[data-act="${what}"]`);
    button.hidden = hidden;
    setText(button.querySelector("span"), label);
    if (button.ariaPressed !== String(pressed)) button.ariaPressed = pressed;
  }

  #write(name, text) {
    const place = this.#dialog.querySelector(`.${name}`);
    setText(place, text);
    place.hidden = text === "";
  }

  #press(target) {
    const { favourites, bells } = this.#known;
    const act = target.closest("[data-act]")?.dataset.act;
    if (act === "bell") bells.toggle(this.#username);
    if (act === "favourite") favourites.toggle(this.#username);
    // What is around the card belongs to the dialog itself.
    const isBeside = target === this.#dialog && target === this.#pressed;
    if (act === "close" || isBeside) this.#dialog.close();
  }
}
