// What every page of somebody who is logged in does: it keeps them here, shows how they are, and
// tells when somebody comes for whom they wait.

import { Presence } from "../client/presence.js";
import { Away } from "./away.js";
import { Bells } from "./bells.js";
import { Icon } from "./icon.js";
import { Me } from "./me.js";
import { site } from "./site.js";
import { setText } from "./text.js";

const byId = (id) => document.getElementById(id);

/**
 * {me, room, bells}: the site's own accounts, and whom one waits for; `onBell(username)` is told of
 * each bell that is set or has rung. With `isPartial` the room tells of nobody else to begin with.
 * When the session ends, so does the page.
 */
export function stay(onBell = () => {}, isPartial = false) {
  const { me, awayAfter } = byId("me").dataset;
  const room = new Presence(site).list({ watch: isPartial ? [me] : null });
  const away = new Away(Number(awayAfter), (status) => room.setStatus(status));
  const icon = new Icon(document.querySelector('link[rel="icon"]'), room);
  const bells = new Bells(room, me, {
    onChange: (usernames) => usernames.forEach(onBell),
    icon: icon.url,
    say: (words) => setText(byId("notice"), words),
  });
  new Me(room, away, me);
  room.addEventListener("change", () => room.state === "ended" && logInAgain());
  // What the session has become, we shall see on the page that the form leads to.
  addEventListener("submit", (event) => {
    if (event.target.method === "post" && !event.defaultPrevented) room.close();
  });
  // Or when that page leads back to this one.
  addEventListener("pageshow", () => room.state === "closed" && logInAgain());
  return { me, room, bells };
}

function logInAgain() {
  const to = new URL("log_in/", site);
  const here = location.pathname.slice(site.pathname.length - 1) + location.search;
  if (here !== "/") to.searchParams.set("next", here);
  location.assign(to);
}
