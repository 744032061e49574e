// What stands around the list: the count, the title, and what is said of an empty or unsorted list.

import { GROUPS } from "./order.js";
import { setText } from "./text.js";
import { found } from "./words.js";

const byId = (id) => document.getElementById(id);
const site = document.querySelector(".brand").textContent.trim();

export class Summary {
  #roster;
  #room;
  #search;
  #announcer;
  #answered = null; // the search whose outcome has been told

  constructor(roster, room, search, announcer, total) {
    this.#roster = roster;
    this.#room = room;
    this.#search = search;
    this.#announcer = announcer;
    this.total = total;
  }

  draw(view) {
    const searching = this.#search.typed !== "" || this.#search.hereOnly;
    if (view.complete && !searching) this.total = view.length;
    this.#drawCount();
    for (const group of GROUPS) this.#drawGroup(group, view, searching);
    this.#drawEnd(view, searching);
    this.#drawFound(view);
    this.#tellFound(view, searching);
    const { unsorted } = view;
    byId("sort-now").hidden = unsorted === 0;
    if (unsorted) setText(byId("sort-now"), `${unsorted} changed: update the list`);
  }

  #drawCount() {
    const here = this.#roster.count.toLocaleString("en");
    setText(byId("here-count"), here);
    setText(byId("total"), this.total.toLocaleString("en"));
    setText(byId("total-noun"), this.total === 1 ? "person" : "people");
    const title = this.#room.stale ? `Reconnecting… · ${site}` : `(${here}) ${site}`;
    if (document.title !== title) document.title = title;
  }

  #drawGroup(group, view, searching) {
    const counted = group !== "offline" || view.complete ? view.lengthOf(group) : this.#others(view);
    const known = group !== "offline" || view.complete || !searching;
    setText(byId(`${group}-count`), known ? counted.toLocaleString("en") : "");
  }

  // Who is offline, as far as they have not been read yet.
  #others(view) {
    return this.total - view.length + view.lengthOf("offline");
  }

  #drawEnd(view, searching) {
    const { typed, hereOnly } = this.#search;
    byId("more").hidden = view.complete;
    setText(byId("next"), view.failed ? "Could not load more people. Try again" : "More people");
    byId("nobody").hidden = !view.complete || view.length > 0;
    const named = typed ? ` is called “${typed}”` : "";
    setText(byId("nobody"), `Nobody${hereOnly ? " here" : ""}${named}.`);
    byId("first").hidden = this.total !== 1 || searching;
  }

  #drawFound(view) {
    const { typed } = this.#search;
    const words = typed && view.begun && view.length ? found(view.length, view.complete) : "";
    setText(byId("found"), words);
  }

  // Not what the page showed from the beginning.
  #tellFound(view, searching) {
    const { typed, hereOnly } = this.#search;
    const asked = `${hereOnly} ${typed}`;
    const first = this.#answered === null;
    if (asked === this.#answered || !view.begun) return;
    this.#answered = asked;
    if (first || !searching) return;
    const words = view.length ? found(view.length, view.complete) : byId("nobody").textContent;
    this.#announcer.say(words);
  }
}
