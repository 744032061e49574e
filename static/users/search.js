// The search box and the filter, and the address that holds both.

const TYPING = 150;

export class Search {
  #form;
  #onChange = null;
  #timer = null;

  constructor(form) {
    this.#form = form;
    this.prefix = form.elements.q.defaultValue.trim();
    this.hereOnly = new URLSearchParams(location.search).get("here") === "1";
  }

  /** From now on the script answers; until then, and without it, the server does. */
  begin(onChange) {
    this.#onChange = onChange;
    this.#form.elements.q.addEventListener("input", () => this.#wait());
    this.#form.addEventListener("submit", (event) => this.#submit(event));
    if (this.#typed !== this.prefix) this.#look();
  }

  get #typed() {
    return this.#form.elements.q.value.trim();
  }

  #wait() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#look(), TYPING);
  }

  #submit(event) {
    event.preventDefault();
    // Enter in the box presses the first button, which is none of the filter's.
    if (event.submitter?.ariaPressed) this.hereOnly = event.submitter.value === "1";
    this.#look();
  }

  #look() {
    clearTimeout(this.#timer);
    this.prefix = this.#typed;
    for (const button of this.#form.querySelectorAll("[aria-pressed]")) {
      button.ariaPressed = String((button.value === "1") === this.hereOnly);
    }
    const query = new URLSearchParams();
    if (this.prefix) query.set("q", this.prefix);
    if (this.hereOnly) query.set("here", "1");
    history.replaceState(null, "", query.size ? `/?${query}` : "/");
    this.#onChange();
  }
}
