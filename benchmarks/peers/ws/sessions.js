import session from "express-session";
import { RedisStore } from "connect-redis";
import { createClient } from "redis";

export const SECRET = "only for the benchmark";
export const COOKIE = "connect.sid";

export async function connect(url) {
  const client = url.startsWith("unix://")
    ? createClient({ socket: { path: url.slice("unix://".length) } })
    : createClient({ url });
  client.on("error", (error) => console.error(error));
  await client.connect();
  return client;
}

export function store(client) {
  return new RedisStore({ client });
}

export function sessions(client) {
  return session({
    store: store(client),
    secret: SECRET,
    name: COOKIE,
    resave: false,
    saveUninitialized: false,
  });
}
