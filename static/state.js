// Tells how far the list can be believed.

const WORDS = {
  connecting: "Connecting…",
  live: "Live",
  degraded: "Live, but other servers are out of reach: their people are shown as last known",
  waiting: "Connection lost: shown as last known.",
  ended: "Logged out. Going to the log-in page…",
};

export class State {
  #line = document.getElementById("state");
  #words = document.getElementById("state-words");
  #next = document.getElementById("state-next");
  #tryNow = document.getElementById("try-now");
  #list = document.getElementById("people");
  #now = "connecting";
  #degraded = false;
  #nextTry = null;
  #timer = null;

  constructor(page, tryNow) {
    this.#tryNow.addEventListener("click", tryNow);
  }

  connection(now, nextTry) {
    this.#now = now;
    this.#nextTry = nextTry;
    this.#draw();
  }

  degraded(value) {
    this.#degraded = value;
    this.#draw();
  }

  readable() {}

  #draw() {
    const state = this.#now === "live" && this.#degraded ? "degraded" : this.#now;
    this.#line.dataset.state = state;
    if (this.#words.textContent !== WORDS[state]) this.#words.textContent = WORDS[state];
    this.#list.classList.toggle("stale", state === "waiting");
    this.#tryNow.hidden = state !== "waiting";
    clearInterval(this.#timer);
    if (state === "waiting") this.#timer = setInterval(() => this.#count(), 1000);
    this.#count();
  }

  #count() {
    const seconds = Math.max(1, Math.ceil((this.#nextTry - Date.now()) / 1000));
    this.#next.textContent = this.#now === "waiting" ? ` Next try in ${seconds} s.` : "";
  }
}
