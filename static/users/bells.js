// Tells once, by a notification of the browser, when somebody comes for whom a bell was set.

import { Kept } from "./kept.js";

const HERE = ["online", "busy"];

export class Bells {
  #room;
  #names;
  #icon;
  #say;
  #tells = false;

  /** `say(words)` tells on the page itself, where the browser may not. */
  constructor(room, me, { onChange, icon, say }) {
    this.#room = room;
    this.#icon = icon;
    this.#say = say;
    this.#names = new Kept("bells", me, onChange);
    room.addEventListener("change", () => this.#look());
    this.#wait(`bells of ${me}`);
  }

  has(username) {
    return this.#names.has(username);
  }

  [Symbol.iterator]() {
    return this.#names[Symbol.iterator]();
  }

  toggle(username) {
    this.#names.toggle(username);
    if (this.has(username)) this.#ask();
  }

  // Of several tabs one tells; when it is closed, another. What one tab has written the others may
  // read too late to go by that.
  async #wait(name) {
    const begin = () => {
      this.#tells = true;
      this.#look();
      return new Promise(() => {});
    };
    // There are no locks on a page that came without encryption; but no notifications either.
    await (navigator.locks?.request(name, begin) ?? begin());
  }

  async #ask() {
    const { Notification } = globalThis;
    if (Notification?.permission === "default") await Notification.requestPermission();
    if (Notification?.permission === "granted") return;
    this.#say("This browser does not allow notifications from this site. You will be told on this page.");
  }

  #look() {
    if (!this.#tells || this.#room.state !== "live") return;
    for (const username of [...this.#names]) {
      const person = this.#room.people.get(username);
      if (person && HERE.includes(person.status)) this.#ring(username, person.name ?? username);
    }
  }

  #ring(username, name) {
    this.#names.set(username, false);
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
