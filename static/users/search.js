// The search box and the filter, and the address that holds both.

const TYPING = 150;

export class Search {
  #form;
  #onChange = null;
  #timer = null;

  constructor(form) {
    this.#form = form;
    this.typed = form.elements.q.defaultValue.trim();
    this.hereOnly = new URLSearchParams(location.search).get("here") === "1";
  }

  /** From now on the script answers; until then, and without it, the server does. */
  begin(onChange) {
    this.#onChange = onChange;
    this.#form.elements.q.addEventListener("input", () => this.#wait());
    this.#form.addEventListener("submit", (event) => this.#submit(event));
    addEventListener("keydown", (event) => this.#press(event));
    if (this.#inBox !== this.typed) this.#look();
  }

  get #inBox() {
    return this.#form.elements.q.value.trim();
  }

  #wait() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#look(), TYPING);
  }

  #press(event) {
    const box = this.#form.elements.q;
    if (event.key === "Escape" && event.target === box && box.value) return this.#clear(event);
    const typing = event.target.closest?.("input, textarea, select, dialog, [popover]");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    box.select();
  }

  #clear(event) {
    event.preventDefault();
    this.#form.elements.q.value = "";
    this.#look();
  }

  #submit(event) {
    event.preventDefault();
    // Enter in the box presses the first button, which is none of the filter's.
    if (event.submitter?.ariaPressed) this.hereOnly = event.submitter.value === "1";
    this.#look();
  }

  #look() {
    clearTimeout(this.#timer);
    this.typed = this.#inBox;
    for (const button of this.#form.querySelectorAll("[aria-pressed]")) {
      button.ariaPressed = String((button.value === "1") === this.hereOnly);
    }
    const query = new URLSearchParams();
    if (this.typed) query.set("q", this.typed);
    if (this.hereOnly) query.set("here", "1");
    history.replaceState(null, "", query.size ? `?${query}` : location.pathname);
    this.#onChange();
  }
}
