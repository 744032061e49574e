// What stands around the list: the count, the title, and what is said of an empty or unsorted list.

import { setText } from "./text.js";
import { found } from "./words.js";

const byId = (id) => document.getElementById(id);

export class Summary {
  #roster;
  #room;
  #search;
  #announcer;
  #me;
  #total;
  #answered = null; // the search whose outcome has been told

  constructor(roster, room, search, announcer, me, total) {
    this.#roster = roster;
    this.#room = room;
    this.#search = search;
    this.#announcer = announcer;
    this.#me = me;
    this.#total = total;
  }

  /** Accounts were deleted. */
  less(number) {
    this.#total -= number;
  }

  draw(view) {
    const searching = this.#search.prefix !== "" || this.#search.hereOnly;
    if (view.complete && !searching) this.#total = view.length;
    this.#drawCount();
    this.#drawEnd(view, searching);
    this.#tellFound(view, searching);
    this.#drawMe();
    const unsorted = view.unsorted;
    byId("sort-now").hidden = unsorted === 0;
    if (unsorted) setText(byId("sort-now"), `Sort ${unsorted} into place`);
  }

  #drawCount() {
    const here = this.#roster.count.toLocaleString("en");
    setText(byId("here-count"), here);
    setText(byId("total"), this.#total.toLocaleString("en"));
    setText(byId("total-noun"), this.#total === 1 ? "person" : "people");
    const title = `${this.#room.stale ? "Reconnecting…" : `${here} here`} · Presence`;
    if (document.title !== title) document.title = title;
  }

  #drawEnd(view, searching) {
    const { prefix, hereOnly } = this.#search;
    byId("more").hidden = view.complete;
    setText(byId("next"), view.failed ? "More people could not be read. Try again" : "More people");
    byId("nobody").hidden = !view.complete || view.length > 0;
    const named = prefix ? ` has a name that begins with “${prefix}”` : "";
    setText(byId("nobody"), `Nobody${hereOnly ? " here" : ""}${named}.`);
    byId("first").hidden = this.#total !== 1 || searching;
  }

  // Not what the page showed from the beginning.
  #tellFound(view, searching) {
    const { prefix, hereOnly } = this.#search;
    const asked = `${hereOnly} ${prefix}`;
    const first = this.#answered === null;
    if (asked === this.#answered || !view.begun) return;
    this.#answered = asked;
    if (first || !searching) return;
    const words = view.length ? found(view.length, view.complete) : byId("nobody").textContent;
    this.#announcer.say(words);
  }

  #drawMe() {
    const status = this.#roster.statusOf(this.#me);
    for (const button of byId("choice").querySelectorAll("button")) {
      const pressed = String(button.value === status);
      if (button.ariaPressed !== pressed) button.ariaPressed = pressed;
    }
  }
}
