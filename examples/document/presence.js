// All that this application does for presence: tokens for its users, and what it is told of them.

import express, { Router } from "express";
import { SignJWT } from "jose";
import { Webhook } from "standardwebhooks";

// Where the presence server is, and what `presence-server app add` has printed.
const {
  PRESENCE_URL = "http://localhost:8000",
  PRESENCE_KEY,
  PRESENCE_SECRET,
  PRESENCE_WEBHOOK_SECRET,
} = process.env;

const secret = new TextEncoder().encode(PRESENCE_SECRET);
const webhook = new Webhook(PRESENCE_WEBHOOK_SECRET);

// What the presence server has told us last, by room and user.
const newest = new Map();

/** Who is in which room. */
export function readers() {
  return [...newest.values()].filter(({ status }) => status === "here");
}

function tokenFor(user, room) {
  return new SignJWT({ rooms: { [room]: "join" }, info: { name: user.name } })
    .setProtectedHeader({ alg: "HS256", kid: PRESENCE_KEY })
    .setAudience("presence")
    .setSubject(user.id)
    .setIssuedAt()
    .setExpirationTime("10m")
    .sign(secret);
}

// What is said is how it is now. It may come twice, and late: what was so earlier no longer counts.
function take(change) {
  const key = `${change.room} ${change.user}`;
  if (change.since >= (newest.get(key) ?? change).since) newest.set(key, change);
}

/** `mayRead(user, room)`: whether a user may see who is in a room. */
export function presence(mayRead) {
  const router = Router();

  router.get("/token", async (request, response) => {
    const { user } = request.session;
    const { room } = request.query;
    if (!user) return response.sendStatus(401);
    if (!mayRead(user, room)) return response.sendStatus(403);
    response.set("Cache-Control", "no-store").type("text").send(await tokenFor(user, room));
  });

  // The signature is over the bytes as they came.
  router.post("/webhook", express.raw({ type: "*/*" }), (request, response) => {
    let told;
    try {
      told = webhook.verify(request.body, request.headers);
    } catch {
      return response.sendStatus(401);
    }
    told.data.changes.forEach(take);
    response.sendStatus(204);
  });

  return router;
}

/** The elements need their server as a source of scripts and lines, and nothing inline. */
export function contentSecurityPolicy(request, response, next) {
  const lines = PRESENCE_URL.replace(/^http/, "ws");
  response.locals.presenceUrl = PRESENCE_URL;
  response.set(
    "Content-Security-Policy",
    `default-src 'self'; script-src ${PRESENCE_URL}; connect-src 'self' ${PRESENCE_URL} ${lines}; ` +
      "base-uri 'none'; frame-ancestors 'none'",
  );
  next();
}
