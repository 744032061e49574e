// The Idle Detection API, where the browser has it and the person allows it: it knows of input in
// other programs, and of a locked screen.

const SHORTEST = 60_000; // the API takes no less

export class Idle {
  /** Whether there is input anywhere now; false where that is not known. */
  active = false;
  #limit;
  #onChange;

  /**
   * `limit` in milliseconds, 0 for never away. `onChange(active)` is called at first and whenever
   * that changes.
   */
  constructor(limit, onChange) {
    this.#limit = limit;
    this.#onChange = onChange;
    if (limit) this.#resume();
  }

  /** Whether it is worth asking for: a permission that was given or refused stays so. */
  async canAsk() {
    return this.#limit > 0 && (await permission()) === "prompt";
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
    await detector.start({ threshold: Math.max(this.#limit, SHORTEST) });
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
