// Sessions in Redis, made by the store itself; prints a `Cookie` header for each.
import { randomUUID } from "node:crypto";
import { parseArgs } from "node:util";
import { sign } from "cookie-signature";
import { COOKIE, SECRET, connect, store } from "./sessions.js";

const { values } = parseArgs({
  options: {
    "redis-url": { type: "string" },
    database: { type: "string" },
    users: { type: "string" },
    sessions: { type: "string" },
    prefix: { type: "string", default: "user" },
  },
});

const client = await connect(values["redis-url"]);
const sessions = store(client);

async function logIn(username) {
  const id = randomUUID();
  const cookie = { originalMaxAge: null, expires: null, httpOnly: true, path: "/" };
  await sessions.set(id, { cookie, username });
  return `${COOKIE}=${encodeURIComponent(`s:${sign(id, SECRET)}`)}`;
}

const names = Array.from({ length: Number(values.sessions) }, (_, n) => `${values.prefix}${n}`);
const cookies = await Promise.all(names.map(logIn));
process.stdout.write(cookies.map((cookie) => `${cookie}\n`).join(""));
await client.close();
