// The menu at one's own name: how one is shown, in which words, and until when.

import { asField, endOf } from "./ends.js";
import { setText } from "./text.js";
import { initials, statusNames, untilWords } from "./words.js";

const HOUR = 3600;
const LONGEST = 30 * 24 * HOUR;
const byId = (id) => document.getElementById(id);
const unix = () => Math.floor(Date.now() / 1000);

export class Me {
  #room;
  #away;
  #name;
  #form = byId("choice");
  #chosen; // "online" for none

  constructor(room, away, name) {
    this.#room = room;
    this.#away = away;
    this.#name = name;
    this.#chosen = byId("me").dataset.choice || "online";
    room.addEventListener("change", () => this.#draw());
    this.#form.addEventListener("submit", (event) => this.#submit(event));
    this.#form.addEventListener("click", ({ target }) => this.#press(target));
    this.#form.elements.end.addEventListener("change", () => this.#drawTime());
    byId("me-menu").addEventListener("toggle", ({ newState }) => newState === "open" && this.#fill());
  }

  // What is typed at the moment is left alone.
  #draw() {
    // Until then it is as the server drew it.
    if (!this.#room.isKnown(this.#name)) return;
    if (this.#room.state === "live") this.#chosen = this.#room.choice?.status ?? "online";
    const status = this.#status;
    byId("me").dataset.status = status;
    byId("me-mark").dataset.status = status;
    setText(byId("me-status"), statusNames[status]);
    this.#drawName();
    for (const button of this.#form.querySelectorAll("[name=status]")) {
      const pressed = String(button.value === this.#chosen);
      if (button.ariaPressed !== pressed) button.ariaPressed = pressed;
    }
  }

  // It may have been given a moment ago, or in another tab.
  #drawName() {
    const person = this.#room.people.get(this.#name);
    if (!person) return;
    const name = person.name ?? this.#name;
    setText(byId("me").querySelector(".me-name bdi"), name);
    setText(byId("me").querySelector(".initials"), initials(name));
  }

  // The others are told nothing of who is invisible; oneself is.
  get #status() {
    if (this.#chosen === "invisible") return "invisible";
    return this.#room.people.get(this.#name)?.status ?? this.#chosen;
  }

  #fill() {
    const { text = "", until } = this.#room.choice ?? {};
    const { elements } = this.#form;
    elements.text.value = text;
    const kept = elements.end.querySelector(".kept");
    kept.hidden = !until;
    kept.value = until ? `@${until}` : "@";
    kept.textContent = until ? untilWords(until, unix()).replace("until ", "") : "";
    elements.end.value = until ? kept.value : "";
    const now = unix();
    Object.assign(elements.time, { min: asField(now), max: asField(now + LONGEST) });
    elements.time.value = asField(now + HOUR);
    this.#drawTime();
    this.#offerIdle();
  }

  #drawTime() {
    const { end, time } = this.#form.elements;
    time.parentElement.hidden = end.value !== "time";
    // What cannot be seen is not judged either.
    time.disabled = end.value !== "time";
  }

  #press(target) {
    const button = target.closest("button");
    const { elements } = this.#form;
    if (button?.dataset.text !== undefined) {
      elements.text.value = button.dataset.text;
      elements.end.value = button.dataset.end;
      this.#drawTime();
    }
    if (button?.id === "idle") this.#away.idle.ask().then(() => this.#offerIdle());
  }

  // Both a status and Save say all that the form holds.
  #submit(event) {
    event.preventDefault();
    const { elements } = this.#form;
    const { submitter } = event;
    const status = submitter?.name === "status" ? submitter.value : this.#chosen;
    const text = elements.text.value.trim();
    const until = endOf(elements.end.value, elements.time.value, unix());
    const words = status === "online" && text === "" ? {} : { text, until };
    this.#room.setStatus(status, { ...words, scope: "user" });
    if (submitter?.name !== "status") byId("me-menu").hidePopover();
  }

  async #offerIdle() {
    byId("idle").hidden = !(await this.#away.idle.canAsk());
  }
}
