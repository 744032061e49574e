// The line of a room: how it is opened, doubted, lost and opened again.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { problem, World } from "./world.js";

let world;
beforeEach(() => (world = new World()));
afterEach(() => world.end());

test("the address of a room, with the token beside it and not in it", async () => {
  const room = await world.room();
  const { url, protocols } = world.socket;
  assert.equal(`${url.origin}${url.pathname}`, "wss://presence.example/base/api/v1/rooms/doc%3A42");
  assert.equal(protocols[0], "presence.v1");
  assert.match(protocols[1], /^token\.head\./);
  assert.doesNotMatch(url.search, /head/);
  assert.deepEqual([room.name, room.state, room.nextTry], ["doc:42", "connecting", null]);
});

test("it is live with the first message, and goes on from the cursor", async () => {
  const room = await world.room();
  world.socket.open();
  assert.equal(room.state, "connecting");
  await world.says({ type: "snapshot", cursor: "c1" });
  assert.equal(room.state, "live");
  await world.says({ type: "alive", cursor: "c2" });
  await world.ends();
  await world.pass(1);
  assert.equal(world.socket.url.searchParams.get("cursor"), "c2");
});

test("waits grow to half a minute at most, are random, and are told", async () => {
  const room = await world.room();
  const waits = [];
  for (let tries = 0; tries < 9; tries += 1) {
    await world.ends();
    assert.equal(room.state, "waiting");
    waits.push(Math.round(room.nextTry));
    await world.pass(room.nextTry / 1000);
    assert.equal(world.sockets.length, tries + 2);
  }
  assert.deepEqual(waits, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
  world.random = 0.5;
  await world.ends();
  assert.equal(Math.round(room.nextTry), 15000);
});

test("failures are forgiven after a line of a minute, and not before", async () => {
  const room = await world.room();
  for (let tries = 0; tries < 3; tries += 1) {
    await world.ends();
    await world.pass(room.nextTry / 1000);
  }
  await world.accept({ heartbeat: 1000 });
  await world.pass(59);
  await world.ends();
  assert.equal(Math.round(room.nextTry), 4000);
  await world.pass(4);
  await world.accept({ heartbeat: 1000 });
  await world.pass(61);
  await world.ends();
  assert.equal(Math.round(room.nextTry), 500);
});

test("they are forgiven, too, when the line fell silent", async () => {
  const room = await world.room();
  for (let tries = 0; tries < 3; tries += 1) {
    await world.ends();
    await world.pass(room.nextTry / 1000);
  }
  await world.accept({ heartbeat: 60 });
  await world.pass(95);
  await world.ends();
  assert.equal(Math.round(room.nextTry), 500);
});

test("nobody comes back earlier than the server asked", async () => {
  const room = await world.room();
  await world.accept();
  await world.says({ type: "bye", reason: "restarting", retry_after: 7 });
  await world.ends(1012);
  assert.deepEqual([room.reason, room.nextTry], ["restarting", 7000]);
  room.tryNow();
  assert.equal(world.sockets.length, 1);
  await world.pass(7);
  assert.equal(world.sockets.length, 2);
});

test("one need not wait for the next try", async () => {
  const room = await world.room();
  for (const come of [() => room.tryNow(), () => world.happens("online"),
    () => world.happens("visibilitychange", document), () => world.happens("pageshow")]) {
    await world.accept();
    await world.ends();
    const before = world.sockets.length;
    await come();
    await world.pass(0);
    assert.equal(world.sockets.length, before + 1);
    assert.equal(room.state, "connecting");
  }
});

test("a line that is silent for too long is doubted, then opened anew", async () => {
  const room = await world.room();
  await world.accept({ heartbeat: 10 });
  await world.pass(16);
  assert.equal(room.state, "live");
  await world.pass(1);
  assert.deepEqual([room.state, room.stale], ["connecting", true]);
  await world.pass(1);
  assert.deepEqual([world.sockets[0].closed, world.sockets.length], [true, 2]);
});

test("a message in the moment of doubt ends it, and nothing is said twice", async () => {
  const room = await world.room();
  room.setData({ row: 1 });
  await world.accept({ heartbeat: 10 });
  await world.pass(17);
  room.setStatus("away");
  await world.says({ type: "alive", cursor: "c2" });
  assert.equal(room.state, "live");
  assert.deepEqual(world.socket.sent.slice(1), [{ type: "status", status: "away" }]);
  await world.pass(5);
  assert.equal(world.sockets.length, 1);
});

test("a socket that opens and says nothing is given up, and events instead of a third", async () => {
  await world.room();
  for (const opened of [1, 2]) {
    assert.equal(world.sockets.length, opened);
    const { socket } = world;
    socket.open();
    await world.pass(17);
    assert.equal(socket.closed, true);
  }
  assert.equal(world.sockets.length, 2);
  assert.equal(world.requests.at(-1).headers.Accept, "text/event-stream");
});

test("one that never opened is closed without a complaint of the browser", async () => {
  const room = await world.room();
  room.close();
  assert.equal(world.socket.closed, false);
  world.socket.open();
  assert.equal(world.socket.closed, true);
});

test("after sleep a line is doubted at once, also where it stopped the count of time", async () => {
  const room = await world.room();
  await world.accept();
  world.setClock(3600);
  await world.pass(1);
  assert.equal(room.state, "connecting");
  await world.pass(1);
  for (let tries = 0; tries < 4; tries += 1) {
    await world.ends();
    await world.pass(room.nextTry / 1000);
  }
  await world.ends();
  assert.equal(Math.round(room.nextTry), 8000);
  world.setClock(3600);
  await world.pass(1);
  assert.equal(room.state, "connecting");
});

test("what comes first and is not of the server makes no line live", async () => {
  const room = await world.room();
  world.socket.open();
  await world.says({ welcome: "to the network of this company" });
  assert.equal(room.state, "connecting");
  await world.says({ type: "snapshot", cursor: "c1" });
  assert.equal(room.state, "live");
});

test("a clock that is set back changes nothing", async () => {
  const room = await world.room();
  await world.accept();
  world.setClock(-3600);
  await world.pass(5);
  assert.equal(room.state, "live");
});

test("a false alarm of the browser is found out, a true one ends the line", async () => {
  const room = await world.room();
  await world.accept();
  world.answer = () => new Response("{}");
  await world.happens("offline");
  assert.equal(room.state, "live");
  assert.match(world.requests[0].url, /\/rooms\/doc%3A42\?count=1$/);
  world.answer = () => Promise.reject(new TypeError("no network"));
  await world.happens("offline");
  assert.deepEqual([room.state, world.socket.closed], ["waiting", true]);
});

test("an alarm that was about an earlier line does not end this one", async () => {
  const room = await world.room();
  await world.accept();
  let fail;
  world.answer = () => new Promise((_, reject) => (fail = reject));
  await world.happens("offline");
  await world.ends();
  await world.pass(1);
  await world.accept();
  fail(new TypeError("no network"));
  await world.pass(0);
  assert.equal(room.state, "live");
});

test("a page that is frozen or kept for the way back has no line, and tries none", async () => {
  const room = await world.room();
  for (const [gone, back, target] of [["pagehide", "pageshow", world.page],
    ["freeze", "resume", document]]) {
    await world.accept();
    const opened = world.sockets.length;
    await world.happens(gone, target);
    await world.pass(100);
    assert.deepEqual([room.state, world.socket.closed], ["connecting", true]);
    assert.equal(world.sockets.length, opened);
    await world.happens(back, target);
    assert.equal(world.sockets.length, opened + 1);
  }
});

test("a server that answers and opens no line has refused it", async () => {
  const room = await world.list();
  world.answer = () => new Response("{}");
  await world.ends();
  assert.equal(room.state, "refused");
  assert.match(world.requests[0].url, /\/base\/api\/users\?limit=1$/);
  await world.pass(1);
  assert.equal(room.state, "connecting");
  // The same is said while it is not known yet whether it still does.
  world.answer = () => new Promise(() => {});
  await world.ends();
  assert.equal(room.state, "refused");
  await world.pass(1);
  await world.accept();
  assert.equal(room.state, "live");
});

test("the list ends with its session, which is told in two ways", async () => {
  const one = await world.list();
  await world.accept();
  await world.says({ type: "bye", reason: "session_ended" });
  await world.ends(4401);
  assert.deepEqual([one.state, one.reason, one.nextTry], ["ended", "session_ended", null]);
  world.answer = () => problem(401);
  const other = await world.list();
  assert.deepEqual(world.socket.protocols, ["presence.v1"]);
  await world.ends();
  assert.deepEqual([other.state, other.reason], ["ended", "session_ended"]);
});

test("a full room and a busy server are tried again, when they say", async () => {
  const room = await world.room();
  world.socket.open();
  await world.says({ type: "bye", reason: "full", retry_after: 3 });
  await world.ends(4409);
  assert.deepEqual([room.state, room.reason, room.nextTry], ["refused", "full", 3000]);
  world.answer = () => problem(503, "busy", { "Retry-After": "20" });
  await world.pass(3);
  await world.ends();
  assert.deepEqual([room.state, room.reason, room.nextTry], ["refused", "busy", 20_000]);
});

test("a line that cannot even be begun is a lost one, and tried again", async () => {
  const { WebSocket } = globalThis;
  globalThis.WebSocket = class extends WebSocket {
    constructor(...given) {
      super(...given);
      if (world.sockets.length < 3) throw new DOMException("not from this page", "SecurityError");
    }
  };
  const room = await world.room();
  for (const wait of [500, 1000]) {
    assert.deepEqual([room.state, room.reason], ["waiting", null]);
    assert.equal(Math.round(room.nextTry), wait);
    await world.pass(room.nextTry / 1000);
  }
  assert.deepEqual([room.state, world.sockets.length], ["connecting", 3]);
  assert.equal(world.warn.mock.callCount(), 2);
  await world.accept();
  assert.equal(room.state, "live");
});

test("a room that the token does not open is never tried again", async () => {
  const room = await world.room();
  world.socket.open();
  await world.says({ type: "bye", reason: "not_allowed" });
  await world.ends(4403);
  assert.deepEqual([room.state, room.reason], ["ended", "not_allowed"]);
  room.tryNow();
  await world.pass(100);
  assert.equal(world.sockets.length, 1);
});

test("closing undoes every timer and listener, and twice is no error", async () => {
  const room = await world.room();
  await world.accept();
  assert.ok(world.listeners > 0 && world.timers.size > 0);
  room.close();
  room.close();
  await world.happens("pageshow");
  room.tryNow();
  room.setStatus("away");
  assert.deepEqual([world.listeners, world.timers.size], [0, 0]);
  assert.deepEqual([room.state, world.sockets.length], ["closed", 1]);
});
