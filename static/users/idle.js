// The Idle Detection API, where the browser has it and the person allows it: it knows of input in
// other programs, and of a locked screen.

const SHORTEST = 60_000; // the API takes no less

export class Idle {
  /** Whether there is input anywhere now; false where that is not known. */
  active = false;
  #threshold;
  #onChange;

  /** `onChange(active)` is called at first and whenever that changes. */
  constructor(limit, onChange) {
    this.#threshold = Math.max(limit, SHORTEST);
    this.#onChange = onChange;
    if (limit) this.#resume();
  }

  /** Whether one can ask for it: a permission that was given or refused stays so. */
  async canAsk() {
    return (await permission()) === "prompt";
  }

  /** To be called when a button is pressed; returns whether it is allowed now. */
  async ask() {
    const answer = await globalThis.IdleDetector.requestPermission();
    if (answer === "granted") await this.#start();
    return answer === "granted";
  }

  async #resume() {
    if ((await permission()) === "granted") await this.#start();
  }

  async #start() {
    const detector = new globalThis.IdleDetector();
    detector.addEventListener("change", () => this.#take(detector));
    await detector.start({ threshold: this.#threshold });
    this.#take(detector);
  }

  #take({ userState, screenState }) {
    this.active = userState === "active" && screenState !== "locked";
    this.#onChange(this.active);
  }
}

async function permission() {
  if (!("IdleDetector" in globalThis)) return "missing";
  try {
    return (await navigator.permissions.query({ name: "idle-detection" })).state;
  } catch {
    return "missing";
  }
}
