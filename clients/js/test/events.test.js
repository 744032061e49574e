// Server-Sent Events, where no socket comes through, or where there are none.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { event, problem, settle, stream, tokenOf, World } from "./world.js";

let world;
beforeEach(() => (world = new World()));
afterEach(() => world.end());

const snapshot = (people) => event({ type: "snapshot", cursor: "c1", heartbeat: 20, online: people });
const isEvents = ({ headers }) => headers?.Accept === "text/event-stream";

/** A room that has fallen back to events. */
async function fallen(options) {
  const [answer, says, ends] = stream();
  world.answer = (url, asked) => (isEvents(asked) ? answer : new Response("{}"));
  const room = await world.room(options);
  for (let tries = 0; tries < 2; tries += 1) {
    await world.ends();
    await world.pass(1);
  }
  return { room, says, ends };
}

test("after two sockets that fail although the server answers, events are asked for", async () => {
  const { room, says } = await fallen();
  assert.equal(world.sockets.length, 2);
  const asked = world.requests.at(-1);
  assert.match(asked.headers.Authorization, /^Bearer head\./);
  assert.doesNotMatch(asked.url, /head/);
  await says(snapshot({ ann: 1 }));
  assert.deepEqual([room.state, [...room.people.keys()]], ["live", ["ann"]]);
});

test("no network, and a server that restarts, are no reason", async () => {
  const room = await world.room();
  for (let tries = 0; tries < 4; tries += 1) {
    await world.ends();
    await world.pass(room.nextTry / 1000);
  }
  assert.equal(world.sockets.length, 5);
});

test("who may only be seen in a room comes to events, too, and a proxy's no ends nothing", async () => {
  world.answer = (url, asked) =>
    isEvents(asked) ? new Response("", { status: 403 }) : problem(403, "not_allowed");
  const room = await world.room();
  for (let tries = 0; tries < 2; tries += 1) {
    await world.ends();
    assert.equal(room.state, "refused");
    await world.pass(room.nextTry / 1000);
  }
  assert.ok(world.requests.some(isEvents));
  assert.equal(room.state, "refused");
});

test("nor is one failure, when there was a live line between it and the next", async () => {
  world.answer = () => new Response("{}");
  const room = await world.room();
  for (const opened of [1, 3]) {
    assert.equal(world.sockets.length, opened);
    await world.ends();
    await world.pass(room.nextTry / 1000);
    await world.accept();
    await world.ends();
    await world.pass(room.nextTry / 1000);
  }
  assert.equal(world.sockets.length, 5);
});

test("messages come in any pieces, and a comment is a sign of life", async () => {
  const { room, says } = await fallen();
  const text = `retry: 7\n\n${snapshot({ ann: 1 })}${event({ type: "changes", away: { ann: 2 } })}`;
  for (const piece of text.match(/[^]{1,7}/g)) await says(piece);
  assert.equal(room.people.get("ann").status, "away");
  for (let times = 0; times < 5; times += 1) {
    await world.pass(20);
    await says(":\n\n");
  }
  assert.equal(room.state, "live");
  await world.pass(33);
  assert.notEqual(room.state, "live");
});

test("a stream that ends leads to a socket again, and one failure back", async () => {
  const { room, says, ends } = await fallen();
  await says(snapshot({}));
  await ends();
  await world.pass(room.nextTry / 1000);
  assert.equal(world.sockets.length, 3);
  assert.equal(world.socket.url.searchParams.get("cursor"), "c1");
  await world.ends();
  await world.pass(room.nextTry / 1000);
  assert.ok(isEvents(world.requests.at(-1)));
});

test("what one says is posted, for this line", async () => {
  const { room, says } = await fallen();
  await says(snapshot({}));
  room.setStatus("away");
  await settle();
  const { url, method, body } = world.requests.at(-1);
  assert.match(url, /\/base\/api\/v1\/rooms\/doc%3A42\/me$/);
  const line = new URL(world.requests.findLast(isEvents).url).searchParams.get("line");
  assert.deepEqual([method, JSON.parse(body)], ["POST", { status: "away", line }]);
  room.leave();
  await settle();
  assert.deepEqual(JSON.parse(world.requests.at(-1).body), { leave: true, line });
});

const posts = () => world.requests.filter(({ method }) => method === "POST");
const bodies = () => posts().map(({ body }) => JSON.parse(body));

/** A room that is live over events; each answer to what it posts is given in `answers`, or waits. */
async function posting() {
  const answers = [];
  const { room, says, ends } = await fallen();
  await says(snapshot({}));
  const { answer } = world;
  world.answer = (url, asked) =>
    asked.method === "POST" ? new Promise((...given) => answers.push(given)) : answer(url, asked);
  return { room, says, ends, answers };
}

const nothing = () => new Response(null, { status: 204 });

test("one thing is posted after the other, and of what waits meanwhile the newest", async () => {
  const { room, answers } = await posting();
  for (const row of [1, 2, 3]) room.setData({ row });
  room.setStatus("away");
  room.setStatus("busy", { text: "lunch" });
  await settle();
  assert.deepEqual(bodies().map(({ data }) => data), [{ row: 1 }]);
  for (const posted of [1, 2, 3, 4]) {
    assert.equal(posts().length, posted);
    answers[posted - 1][0](nothing());
    await settle();
  }
  const said = bodies().slice(1).map(({ data, status, text }) => [data?.row, status, text]);
  assert.deepEqual(said, [[3, undefined, undefined], [undefined, "away", undefined],
    [undefined, "busy", "lunch"]]);
  room.setData({ row: 4 });
  await settle();
  assert.equal(posts().length, 5);
});

test("what a busy server did not take is said when it asks for it, or what is newer by then", async () => {
  const { room, says, answers } = await posting();
  room.setData({ row: 1 });
  answers[0][0](problem(429, "too_many", { "Retry-After": "7" }));
  await settle();
  room.setData({ row: 2 });
  await world.pass(6);
  assert.equal(posts().length, 1);
  await says(":\n\n");
  await world.pass(1);
  answers[1][0](problem(503, "busy"));
  await settle();
  await world.pass(0.5);
  assert.equal(posts().length, 2);
  await world.pass(0.5);
  answers[2][0](nothing());
  await world.pass(20);
  assert.deepEqual(bodies().map(({ data }) => data.row), [1, 2, 2]);
});

test("no other answer, and no failing network, has anything said twice on one line", async () => {
  const { room, answers } = await posting();
  room.setData({ row: 1 });
  room.setStatus("away");
  answers[0][0](problem(400, "bad_request", { "Retry-After": "1" }));
  await settle();
  answers[1][1](new TypeError("no network"));
  await world.pass(20);
  assert.equal(posts().length, 2);
  assert.equal(world.warn.mock.callCount(), 1);
});

test("what waits to be posted goes over the next line instead, and no timer is left", async () => {
  const { room, ends, answers } = await posting();
  room.setData({ row: 1 });
  room.setData({ row: 2 });
  room.setStatus("busy");
  answers[0][0](problem(429, "too_many", { "Retry-After": "30" }));
  await settle();
  await ends();
  await world.pass(room.nextTry / 1000);
  await world.accept({ heartbeat: 1000 });
  assert.deepEqual(world.socket.sent.map(({ data, status }) => data ?? status), [{ row: 2 }, "busy"]);
  await world.pass(60);
  assert.equal(posts().length, 1);
});

test("an answer that comes when the line is lost is not for the next", async () => {
  const { room, ends, answers } = await posting();
  room.setData({ row: 1 });
  await ends();
  await world.pass(room.nextTry / 1000);
  await world.accept({ heartbeat: 1000 });
  answers[0][0](problem(503, "busy", { "Retry-After": "1" }));
  await settle();
  room.close();
  assert.equal(world.timers.size, 0);
  assert.equal(posts().length, 1);
});

test("closing calls off what a busy server did not take", async () => {
  const { room, answers } = await posting();
  room.setData({ row: 1 });
  answers[0][0](problem(503, "busy"));
  await settle();
  room.close();
  assert.equal(world.timers.size, 0);
});

test("only those whom one wants are shown, though all are told, and all are counted", async () => {
  const { room, says } = await fallen({ watch: ["ann"] });
  assert.doesNotMatch(world.requests.at(-1).url, /watch/);
  await says(snapshot({ ann: 1, bob: 2 }));
  assert.deepEqual([[...room.people.keys()], room.count], [["ann"], 2]);
  room.watch(["bob"]);
  await settle();
  assert.deepEqual([...room.people.keys()], ["bob"]);
  const { added, removed } = room.seen.at(-1);
  assert.deepEqual([[...added.keys()], [...removed.keys()]], [["bob"], ["ann"]]);
  await says(event({ type: "changes", offline: { ann: 3 } }));
  assert.deepEqual([room.seen.at(-1).removed.size, room.count], [0, 1]);
});

test("a renewed token opens the next stream, from the cursor of the former", async () => {
  const tokens = [tokenOf(600), tokenOf(600, "next")];
  const { says } = await fallen({ getToken: async () => tokens.shift() });
  await says(snapshot({}));
  for (let minutes = 0; minutes < 9; minutes += 1) {
    await world.pass(30);
    await says(":\n\n");
    await world.pass(25);
    if (tokens.length) await says(":\n\n");
  }
  const { url, headers } = world.requests.findLast(isEvents);
  assert.match(url, /cursor=c1/);
  assert.equal(headers.Authorization, `Bearer ${tokenOf(600, "next")}`);
});

test("a token that ended is replaced at once there, too", async () => {
  const asked = [];
  const { says, ends } = await fallen({
    getToken: async ({ reason }) => {
      asked.push(reason);
      return tokenOf(600, asked.length);
    },
  });
  await says(snapshot({}));
  await says(event({ type: "bye", reason: "token_expired" }));
  await ends();
  assert.deepEqual(asked, ["first", "token_expired"]);
});

test("where there are no sockets, events are all there is", async () => {
  delete globalThis.WebSocket;
  world.answer = () => problem(403, "not_allowed");
  const room = await world.room();
  assert.deepEqual([room.state, room.reason], ["ended", "not_allowed"]);
  world.answer = () => problem(429, "too_many", { "Retry-After": "9" });
  const other = await world.room();
  assert.deepEqual([other.state, other.reason, other.nextTry], ["refused", "too_many", 9000]);
});
