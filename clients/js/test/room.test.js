// Who is in a room, and what a page is told of it.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { settle, tokenOf, World } from "./world.js";

let world;
beforeEach(() => (world = new World()));
afterEach(() => world.end());

const ids = (map) => [...map.keys()];

test("a snapshot says who is here, and changes go over it", async () => {
  const room = await world.room();
  await world.accept({ online: { ann: 1 }, away: { bob: 2 }, about: { ann: { name: "Ann B." } } });
  assert.deepEqual(
    [...room.people],
    [
      ["ann", { name: "Ann B.", status: "online", since: 1 }],
      ["bob", { status: "away", since: 2 }],
    ],
  );
  assert.equal(room.count, 2);
  assert.deepEqual(ids(room.seen.at(-1).added), ["ann", "bob"]);
  await world.says({ type: "changes", busy: { ann: 3 }, offline: { bob: 4 }, online: { eve: 5 } });
  const { added, updated, removed } = room.seen.at(-1);
  assert.deepEqual([ids(added), ids(updated), ids(removed)], [["eve"], ["ann"], ["bob"]]);
  assert.deepEqual(room.people.get("ann"), { name: "Ann B.", status: "busy", since: 3 });
  assert.deepEqual(removed.get("bob"), { status: "offline", since: 4 });
});

test("what stands beside a status replaces the former, and {} empties it", async () => {
  const room = await world.room();
  await world.accept({ online: { ann: 1 }, about: { ann: { text: "lunch", data: { row: 1 } } } });
  await world.says({ type: "changes", about: { ann: { data: { row: 2 } } } });
  assert.deepEqual(room.people.get("ann"), { data: { row: 2 }, status: "online", since: 1 });
  await world.says({ type: "changes", about: { ann: {}, nobody: { text: "x" } } });
  assert.deepEqual([...room.people], [["ann", { status: "online", since: 1 }]]);
});

test("whom a later snapshot does not name has left, when nobody knows", async () => {
  const room = await world.room();
  await world.accept({ online: { ann: 1, bob: 1 } });
  await world.says({ type: "changes", about: { bob: { text: "lunch" } } });
  await world.says({ type: "snapshot", online: { bob: 1, eve: 2 } });
  assert.deepEqual(room.people.get("bob"), { status: "online", since: 1 });
  const { added, updated, removed } = room.seen.at(-1);
  assert.deepEqual([ids(added), ids(updated)], [["eve"], ["bob"]]);
  assert.deepEqual([...removed], [["ann", { status: "offline", since: null }]]);
});

test("ids that objects have a meaning for are ids", async () => {
  const room = await world.room();
  await world.accept();
  world.socket.onmessage({ data: '{"type":"changes","online":{"__proto__":1,"constructor":2}}' });
  assert.deepEqual(ids(room.people), ["__proto__", "constructor"]);
});

test("several messages of one turn are one event, and who came and went was never there", async () => {
  const room = await world.room();
  await world.accept({ online: { ann: 1 } });
  const before = room.seen.length;
  for (const message of [
    { type: "changes", online: { bob: 2 }, offline: { ann: 2 } },
    { type: "changes", online: { ann: 3 }, offline: { bob: 3 } },
  ]) {
    world.socket.onmessage({ data: JSON.stringify(message) });
  }
  await world.says({ type: "alive", cursor: "c9" });
  assert.equal(room.seen.length, before + 1);
  const { added, updated, removed } = room.seen.at(-1);
  assert.deepEqual([ids(added), ids(updated), ids(removed)], [[], ["ann"], []]);
});

test("signs of life and what is not known here are no events", async () => {
  const room = await world.room();
  await world.accept();
  const before = room.seen.length;
  await world.says({ type: "alive", cursor: "c2" });
  await world.says({ type: "news of the future" });
  world.socket.onmessage({ data: "no JSON" });
  assert.equal(room.seen.length, before);
  assert.equal(room.state, "live");
});

test("while other nodes are silent only whom ours names is known", async () => {
  const room = await world.room();
  await world.accept({ online: { ann: 1, bob: 1 } });
  await world.says({ type: "degraded", value: true });
  await world.says({ type: "own", usernames: ["ann"] });
  assert.equal(room.degraded, true);
  assert.deepEqual([room.isLastKnown("ann"), room.isLastKnown("bob")], [false, true]);
  await world.says({ type: "changes", away: { bob: 2 } });
  assert.equal(room.isLastKnown("bob"), false);
  await world.says({ type: "degraded", value: false });
  assert.equal(room.degraded, false);
});

test("a new line has not been told that other nodes are silent", async () => {
  const room = await world.room();
  await world.accept({ online: { bob: 1 } });
  await world.says({ type: "degraded", value: true });
  await world.ends();
  await world.pass(1);
  await world.accept({ online: { bob: 1 } });
  assert.equal(room.degraded, false);
});

test("all are as last known while the line is lost", async () => {
  const room = await world.room();
  assert.equal(room.stale, false);
  await world.accept({ online: { ann: 1 } });
  assert.equal(room.stale, false);
  await world.ends();
  assert.deepEqual([room.stale, room.isLastKnown("ann")], [true, true]);
  assert.deepEqual(ids(room.people), ["ann"]);
});

test("what one says waits for the line, and only the newest is said", async () => {
  const room = await world.room();
  room.setData({ row: 1 });
  room.setData({ row: 2 });
  room.setStatus("away");
  room.setStatus("busy", { text: "lunch", until: 9 });
  await world.accept();
  assert.deepEqual(world.socket.sent, [
    { type: "data", data: { row: 2 } },
    { type: "status", status: "away" },
    { type: "status", status: "busy", scope: "user", text: "lunch", until: 9 },
  ]);
});

test("a new line is told again what is of lines, and not what is of users", async () => {
  const room = await world.room({ status: "away" });
  assert.equal(world.socket.url.searchParams.get("status"), "away");
  await world.accept();
  assert.deepEqual(world.socket.sent, []);
  room.setStatus("online");
  room.setStatus("busy");
  await world.says({ type: "choice", status: "busy" });
  room.setData({ row: 1 });
  await world.ends();
  await world.pass(1);
  assert.equal(world.socket.url.searchParams.get("status"), "online");
  await world.accept();
  assert.deepEqual(world.socket.sent, [{ type: "data", data: { row: 1 } }]);
});

const choices = () => world.socket.sent.filter(({ scope }) => scope === "user");

/** The line ends, and the next one begins with a message. */
async function another(room, begins = null, code = 1006) {
  await world.ends(code);
  await world.pass(room.nextTry / 1000);
  await world.accept();
  if (begins) await world.says({ type: "choice", ...begins });
}

test("a choice is said over each new line until the server has confirmed it", async () => {
  const room = await world.room();
  await world.accept();
  room.setStatus("busy", { text: "lunch", until: 9 });
  const said = { type: "status", status: "busy", scope: "user", text: "lunch", until: 9 };
  assert.deepEqual(choices(), [said]);
  room.setData({ row: 1 });
  assert.deepEqual(choices(), [said]);
  // What was chosen before is no answer.
  await another(room, { status: "away" });
  assert.deepEqual(choices(), [said]);
  await another(room, { status: "away" });
  assert.deepEqual(choices(), [said]);
  await world.says({ type: "choice", status: "busy", text: "lunch", until: 9 });
  // On another device something else is chosen.
  await world.says({ type: "choice", status: "invisible" });
  await another(room, { status: "invisible" });
  assert.deepEqual(choices(), []);
  assert.deepEqual(room.choice.status, "invisible");
});

test("of two choices only the newest is said again", async () => {
  const room = await world.room();
  await world.accept();
  room.setStatus("busy");
  room.setStatus("away", { text: "", scope: "user" });
  await world.says({ type: "choice", status: "busy" });
  await another(room);
  assert.deepEqual(choices().map(({ status }) => status), ["away"]);
  await world.says({ type: "choice", status: "away" });
  await another(room);
  assert.deepEqual(choices(), []);
});

test("a choice that is over, or of nothing, is confirmed by nothing", async () => {
  const room = await world.room();
  await world.accept();
  for (const status of ["busy", "online"]) {
    room.setStatus(status, { scope: "user", until: 9 });
    await world.says({ type: "choice" });
    await another(room);
    assert.deepEqual(choices(), []);
  }
});

test("a choice that the server refuses is not said again", async () => {
  const room = await world.room();
  await world.accept();
  for (const code of [1007, 1009]) {
    room.setStatus("busy", { text: "x".repeat(101) });
    await another(room, null, code);
    assert.deepEqual(choices(), []);
  }
});

test("data that the server would refuse is refused here", async () => {
  const room = await world.room();
  assert.throws(() => room.setData({ text: "ä".repeat(300) }), RangeError);
  room.setData({ text: "a".repeat(500) });
  for (const data of [undefined, null, 7, "x", [1]]) assert.throws(() => room.setData(data), TypeError);
});

test("data that change all the time are said now and then, the last of them always", async () => {
  const room = await world.room();
  await world.accept({ heartbeat: 1000 });
  const rows = () => world.socket.sent.map(({ data }) => data.row);
  for (let row = 1; row <= 200; row += 1) {
    room.setData({ row });
    await world.pass(0.05);
  }
  assert.ok(rows().length < 18);
  assert.equal(rows()[0], 1);
  await world.pass(1);
  assert.equal(rows().at(-1), 200);
  const { length } = room.seen;
  await world.pass(5);
  // A rest is no event.
  assert.equal(room.seen.length, length);
  room.setData({ row: 201 });
  assert.equal(rows().at(-1), 201);
});

test("data that wait for their turn go over the next line, and end with the room", async () => {
  const room = await world.room();
  await world.accept();
  room.setData({ row: 1 });
  room.setData({ row: 2 });
  await world.ends();
  await world.pass(room.nextTry / 1000);
  await world.accept({ heartbeat: 1000 });
  await world.pass(0.6);
  assert.deepEqual(world.socket.sent, [{ type: "data", data: { row: 2 } }]);
  room.setData({ row: 3 });
  room.close();
  assert.equal(world.timers.size, 0);
});

test("an end is of a choice, and a whole second", async () => {
  const room = await world.room();
  await world.accept();
  room.setStatus("away", { until: 9.7 });
  assert.deepEqual(choices(), [{ type: "status", status: "away", scope: "user", until: 9 }]);
});

test("watching some asks for them, and counts come from the server", async () => {
  const room = await world.room({ watch: ["ann"] });
  assert.equal(world.socket.url.searchParams.get("watch"), "some");
  await world.accept();
  assert.deepEqual(world.socket.sent, [{ type: "watch", users: ["ann"] }]);
  await world.says({ type: "snapshot", online: { ann: 1 } });
  await world.says({ type: "count", online: 7, busy: 1, away: 2 });
  assert.equal(room.count, 10);
  room.watch(["bob", "ann"]);
  room.watch(["ann", "bob"]);
  await world.pass(1);
  assert.equal(world.socket.sent.length, 2);
  room.watch(null);
  await world.pass(1);
  assert.deepEqual(world.socket.sent.at(-1), { type: "watch", users: null });
  // Until all are told, and not what was on its way before that.
  assert.equal(room.count, 10);
  await world.says({ type: "snapshot", online: { ann: 1, bob: 1 } });
  await world.says({ type: "count", online: 9, busy: 1, away: 2 });
  assert.deepEqual([room.count, room.counts], [2, null]);
  assert.throws(() => room.watch(Array.from({ length: 501 }, (_, n) => `user${n}`)), RangeError);
});

test("whom one watches is not known until the server has answered", async () => {
  const room = await world.room({ watch: ["ann"] });
  await world.accept();
  await world.says({ type: "count", online: 2, busy: 0, away: 0 });
  assert.deepEqual([room.state, room.stale, room.isKnown("ann")], ["live", false, false]);
  await world.says({ type: "snapshot", online: { ann: 1 } });
  assert.equal(room.isKnown("ann"), true);
  await world.pass(1);
  room.watch(["ann", "bob"]);
  assert.deepEqual([room.stale, ...["ann", "bob"].map((id) => room.isKnown(id))], [false, true, false]);
  await world.says({ type: "snapshot", online: { ann: 1 } });
  assert.deepEqual([...room.people.keys(), room.isKnown("bob")], ["ann", true]);
  // How they are by now a new line has not said yet.
  await world.ends();
  await world.pass(room.nextTry / 1000);
  await world.accept({ type: "changes" });
  assert.deepEqual([room.state, room.isLastKnown("ann")], ["live", true]);
  await world.says({ type: "snapshot", online: { ann: 1 } });
  assert.deepEqual([room.stale, room.isLastKnown("ann")], [false, false]);
  await world.pass(1);
  room.watch(null);
  assert.equal(room.isKnown("eve"), false);
  await world.says({ type: "snapshot", online: { ann: 1 } });
  assert.equal(room.isKnown("eve"), true);
});

test("whoever is told of everybody knows of all", async () => {
  const room = await world.room();
  assert.equal(room.isKnown("ann"), false);
  await world.accept();
  assert.equal(room.isKnown("ann"), true);
});

test("whom to watch may change all the time, beside data, and the last list is said", async () => {
  const room = await world.room({ watch: [] });
  await world.accept({ heartbeat: 1000 });
  for (let row = 1; row <= 200; row += 1) {
    room.watch([`u${row}`]);
    room.setData({ row });
    await world.pass(0.05);
  }
  // More than 20 in ten seconds, and the server closes the socket.
  assert.ok(world.socket.sent.length <= 18, String(world.socket.sent.length));
  await world.pass(2);
  const last = (kind) => world.socket.sent.findLast(({ type }) => type === kind);
  assert.deepEqual([last("watch").users, last("data").data], [["u200"], { row: 200 }]);
});

test("whom one no longer watches goes at once", async () => {
  const room = await world.room();
  await world.accept({ online: { ann: 1, bob: 1 } });
  room.watch(["bob", "eve"]);
  await world.says({ type: "changes", online: { ann: 5, eve: 5 } });
  assert.deepEqual(ids(room.people), ["bob", "eve"]);
  assert.deepEqual(ids(room.seen.at(-1).removed), ["ann"]);
  // The cursor was that of another question.
  await world.ends();
  await world.pass(1);
  assert.equal(world.socket.url.searchParams.get("cursor"), null);
});

test("a new line that begins with nobody makes nobody leave whom one watches", async () => {
  const room = await world.room({ watch: ["ann"] });
  await world.accept();
  await world.says({ type: "snapshot", online: { ann: 1 } });
  room.seen.length = 0;
  await world.ends();
  await world.pass(1);
  await world.accept();
  assert.deepEqual(world.socket.sent, [{ type: "watch", users: ["ann"] }]);
  assert.deepEqual(ids(room.people), ["ann"]);
  assert.ok(room.seen.every(({ removed }) => removed.size === 0));
  await world.says({ type: "snapshot", online: {} });
  assert.deepEqual(ids(room.people), []);
});

test("a change of mind while the line opens is not lost", async () => {
  const room = await world.room({ watch: ["ann"] });
  room.watch(null);
  await world.accept();
  assert.deepEqual(world.socket.sent, [{ type: "watch", users: null }]);
});

test("who leaves says so; who closes has a grace", async () => {
  const room = await world.room();
  await world.accept();
  room.leave();
  assert.deepEqual(world.socket.sent, [{ type: "leave" }]);
  assert.deepEqual([room.state, world.socket.closed, world.requests], ["closed", true, []]);
});

test("who leaves while there is no line says so, too, without one", async () => {
  const leaves = () => world.requests.filter(({ method }) => method === "POST");
  const room = await world.room();
  const line = world.socket.url.searchParams.get("line");
  await world.accept();
  await world.ends();
  assert.equal(room.state, "waiting");
  room.leave();
  await settle();
  const [{ url, body, headers, keepalive }] = leaves();
  assert.match(url, /\/base\/api\/v1\/rooms\/doc%3A42\/me$/);
  assert.deepEqual([JSON.parse(body), keepalive], [{ leave: true, line }, true]);
  assert.equal(headers.Authorization, `Bearer ${tokenOf(600)}`);
  assert.equal(room.state, "closed");
  room.leave();
  // It opens, is doubted, or the page was put aside.
  for (const come of [() => {}, () => world.accept({ heartbeat: 1 }),
    () => world.happens("pagehide")]) {
    const other = await world.room();
    await come();
    await world.pass(3);
    assert.equal(other.state, "connecting");
    other.leave();
  }
  await settle();
  assert.equal(leaves().length, 4);
});

test("a line that opens only then has left, too", async () => {
  const room = await world.room();
  room.leave();
  const { socket } = world;
  assert.deepEqual([socket.sent, socket.closed], [[], false]);
  socket.open();
  assert.deepEqual([socket.sent, socket.closed], [[{ type: "leave" }], true]);
});

test("who has no token, or whose room has ended, has nothing to leave", async () => {
  const waiting = await world.room({ getToken: () => new Promise(() => {}) });
  waiting.leave();
  const ended = await world.room();
  world.socket.open();
  await world.says({ type: "bye", reason: "not_allowed" });
  await world.ends(4403);
  ended.leave();
  const list = await world.list();
  list.leave();
  await settle();
  assert.deepEqual([ended.state, world.requests], ["closed", []]);
});

/** The server says that something is not allowed. */
async function forbids() {
  await world.says({ type: "bye", reason: "not_allowed" });
  await world.ends(4403);
}

test("who may say nothing any more forgets what was said, and goes on watching", async () => {
  const room = await world.room();
  await world.accept();
  room.setData({ row: 1 });
  room.setStatus("away");
  room.setStatus("busy", { text: "lunch" });
  assert.equal(world.socket.sent.length, 3);
  await another(room);
  await world.pass(1);
  assert.equal(world.socket.sent.length, 2);
  await forbids();
  assert.deepEqual([room.state, room.reason], ["waiting", null]);
  await world.pass(room.nextTry / 1000);
  assert.equal(world.socket.url.searchParams.get("status"), "online");
  await world.accept({ heartbeat: 1000, online: { ann: 1 } });
  assert.deepEqual([room.state, room.reason, ids(room.people)], ["live", null, ["ann"]]);
  assert.deepEqual(world.socket.sent, []);
  // Nor does it end later, because of what is said then.
  await world.pass(61);
  room.setStatus("away");
  assert.equal(world.socket.sent.length, 1);
  await forbids();
  await world.pass(room.nextTry / 1000);
  await world.accept();
  assert.deepEqual([room.state, world.socket.sent], ["live", []]);
});

test("that is tried once; who is sent away all the same has come to the end", async () => {
  const room = await world.room();
  await world.accept();
  await forbids();
  assert.equal(room.state, "waiting");
  await world.pass(room.nextTry / 1000);
  await world.accept();
  await forbids();
  assert.deepEqual([room.state, room.reason], ["ended", "not_allowed"]);
  const other = await world.room();
  await world.accept();
  await forbids();
  await world.pass(other.nextTry / 1000);
  world.socket.open();
  await forbids();
  assert.deepEqual([other.state, other.reason], ["ended", "not_allowed"]);
});
