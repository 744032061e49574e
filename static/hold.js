// Says when rows must stay where they are: under a pointer, around the focus, while scrolling.

const STILL = 20_000; // a pointer that has not moved for so long is not about to do anything
const SCROLLED = 250;

export class Hold {
  #list;
  #onRelease;
  #until = -Infinity;
  #touching = false;
  #timer = null;

  constructor(list, onRelease) {
    this.#list = list;
    this.#onRelease = onRelease;
    list.addEventListener("pointermove", (event) => {
      if (event.pointerType !== "touch") this.#hold(STILL);
    });
    list.addEventListener("pointerleave", () => this.release());
    list.addEventListener("focusout", () => this.#review(0));
    addEventListener("scroll", () => this.#hold(SCROLLED), { passive: true });
    addEventListener("touchstart", () => (this.#touching = true), { passive: true });
    for (const type of ["touchend", "touchcancel"]) {
      addEventListener(type, () => this.#lift(), { passive: true });
    }
  }

  get held() {
    return (
      this.#touching ||
      performance.now() < this.#until ||
      this.#list.contains(document.activeElement)
    );
  }

  release() {
    this.#until = -Infinity;
    this.#review(0);
  }

  #hold(time) {
    this.#until = Math.max(this.#until, performance.now() + time);
    if (this.#timer === null) this.#review(time);
  }

  #lift() {
    this.#touching = false;
    this.#hold(SCROLLED);
  }

  #review(time) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = null;
      const left = this.#until - performance.now();
      if (left > 0) this.#review(left);
      else if (!this.held) this.#onRelease();
    }, time);
  }
}
