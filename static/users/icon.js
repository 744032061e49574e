// The icon of the page shows whether the list can be believed.

export class Icon {
  /** The address of the icon as the page was loaded with it. */
  url;
  #link;

  constructor(link, room) {
    this.#link = link;
    this.url = link.href;
    // When it is needed, nothing can be had any more.
    new Image().src = link.dataset.lost;
    room.addEventListener("change", () => this.#show(room.stale));
  }

  #show(stale) {
    const url = stale ? this.#link.dataset.lost : this.url;
    if (this.#link.href !== url) this.#link.href = url;
  }
}
