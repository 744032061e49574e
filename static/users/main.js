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

const room = stay();
const roster = new Roster(room);
const announcer = new Announcer(byId("news"));
const person = new Person(roster, me, Number(now));
const search = new Search(byId("search"));
const summary = new Summary(roster, room, search, announcer, me, Number(total));
const view = new View(roster, me, {
  list: byId("people"),
  cover: byId("tools"),
  template: byId("person"),
  fill: (row, username) => person.fill(row, username),
  onDraw: () => summary.draw(view),
});
const state = new State(room, () => view.isOpen && view.outdate());

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

function follow(event) {
  const { added, updated, removed } = event;
  const { came, left, deleted } = roster.follow(event);
  summary.less(deleted.length);
  state.follow();
  person.stopped = room.stale;
  if (view.isOpen) {
    view.touch([...added.keys(), ...updated.keys(), ...removed.keys()]);
    const others = (usernames) => usernames.filter((username) => username !== me);
    announcer.note(others(came), others(left));
  } else if (state.live) {
    takeOver();
  }
}

for (const row of byId("people").children) {
  person.tell(row, row.dataset.status, sinceOf(row));
}

state.follow();
room.addEventListener("change", follow);

byId("try-now").addEventListener("click", () => room.tryNow());
byId("sort-now").addEventListener("click", () => view.sort());
for (const button of byId("choice").querySelectorAll("button")) {
  button.addEventListener("click", () => room.setStatus(button.value, { scope: "user" }));
}
