// Tells once, by a notification of the browser, when somebody comes for whom a bell was set.

import { Kept } from "./kept.js";

const HERE = ["online", "busy"];

export class Bells {
  #room;
  #names;
  #icon;
  #say;

  /** `say(words)` tells on the page itself, where the browser may not. */
  constructor(room, me, { onChange, icon, say }) {
    this.#room = room;
    this.#icon = icon;
    this.#say = say;
    this.#names = new Kept("bells", me, onChange);
    room.addEventListener("change", () => this.#look());
  }

  has(username) {
    return this.#names.has(username);
  }

  toggle(username) {
    this.#names.toggle(username);
    if (this.has(username)) this.#ask();
  }

  async #ask() {
    const { Notification } = globalThis;
    if (Notification?.permission === "default") await Notification.requestPermission();
    if (Notification?.permission === "granted") return;
    this.#say("This browser may show no notifications of this site: you will be told on this page only.");
  }

  #look() {
    if (this.#room.state !== "live") return;
    for (const username of this.#names) {
      const person = this.#room.people.get(username);
      if (person && HERE.includes(person.status)) this.#ring(username, person);
    }
  }

  // Several tabs see it at once: the one that takes the bell away tells.
  async #ring(username, { name = username }) {
    const first = await alone(() => this.#names.set(username, false));
    if (!first) return;
    const words = `${name} is here`;
    if (globalThis.Notification?.permission !== "granted") return this.#say(words);
    try {
      const told = new Notification(words, { tag: `here ${username}`, icon: this.#icon });
      told.addEventListener("click", () => focus());
    } catch {
      this.#say(words); // a browser that takes them from service workers only
    }
  }
}

// Without locks, on a page that came without encryption, the quickest is nearly always alone.
function alone(act) {
  return navigator.locks ? navigator.locks.request("bells", act) : act();
}
