// Whom elements watch where thousands are here, with a room played here and elements that show nothing.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { Large } from "../large.js";
import { World, event, problem, settle, stream } from "./world.js";

const BOUND = 3_000;
let world;
beforeEach(() => (world = new World()));
afterEach(() => world.end());

const ids = (count, prefix = "u") =>
  Array.from({ length: count }, (_, n) => `${prefix}${String(n).padStart(5, "0")}`);
const here = (names) => Object.fromEntries(names.map((id) => [id, 1]));
const list = (max = null) => ({ localName: "presence-list", getAttribute: () => max });

class Page {
  elements = new Map();
  src = "https://presence.example/base";
  token = "a.b.c";

  async begin(element, bound = null, meet = async () => {}) {
    this.elements.set(element, null);
    this.room = await world.room({ above: bound });
    await meet();
    const first = (most) => [...this.room.people.keys()].slice(0, most).map((id) => ({ id }));
    this.large = new Large(this, BOUND, first);
    return this;
  }

  /** More are here than a page is told of. */
  async meet(count, element) {
    await this.begin(element, BOUND, async () => {
      await world.pass(1);
      await world.accept();
      await world.says({ type: "count", online: count, busy: 0, away: 0 });
    });
    await settle();
  }

  async open(people, element) {
    await this.begin(element);
    await world.accept({ online: here(people) });
    await world.pass(5);
    return this;
  }

  show(element, user) {
    this.elements.set(element, user);
    this.large.watch();
  }

  get watched() {
    return world.socket.sent.at(-1)?.users;
  }

  /** Seconds pass, and the line lives. */
  async waits(seconds) {
    for (let past = 0; past < seconds; past += 10) {
      await world.says({ type: "changes", cursor: "c" });
      await world.pass(10);
    }
  }

  // As the server answers.
  async answers(people, count) {
    await world.says({ type: "snapshot", cursor: "c2", online: here(people) });
    await world.says({ type: "count", online: count, busy: 0, away: 0 });
  }
}

async function answerPage(names, next = null) {
  const users = Object.fromEntries(names.map((id) => [id, { status: "online", since: 1 }]));
  return new Response(JSON.stringify({ users, next }));
}

test("where too many are here from the beginning the server says who is first", async () => {
  world.answer = () => answerPage(["v1", "v2", "v3", "v4"], "v4");
  const page = new Page();
  await page.meet(10_000, list("2"));
  assert.match(world.socket.url.search, /\Wabove=3000&/);
  assert.equal(world.requests[0].url.split("?")[1], "limit=4");
  assert.deepEqual([page.room.count, page.watched], [10_000, ["v1", "v2", "v3", "v4"]]);
  await page.answers(["v1", "v2", "v3", "v4"], 10_000);
  assert.deepEqual([page.room.people.size, page.room.count], [4, 10_000]);
  // A line that comes after is of these.
  await world.ends();
  await world.pass(30);
  assert.match(world.socket.url.search, /watch=some&line/);
});

test("if it does not say so everybody is told, and who shows is among them", async () => {
  world.answer = async () => problem(503, "busy");
  const page = new Page();
  await page.meet(10_000, list("2"));
  assert.deepEqual(world.socket.sent, [{ type: "watch", users: null }]);
  // The server had not read that yet.
  await world.says({ type: "count", online: 9_999, busy: 0, away: 0 });
  await world.pass(5);
  assert.equal(page.room.count, 10_000);
  await world.says({ type: "snapshot", cursor: "c2", online: here(ids(9_000)) });
  assert.deepEqual([page.room.people.size, page.room.count], [9_000, 9_000]);
  await world.pass(5);
  assert.deepEqual(page.watched, ids(4));
});

test("nor is it forgotten when the line is lost before everybody is told", async () => {
  world.answer = async () => problem(503, "busy");
  const page = new Page();
  await page.meet(10_000, list("2"));
  await world.ends();
  await world.pass(page.room.nextTry / 1000);
  assert.match(world.socket.url.search, /above=3000/);
  await world.accept();
  await world.says({ type: "count", online: 10_000, busy: 0, away: 0 });
  assert.deepEqual(world.socket.sent, [{ type: "watch", users: null }]);
});

test("up to the bound everybody is watched and nothing is said", async () => {
  const page = await new Page().open(ids(BOUND), list());
  assert.deepEqual(world.socket.sent, []);
  assert.equal(page.room.people.size, BOUND);
});

test("a moment above it changes nothing", async () => {
  await new Page().begin(list());
  await world.accept({ online: here(ids(BOUND + 1)) });
  await world.pass(4);
  await world.says({ type: "changes", cursor: "c2", offline: here(["u00000"]) });
  await world.pass(5);
  assert.deepEqual(world.socket.sent, []);
});

test("above it those who show are watched and as many again, and all are counted", async () => {
  const page = await new Page().open(ids(10_000), list("50"));
  assert.deepEqual(page.watched, ids(100));
  // Also before the server has said so.
  assert.equal(page.room.count, 10_000);
  await page.answers(ids(100), 10_007);
  assert.deepEqual([page.room.people.size, page.room.count], [100, 10_007]);
  assert.deepEqual(world.requests, []);
});

test("at most 500 are watched, those of dots first", async () => {
  const page = await new Page().open(ids(10_000), list("1000"));
  assert.equal(page.watched.length, 500);
  page.show({ localName: "presence-dot" }, "x");
  await world.pass(1);
  assert.equal(page.watched[0], "x");
  assert.equal(page.watched.length, 500);
});

test("when those in reserve have come to show, others are read behind the last, not at once again", async () => {
  const page = await new Page().open(ids(10_000), list("2"));
  await page.answers(ids(4), 10_000);
  world.answer = () => answerPage(["v1", "v2"], "v2");
  await world.says({ type: "changes", cursor: "c3", offline: here(["u00000", "u00001"]) });
  assert.deepEqual(world.requests, []);
  await world.says({ type: "changes", cursor: "c4", offline: here(["u00002"]) });
  const [{ url, headers }] = world.requests;
  assert.equal(url, "https://presence.example/base/api/v1/rooms/doc%3A42?limit=3");
  assert.equal(headers.Authorization, "Bearer a.b.c");
  await world.pass(1);
  assert.deepEqual(page.watched, ["u00003", "v1", "v2"]);
  await page.answers([], 9_997);
  assert.equal(world.requests.length, 1);
  await world.pass(10);
  assert.equal(world.requests[1].url.split("?")[1], "limit=4&after=v2");
});

test("below four fifths of the bound everybody is watched again, and counted all the time", async () => {
  const page = await new Page().open(ids(10_000), list());
  await page.answers(ids(400), 2_400);
  await world.pass(5);
  assert.equal(page.watched.length, 400);
  await world.says({ type: "count", online: 2_399, busy: 0, away: 0 });
  await world.pass(5);
  assert.equal(page.watched, null);
  assert.equal(page.room.count, 2_399);
  // What the server said before it read that is no number of those who are told of then.
  await world.says({ type: "count", online: 2_398, busy: 0, away: 0 });
  await world.says({ type: "snapshot", cursor: "c5", online: here(ids(2_390)) });
  assert.deepEqual([page.room.people.size, page.room.count], [2_390, 2_390]);
  await world.says({ type: "changes", cursor: "c6", offline: here(ids(2_390)) });
  assert.deepEqual([page.room.people.size, page.room.count], [0, 0]);
});

test("nor is a number from before believed when all of them have left by then", async () => {
  const page = await new Page().begin(list("2"), BOUND);
  await world.accept({ online: here(ids(BOUND + 1)) });
  await world.pass(5);
  await page.answers(ids(4), 1_000);
  await world.says({ type: "changes", cursor: "c3", offline: here(ids(4)) });
  await world.pass(5);
  assert.equal(page.watched, null);
  await world.says({ type: "count", online: 7, busy: 0, away: 0 });
  await world.says({ type: "snapshot", cursor: "c4", online: here(["u1"]) });
  await world.says({ type: "changes", cursor: "c5", offline: here(["u1"]) });
  assert.deepEqual([page.room.people.size, page.room.count, page.room.counts], [0, 0, null]);
});

test("who may not read others is told of everybody", async () => {
  const page = await new Page().open(ids(10_000), list("2"));
  world.answer = async () => problem(403, "not_allowed");
  await page.answers([], 10_000);
  await page.waits(40);
  assert.equal(world.requests.length, 3);
  assert.equal(page.watched, null);
});

test("what failed and went well again does not count", async () => {
  const page = await new Page().open(ids(10_000), list("2"));
  const answers = [problem(500), problem(500), await answerPage([]), problem(500), problem(500)];
  world.answer = async () => answers.shift();
  await page.answers([], 10_000);
  await page.waits(40);
  assert.deepEqual(answers, []);
  world.answer = () => answerPage(["v1"]);
  await page.waits(10);
  assert.deepEqual(page.watched, ["v1"]);
});

test("a server that is busy is asked later", async () => {
  const page = await new Page().open(ids(10_000), list("2"));
  world.answer = async () => problem(429, "too_many");
  await page.answers([], 10_000);
  await page.waits(60);
  assert.ok(world.requests.length > 3);
  world.answer = () => answerPage(["v1"]);
  await page.waits(10);
  assert.deepEqual(page.watched, ["v1"]);
});

test("over events all are told and counted, and those who show are shown", async () => {
  delete globalThis.WebSocket;
  const [answer, says] = stream();
  world.answer = async () => answer;
  const page = await new Page().begin(list("2"));
  await says(event({ type: "snapshot", cursor: "c", online: here(ids(10_000)) }));
  await world.pass(5);
  assert.deepEqual([...page.room.people.keys()], ids(4));
  await world.pass(5);
  await says(event({ type: "changes", cursor: "c2", offline: here(["u00000", "u09999"]) }));
  assert.deepEqual([page.room.people.size, page.room.count], [3, 9_998]);
});

test("while there are dots only, their users are all", async () => {
  const page = await new Page().open(ids(10_000), list());
  await page.answers(ids(400), 10_000);
  page.elements.clear();
  page.show({ localName: "presence-dot" }, "x");
  await world.pass(1);
  assert.deepEqual(page.watched, ["x"]);
});
