// Turns the server's days and times into those of the visitor.

import { setText } from "./users/text.js";
import { ago, exactly } from "./users/words.js";

/** In a page, by what it says is now. */
export function tellTimes(page) {
  const now = Number(page.querySelector("[data-now]").dataset.now);
  for (const time of page.querySelectorAll("time")) {
    const then = Date.parse(time.dateTime) / 1000;
    setText(time, ago(then, now));
    time.title = exactly(then);
  }
}

tellTimes(document);
