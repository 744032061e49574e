// The page with the user list: where the parts meet.

import { Announcer } from "./announce.js";
import { Away } from "./away.js";
import { Connection } from "./connection.js";
import { Directory } from "./directory.js";
import { Person } from "./person.js";
import { Roster } from "./roster.js";
import { Search } from "./search.js";
import { site } from "./site.js";
import { State } from "./state.js";
import { Summary } from "./summary.js";
import { View } from "./view.js";

const byId = (id) => document.getElementById(id);
const { me, total, now, heartbeat, complete } = byId("users").dataset;

const state = new State();
const roster = new Roster();
const announcer = new Announcer(byId("news"));
const person = new Person(roster, me, Number(now));
const search = new Search(byId("search"));
const summary = new Summary(roster, state, search, announcer, me, Number(total));
const view = new View(roster, me, {
  list: byId("people"),
  cover: byId("tools"),
  template: byId("person"),
  fill: (row, username) => person.fill(row, username),
  onDraw: () => summary.draw(view),
});

// Goes on where the server's first screen ends, unless that is not the first one.
function takeOver() {
  const shown = [...byId("people").children].map(({ dataset }) => ({
    username: dataset.username,
    status: dataset.status,
    since: "since" in dataset ? Number(dataset.since) : null,
  }));
  roster.note(shown);
  const others = shown.filter(({ status }) => status === "offline");
  const isFirst = !new URLSearchParams(location.search).has("after");
  const after = (isFirst && others.at(-1)?.username) || null;
  const isAll = isFirst && !search.hereOnly && complete !== undefined;
  const directory = new Directory(search.prefix, { after, complete: isAll });
  view.open(search, shown.map(({ username }) => username), directory);
  search.begin(() => view.open(search));
  byId("next").addEventListener("click", (event) => {
    event.preventDefault();
    view.retry();
  });
}

function follow(message) {
  const touched = roster.apply(message);
  summary.less(Object.keys(message.deleted ?? {}).length);
  if (!view.isOpen) {
    takeOver();
    return;
  }
  view.touch(touched.keys());
  for (const [username, before] of touched) {
    if (username !== me) announcer.note(username, before, roster.statusOf(username));
  }
}

function receive(message) {
  if (message.type === "snapshot" || message.type === "changes") follow(message);
  if (message.type === "degraded") setDegraded(message.value);
  if (message.type === "own") {
    roster.confirm(message.usernames);
    view.plan();
  }
}

function setDegraded(value) {
  roster.degraded = state.degraded = value;
  view.plan();
}

const away = new Away((status) => connection.send({ type: "status", status }));
const socket = new URL("users/", site).href.replace(/^http/, "ws");
const connection = new Connection(socket, {
  heartbeat: Number(heartbeat),
  onMessage: receive,
  onState(word, nextTry) {
    state.set(word, nextTry);
    view.plan();
    if (word === "ended") location.assign(new URL("log_in/", site));
    if (word !== "live") return;
    // A new socket takes us for what we were before, and speaks up if other servers are silent.
    connection.send({ type: "status", status: away.status });
    setDegraded(false);
    if (view.isOpen) view.outdate();
  },
});

// What the form's answer says of the session we shall see on the page that it leads to.
byId("log-out").addEventListener("submit", () => connection.stop());
byId("try-now").addEventListener("click", () => connection.tryNow());
byId("sort-now").addEventListener("click", () => view.sort());
for (const button of byId("choice").querySelectorAll("button")) {
  button.addEventListener("click", () => {
    connection.send({ type: "status", status: button.value, scope: "user" });
  });
}
