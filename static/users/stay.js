// What every page of somebody who is logged in does: it keeps them here.

import { Presence } from "../client/presence.js";
import { Away } from "./away.js";
import { site } from "./site.js";

/** The room of the site's own accounts; it ends with the session, and then the page with it. */
export function stay() {
  const room = new Presence(site).list();
  new Away((status) => room.setStatus(status));
  room.addEventListener("change", () => room.state === "ended" && logInAgain());
  // What the session has become, we shall see on the page that the form leads to.
  addEventListener("submit", (event) => {
    if (event.target.method === "post" && !event.defaultPrevented) room.close();
  });
  // Or when that page leads back to this one.
  addEventListener("pageshow", () => room.state === "closed" && logInAgain());
  return room;
}

function logInAgain() {
  const to = new URL("log_in/", site);
  const here = location.pathname.slice(site.pathname.length - 1) + location.search;
  if (here !== "/") to.searchParams.set("next", here);
  location.assign(to);
}
