// What every page of somebody who is logged in does: it keeps them here.

import { Presence } from "../client/presence.js";
import { Away } from "./away.js";
import { site } from "./site.js";

<<<<<<< HEAD
/** The connection that does; `onMessage` and `onState` as for Connection. */
export function stay({ onMessage = () => {}, onState = () => {} } = {}) {
  const away = new Away((status) => connection.send({ type: "status", status }));
  const connection = new Connection({
    status: () => away.status,
    onMessage,
    onState(word, nextTry) {
      onState(word, nextTry);
      // We may have come back while it opened, and then it takes us for what we were before.
      if (word === "live") connection.send({ type: "status", status: away.status });
      if (word === "ended") logInAgain();
    },
  });
=======
/** The room of the site's own accounts; it ends with the session, and then the page with it. */
export function stay() {
  const room = new Presence(site).list();
  new Away((status) => room.setStatus(status));
  room.addEventListener("change", () => room.state === "ended" && logInAgain());
>>>>>>> 0e75d5a (Serve the client at /client/v1/presence.js, and use it on the site's own pages)
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
