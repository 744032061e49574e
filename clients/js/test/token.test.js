// Tokens: when one is asked for, and what happens when there is none.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { TokenError, tokenFetcher } from "../presence.js";
import { settle, tokenOf, World } from "./world.js";

let world, asked;
beforeEach(() => {
  world = new World();
  asked = [];
});
afterEach(() => world.end());

const gives = (...tokens) => async (what) => {
  asked.push(what.reason);
  const token = tokens.length > 1 ? tokens.shift() : tokens[0];
  if (token instanceof Error) throw token;
  return token;
};

test("a token that still holds is used for the next line", async () => {
  await world.room({ getToken: gives(tokenOf(600)) });
  await world.accept();
  await world.ends();
  await world.pass(1);
  assert.deepEqual([world.sockets.length, asked], [2, ["first"]]);
});

test("it is renewed at 80 % of its life, on the open line", async () => {
  const next = tokenOf(600, "next");
  await world.room({ getToken: gives(tokenOf(600), next) });
  await world.accept({ heartbeat: 1000 });
  await world.pass(479);
  assert.deepEqual(asked, ["first"]);
  await world.pass(1);
  assert.deepEqual(asked, ["first", "expiring"]);
  assert.deepEqual(world.socket.sent, [{ type: "token", token: next }]);
  await world.pass(480);
  assert.equal(asked.length, 3);
  assert.equal(world.sockets.length, 1);
});

test("a server that says it is about to end is believed, without a storm", async () => {
  await world.room({ getToken: gives(tokenOf(600)) });
  await world.accept({ heartbeat: 1000 });
  world.random = 0.5;
  for (let times = 0; times < 3; times += 1) await world.says({ type: "expiring", in: 60 });
  await world.pass(14);
  assert.equal(asked.length, 1);
  await world.pass(1);
  assert.equal(asked.length, 2);
});

test("a renewal that fails is tried again and costs no line", async () => {
  await world.room({ getToken: gives(tokenOf(600), new Error("500"), tokenOf(600, "next")) });
  await world.accept({ heartbeat: 1000 });
  await world.pass(480);
  assert.equal(world.socket.sent.length, 0);
  await world.pass(1);
  assert.equal(world.socket.sent.length, 1);
  assert.equal(world.warn.mock.callCount(), 1);
});

test("an expired one is replaced at once", async () => {
  const room = await world.room({ getToken: gives(tokenOf(600), tokenOf(600, "next")) });
  await world.accept();
  await world.says({ type: "bye", reason: "token_expired" });
  await world.ends(4401);
  assert.deepEqual([asked, world.sockets.length, room.state], [["first", "token_expired"], 2, "connecting"]);
});

test("one that is refused from the start is replaced with waits that grow", async () => {
  const room = await world.room({ getToken: gives(tokenOf(600)) });
  for (let tries = 1; tries < 5; tries += 1) {
    world.socket.open();
    await world.says({ type: "bye", reason: "token_invalid" });
    await world.ends(4401);
    assert.equal(room.state, "waiting");
    assert.equal(Math.round(room.nextTry), 250 * 2 ** tries);
    await world.pass(room.nextTry / 1000);
  }
  assert.deepEqual(new Set(asked.slice(1)), new Set(["token_invalid"]));
});

test("revoked: another token goes on, the same one ends it", async () => {
  const same = tokenOf(600, "same");
  const room = await world.room({ getToken: gives(tokenOf(600), same) });
  for (const state of ["connecting", "ended"]) {
    await world.accept();
    await world.says({ type: "bye", reason: "revoked" });
    await world.ends(4401);
    assert.equal(room.state, state);
  }
  assert.deepEqual([asked, room.reason], [["first", "revoked", "revoked"], "no_token"]);
});

test("TokenError ends it, at the beginning and later", async () => {
  const one = await world.room({ getToken: gives(new TokenError("logged out")) });
  assert.deepEqual([one.state, one.reason, world.sockets.length], ["ended", "no_token", 0]);
  const other = await world.room({ getToken: gives(tokenOf(600), new TokenError("logged out")) });
  await world.accept({ heartbeat: 1000 });
  await world.pass(480);
  assert.deepEqual([other.state, world.socket.closed], ["ended", true]);
});

test("any other failure is waited out, and said where developers look", async () => {
  const room = await world.room({ getToken: gives(new Error("500"), tokenOf(600)) });
  assert.deepEqual([room.state, room.reason], ["waiting", "token_failed"]);
  assert.equal(world.warn.mock.callCount(), 1);
  await world.pass(1);
  assert.equal(world.sockets.length, 1);
});

test("what has not the form of a token is a failure like any other, and never goes out", async () => {
  const page = "<!doctype html><title>Log in</title>";
  const none = [page, "abc", "a.b", "a.b.c.d", "a.b.c=", "a.b.c\n", "a..c", "", null, undefined, {}];
  const room = await world.room({ getToken: gives(...none, tokenOf(600)) });
  const waits = [];
  for (const [tries] of none.entries()) {
    assert.deepEqual([room.state, room.reason], ["waiting", "token_failed"]);
    waits.push(Math.round(room.nextTry));
    assert.equal(world.warn.mock.callCount(), tries + 1);
    await world.pass(room.nextTry / 1000);
  }
  assert.deepEqual(waits.slice(0, 4), [500, 1000, 2000, 4000]);
  assert.match(String(world.warn.mock.calls[0].arguments[1]), /doctype/);
  assert.deepEqual([room.state, world.sockets.length], ["connecting", 1]);
});

test("a renewal that brings no token costs no line either", async () => {
  const room = await world.room({ getToken: gives(tokenOf(600), "<html>", tokenOf(600, "next")) });
  await world.accept({ heartbeat: 1000 });
  await world.pass(481);
  assert.equal(room.state, "live");
  assert.deepEqual(world.socket.sent, [{ type: "token", token: tokenOf(600, "next") }]);
});

test("a question that nobody answers is asked again, whether or not it heeds that it is called off", async () => {
  for (const heeds of [false, true]) {
    const signals = [];
    const room = await world.room({
      getToken: ({ signal }) => {
        signals.push(signal);
        return new Promise((_, fail) => heeds && (signal.onabort = () => fail(signal.reason)));
      },
    });
    await world.pass(29);
    assert.deepEqual([room.state, signals.length], ["connecting", 1]);
    await world.pass(1);
    assert.deepEqual([room.state, room.reason], ["waiting", "token_failed"]);
    assert.equal(signals[0].aborted, true);
    await world.pass(room.nextTry / 1000);
    assert.deepEqual([signals.length, signals[1].aborted], [2, false]);
    room.close();
    await settle();
    assert.equal(world.timers.size, 0);
  }
});

test("so is one for the next token, on the open line", async () => {
  const answers = [async () => tokenOf(600), () => new Promise(() => {}), async () => tokenOf(600, "b")];
  await world.room({ getToken: () => answers.shift()() });
  await world.accept({ heartbeat: 1000 });
  await world.pass(480 + 31);
  assert.deepEqual(world.socket.sent, [{ type: "token", token: tokenOf(600, "b") }]);
});

test("a backend that gives the same token until it ends is asked later and later", async () => {
  await world.room({ getToken: gives(tokenOf(600)) });
  await world.accept({ heartbeat: 1000 });
  // As the server answers each token that ends soon.
  const { send } = world.socket;
  world.socket.send = function (text) {
    send.call(this, text);
    this.onmessage({ data: '{"type":"expiring","in":1}' });
  };
  await world.pass(480 + 60);
  assert.deepEqual(world.socket.sent, []);
  assert.ok(asked.length < 12, `${asked.length} questions`);
});

test("closing calls off the question, and what comes too late is for nobody", async () => {
  let answer, signal;
  const room = await world.room({
    getToken: (what) => {
      ({ signal } = what);
      return new Promise((resolve) => (answer = resolve));
    },
  });
  room.close();
  assert.equal(signal.aborted, true);
  answer(tokenOf(600));
  await settle();
  assert.equal(world.sockets.length, 0);
});

test("two who need a token at once ask once", async () => {
  let answer;
  await world.room({
    getToken: ({ reason }) => {
      asked.push(reason);
      return new Promise((resolve) => (answer = resolve));
    },
  });
  await world.happens("pagehide");
  await world.happens("pageshow");
  answer(tokenOf(600));
  await settle();
  assert.deepEqual([asked, world.sockets.length], [["first"], 1]);
});

test("a token of many years is no storm", async () => {
  await world.room({ getToken: gives(tokenOf(10 ** 9)) });
  await world.accept({ heartbeat: 10 ** 6 });
  await world.pass(100);
  assert.deepEqual(asked, ["first"]);
});

test("a room needs a way to get tokens", async () => {
  await assert.rejects(world.room({ getToken: null }), TypeError);
});

test("tokenFetcher asks a backend for text or JSON, and knows who may not", async () => {
  const getToken = tokenFetcher("https://wiki.example/token?page=7");
  for (const [answer, token] of [["abc\n", "abc"], ['{"token":"abc"}', "abc"]]) {
    world.answer = () => new Response(answer);
    assert.equal(await getToken({ room: "doc:42" }), token);
  }
  assert.equal(world.requests[0].url, "https://wiki.example/token?page=7&room=doc%3A42");
  world.answer = () => new Response("", { status: 403 });
  await assert.rejects(getToken({ room: "doc:42" }), TokenError);
  world.answer = () => new Response("", { status: 500 });
  await assert.rejects(getToken({ room: "doc:42" }), /500/);
});
