// The page with the user list: where the parts meet.

import { Announcer } from "./announce.js";
import { Directory } from "./directory.js";
import { Person } from "./person.js";
import { Roster } from "./roster.js";
import { Search } from "./search.js";
import { State } from "./state.js";
import { stay } from "./stay.js";
import { Summary } from "./summary.js";
import { View } from "./view.js";

const byId = (id) => document.getElementById(id);
const { me, total, now, complete } = byId("users").dataset;

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

function sinceOf({ dataset }) {
  return "since" in dataset ? Number(dataset.since) : null;
}

// Goes on where the server's first screen ends, unless that is not the first one.
function takeOver() {
  const shown = [...byId("people").children].map((row) => ({
    username: row.dataset.username,
    status: row.dataset.status,
    since: sinceOf(row),
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

for (const row of byId("people").children) {
  person.tell(row, row.dataset.status, sinceOf(row));
}

const connection = stay({
  onMessage: receive,
  onState(word, nextTry) {
    state.set(word, nextTry);
    person.stopped = state.stale;
    view.plan();
    if (word !== "live") return;
    // A new socket speaks up if other servers are silent.
    setDegraded(false);
    if (view.isOpen) view.outdate();
  },
});

byId("try-now").addEventListener("click", () => connection.tryNow());
byId("sort-now").addEventListener("click", () => view.sort());
for (const button of byId("choice").querySelectorAll("button")) {
  button.addEventListener("click", () => {
    connection.send({ type: "status", status: button.value, scope: "user" });
  });
}
