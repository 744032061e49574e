// What every page of somebody who is logged in does: it keeps them here.

import { Away } from "./away.js";
import { Connection } from "./connection.js";
import { site } from "./site.js";

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
  // What the session has become, we shall see on the page that the form leads to.
  addEventListener("submit", (event) => {
    if (event.target.method === "post" && !event.defaultPrevented) connection.stop();
  });
  return connection;
}

function logInAgain() {
  const to = new URL("log_in/", site);
  const here = location.pathname.slice(site.pathname.length - 1) + location.search;
  if (here !== "/") to.searchParams.set("next", here);
  location.assign(to);
}
