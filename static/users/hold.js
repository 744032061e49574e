// Says when rows must stay where they are: under a pointer, around the focus, while scrolling.

const STILL = 20_000; // a pointer that has not moved for so long is not about to do anything
const SCROLLED = 250;

export class Hold {
  #list;
  #onRelease;
  #until = 0;
  #touching = false;
  #timer = null;

  constructor(list, onRelease) {
    this.#list = list;
    this.#onRelease = onRelease;
    list.addEventListener("pointermove", (event) => {
      if (event.pointerType !== "touch") this.#holdFor(STILL);
    });
    list.addEventListener("pointerleave", () => this.release());
    list.addEventListener("focusout", () => this.#reviewIn(0));
    addEventListener("scroll", () => this.#holdFor(SCROLLED), { passive: true });
    addEventListener("touchstart", () => (this.#touching = true), { passive: true });
    for (const end of ["touchend", "touchcancel"]) {
      addEventListener(end, (event) => this.#lift(event.touches.length), { passive: true });
    }
  }

  get held() {
    return this.#touching || performance.now() < this.#until || this.#hasFocus();
  }

  release() {
    this.#until = 0;
    this.#reviewIn(0);
  }

  // A row that was clicked has the focus too, but nobody looks for it there.
  #hasFocus() {
    return this.#list.querySelector(":focus-visible") !== null;
  }

  #holdFor(time) {
    this.#until = Math.max(this.#until, performance.now() + time);
    this.#timer ?? this.#reviewIn(time);
  }

  #lift(fingersLeft) {
    this.#touching = fingersLeft > 0;
    this.#holdFor(SCROLLED);
  }

  #reviewIn(time) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#review(), time);
  }

  #review() {
    this.#timer = null;
    const left = this.#until - performance.now();
    if (left > 0) this.#reviewIn(left);
    else if (!this.held) this.#onRelease();
  }
}
