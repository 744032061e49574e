// Importing opens nothing, wherever it happens.

import assert from "node:assert/strict";
import { mock, test } from "node:test";

test("importing opens nothing, plans nothing and draws no lots", async () => {
  const forbidden = ["fetch", "setTimeout", "setInterval", "addEventListener", "WebSocket"];
  const before = forbidden.map((name) => globalThis[name]);
  const touched = [];
  const random = mock.method(Math, "random");
  for (const name of forbidden) globalThis[name] = () => touched.push(name);
  try {
    const names = Object.keys(await import("../presence.js?alone"));
    assert.deepEqual(names, ["Presence", "Room", "TokenError", "tokenFetcher"]);
  } finally {
    forbidden.forEach((name, at) => (globalThis[name] = before[at]));
  }
  assert.deepEqual([touched, random.mock.callCount()], [[], 0]);
});
