// Keeps what a page shows of now as it is now: by asking for the page again, as a reader would.

import { tellTimes } from "./times.js";

const EVERY = 3_000; // milliseconds
const WITHIN = 10_000; // for an answer

const parts = document.querySelectorAll("[data-live]");
const trouble = document.createElement("p");
trouble.className = "outcome bad";
trouble.setAttribute("role", "status");
trouble.hidden = true;
parts[0].before(trouble);

async function refresh() {
  const signal = AbortSignal.timeout(WITHIN);
  const answer = await fetch(location.href, { cache: "no-store", signal });
  // Logged out, or no administrator any more: the page there says what that means.
  if (answer.status === 404 || answer.url.includes("/log_in/")) return location.assign(answer.url);
  if (!answer.ok) throw new Error(answer.status);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  tellTimes(page);
  for (const part of parts) {
    const fresh = page.getElementById(part.id);
    // Under the finger, or in the focus of the keyboard, nothing is taken away.
    if (fresh && !part.contains(document.activeElement)) part.replaceChildren(...fresh.childNodes);
  }
  trouble.hidden = true;
}

function tell() {
  trouble.textContent = "The server cannot be reached. This is how things were.";
  trouble.hidden = false;
}

// One at a time: a server that is slow is not asked more, and what is older never comes later.
async function goOn() {
  if (document.visibilityState === "visible") await refresh().catch(tell);
  setTimeout(goOn, EVERY);
}

setTimeout(goOn, EVERY);
