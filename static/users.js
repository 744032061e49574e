// The user list: the one place where the parts meet.

import { Announcer } from "./announce.js";
import { Away } from "./away.js";
import { Connection } from "./connection.js";
import { Directory } from "./directory.js";
import { Hold } from "./hold.js";
import { Order } from "./order.js";
import { Person } from "./person.js";
import { Roster } from "./roster.js";
import { Rows } from "./rows.js";
import { State } from "./state.js";

const TYPING = 150;
const WORDS = 15_000; // how often "here for 5 min" is read again
const HIDDEN = 1_000; // how often a hidden page draws: only its title can be seen
const AHEAD = 40; // rows left below the screen when the next page is fetched

const byId = (id) => document.getElementById(id);
const page = byId("users");
const { me } = page.dataset;
const asked = new URLSearchParams(location.search);

const roster = new Roster();
const list = byId("people");
const person = new Person(roster, me, Number(page.dataset.now));
const rows = new Rows(list, byId("person"), (row, username) => person.draw(row, username));
const hold = new Hold(list, () => draw());
const announcer = new Announcer(byId("news"));
const state = new State(page, () => connection.tryNow());

let prefix = asked.get("q")?.trim() ?? "";
let hereOnly = asked.get("here") === "1";
let total = Number(page.dataset.total);
let directory;
let order;
let drawn = false; // whether the rows are ours yet, not the server's
let planned = false;
const waiting = new Set(); // names that may stand in the wrong place

// The first screen goes on where the server's ends, unless it was a later page of its own.
function openFirst() {
  const rendered = [...list.querySelectorAll("li")].map((row) => ({
    username: row.dataset.username,
    status: row.dataset.status,
  }));
  const others = rendered.filter(({ status }) => status === "offline");
  const complete = "complete" in page.dataset && !asked.get("after") && !hereOnly;
  const after = asked.get("after") ? null : (others.at(-1)?.username ?? null);
  directory = new Directory(prefix, after, complete);
  order = new Order(roster, directory, prefix, hereOnly);
  order.fill([...roster.names(), ...rendered.map(({ username }) => username)]);
  rows.takeOver();
  rows.show(order);
  drawn = true;
}

function open() {
  directory = new Directory(prefix);
  order = new Order(roster, directory, prefix, hereOnly);
  order.fill(roster.names());
  waiting.clear();
  rows.show(order);
  draw();
}

function plan() {
  if (planned) return;
  planned = true;
  if (document.hidden) setTimeout(draw, HIDDEN);
  else requestAnimationFrame(draw);
}

function draw() {
  planned = false;
  if (!drawn) return;
  if (waiting.size && !hold.held) {
    rows.rearrange(() => order.place(waiting));
    waiting.clear();
  }
  rows.render({ total: wholeLength() });
  drawAround();
  readOn();
}

function drawAround() {
  const count = roster.count.toLocaleString("en");
  setText(byId("here-count"), count);
  setText(byId("total"), total.toLocaleString("en"));
  setText(byId("total-noun"), total === 1 ? "person" : "people");
  const title = `${count} here · Presence`;
  if (document.title !== title) document.title = title;
  const over = hereOnly || directory.complete;
  byId("more").hidden = over;
  byId("nobody").hidden = !over || order.length > 0;
  const whom = hereOnly ? "Nobody here" : "Nobody";
  setText(byId("nobody"), prefix ? `${whom} whose name begins with “${prefix}”.` : `${whom}.`);
  byId("first").hidden = total !== 1 || prefix !== "" || hereOnly;
  const misplaced = [...waiting].filter((username) => order.isMisplaced(username)).length;
  byId("sort-now").hidden = misplaced === 0;
  setText(byId("sort-now"), `Sort ${misplaced.toLocaleString("en")} into place`);
  for (const button of document.querySelectorAll("[data-choose]")) {
    const chosen = roster.statusOf(me) === button.dataset.choose;
    if (button.ariaPressed !== String(chosen)) button.ariaPressed = String(chosen);
  }
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function wholeLength() {
  if (hereOnly || directory.complete) return order.length;
  return prefix ? -1 : Math.max(total, order.length);
}

async function readOn() {
  if (hereOnly || directory.complete || directory.loading || rows.below > AHEAD) return;
  const reading = directory;
  try {
    const users = await reading.next();
    state.readable(true);
    roster.note(users);
    if (reading !== directory) return;
    order.append(users.map(({ username }) => username));
    if (reading.complete && !prefix) total = order.length;
    plan();
  } catch {
    state.readable(false);
  }
}

function receive(message) {
  if (message.type === "degraded") state.degraded(message.value);
  if (message.type !== "snapshot" && message.type !== "changes") return;
  const touched = roster.apply(message);
  if (!drawn) openFirst();
  else for (const [username, before] of touched) follow(username, before);
  plan();
}

function follow(username, before) {
  const after = roster.statusOf(username);
  waiting.add(username);
  if (roster.isDeleted(username)) total -= 1;
  if (username === me) return;
  if (before === "offline" && after !== "offline") announcer.came(username);
  if (before !== "offline" && after === "offline") announcer.left(username);
}

function look() {
  const query = new URLSearchParams();
  if (prefix) query.set("q", prefix);
  if (hereOnly) query.set("here", "1");
  history.replaceState(null, "", query.size ? `/?${query}` : "/");
  for (const button of byId("search").elements.here) {
    button.ariaPressed = String((button.value === "1") === hereOnly);
  }
  if (drawn) open();
}

let typing;
byId("q").addEventListener("input", (event) => {
  clearTimeout(typing);
  typing = setTimeout(() => {
    prefix = event.target.value.trim();
    look();
  }, TYPING);
});
byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  if (event.submitter?.name === "here" && event.submitter.matches(":focus-visible, :focus, :active")) {
    hereOnly = event.submitter.value === "1";
  }
  look();
});
byId("next").addEventListener("click", (event) => {
  event.preventDefault();
  readOn();
});
byId("sort-now").addEventListener("click", () => {
  rows.rearrange(() => order.place(waiting));
  waiting.clear();
  plan();
});
addEventListener("scroll", plan, { passive: true });
addEventListener("resize", () => {
  rows.measure();
  plan();
});
setInterval(() => document.hidden || plan(), WORDS);

const away = new Away((status) => connection.send({ type: "status", status }));
const connection = new Connection(new URL("/users/", location.href.replace(/^http/, "ws")).href, {
  heartbeat: Number(page.dataset.heartbeat),
  onMessage: receive,
  onState(now, nextTry) {
    state.connection(now, nextTry);
    if (now === "live" && away.away) connection.send({ type: "status", status: "away" });
    if (now === "ended") location.assign("/log_in/");
  },
});
byId("log-out").addEventListener("submit", () => connection.end());
byId("choice").classList.add("ready");
byId("choice").addEventListener("click", (event) => {
  const status = event.target.closest("button")?.dataset.choose;
  if (status) connection.send({ type: "status", status, scope: "user" });
});
