// The search box and the filter, and the address that holds both.

const TYPING = 150;

export class Search {
  #form;
  #onChange;
  #timer = null;

  constructor(form, onChange) {
    this.#form = form;
    this.#onChange = onChange;
    this.prefix = form.elements.q.value.trim();
    this.hereOnly = new URLSearchParams(location.search).get("here") === "1";
    form.elements.q.addEventListener("input", () => this.#wait());
    form.addEventListener("submit", (event) => this.#submit(event));
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
    this.prefix = this.#form.elements.q.value.trim();
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
