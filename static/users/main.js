// The page with the user list: where the parts meet.

import { Announcer } from "./announce.js";
import { Card } from "./card.js";
import { Directory } from "./directory.js";
import { Kept } from "./kept.js";
import { Person } from "./person.js";
import { Roster } from "./roster.js";
import { Search } from "./search.js";
import { State } from "./state.js";
import { stay } from "./stay.js";
import { Summary } from "./summary.js";
import { View } from "./view.js";
import { Watching } from "./watching.js";

const byId = (id) => document.getElementById(id);
const { me, total, here, everybody, now, complete } = byId("users").dataset;
const isPartial = Number(here) > Number(everybody);

const { room, bells } = stay((username) => touch([username]), isPartial);
const roster = new Roster(room, isPartial, Number(here));
const announcer = new Announcer(byId("news"));
const favourites = new Kept("favourites", me, touch);
const person = new Person(roster, me, bells, byId("controls").content, Number(now));
const search = new Search(byId("search"));
const summary = new Summary(roster, room, search, announcer, Number(total));
const view = new View(roster, favourites, me, {
  place: byId("people"),
  cover: byId("tools"),
  template: byId("person"),
  fill: (row, username) => person.fill(row, username),
  onDraw: () => {
    summary.draw(view);
    watching.near(view.names);
  },
});
const watching = new Watching(room, roster, {
  always: () => [me, ...bells, ...favourites],
  bound: Number(everybody),
  onTurn: (isPartial) => view.turn(isPartial),
});
let [begun, counted] = [false, null];
const card = new Card(byId("card"), { roster, person, favourites, bells, me });
const state = new State(room, () => view.isOpen && view.outdate());

function touch(usernames) {
  if (view.isOpen) view.touch(usernames);
  card.draw();
}

const rows = () => [...byId("people").querySelectorAll("li")];

function sinceOf({ dataset }) {
  return "since" in dataset ? Number(dataset.since) : null;
}

// Goes on where the server's first screen ends, unless that is not the first one.
function takeOver() {
  const shown = rows().map((row) => ({
    username: row.dataset.username,
    status: row.dataset.status,
    since: sinceOf(row),
    name: row.dataset.name,
    text: row.querySelector(".text").textContent,
    until: Number(row.dataset.until) || undefined,
  }));
  roster.note(shown);
  const names = shown.map(({ username }) => username);
  const others = shown.filter(({ status }) => status === "offline");
  const isFirst = !new URLSearchParams(location.search).has("after");
  const after = (isFirst && others.at(-1)?.username) || null;
  const isAll = isFirst && !search.hereOnly && complete !== undefined;
  const directory = new Directory(search.typed, { names, after, complete: isAll });
  view.begin(search, summary.total, directory);
  search.begin(() => view.open(search, summary.total));
  byId("next").addEventListener("click", (event) => {
    event.preventDefault();
    view.retry();
  });
}

// Who is offline and further down in the directory than has been read.
async function lookUp(username) {
  const directory = new Directory(username);
  const found = (await directory.next())?.find((one) => one.username === username);
  if (found) roster.note([found]);
  if (found) touch([username]);
}

function follow(event) {
  const { added, updated, removed, others } = event;
  const { came, left, deleted } = roster.follow(event);
  summary.total -= deleted.length;
  state.follow();
  person.stopped = room.stale;
  if (roster.count !== counted) view.recount();
  counted = roster.count;
  if (view.isOpen) {
    watching.follow();
    touch([added, updated, removed, others].flatMap((people) => [...people.keys()]));
    // What one has chosen oneself changes one's own row, too.
    touch([me]);
    const notMe = (usernames) => usernames.filter((username) => username !== me);
    announcer.note(notMe(came), notMe(left));
  } else if (state.live && !begun) {
    begun = true;
    takeOver();
    for (const username of favourites) if (!roster.knows(username)) lookUp(username);
  }
}

for (const row of rows()) {
  person.tell(row, row.dataset.status, sinceOf(row));
}

state.follow();
room.addEventListener("change", follow);

byId("try-now").addEventListener("click", () => room.tryNow());
byId("sort-now").addEventListener("click", () => view.sort());
byId("people").addEventListener("click", ({ target }) => {
  const row = target.closest("li");
  if (target.closest(".bell")) bells.toggle(row.dataset.username);
  else if (row?.querySelector(".open")) card.open(row.dataset.username);
});
