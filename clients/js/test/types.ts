// Uses everything that the package exports, as its types say; it is checked and never run.

import {
  Presence,
  TokenError,
  tokenFetcher,
  type GetToken,
  type Person,
  type PresenceChange,
  type Room,
  type State,
} from "presence-server-client";

const getToken: GetToken = async ({ room, reason, signal }) => {
  if (reason === "revoked" || signal.aborted) throw new TokenError(room);
  return tokenFetcher("/token")({ room, reason, signal });
};
const presence = new Presence(new URL("https://presence.example"), { getToken });
const room: Room = presence.room("doc:42", { status: "away", watch: ["ann"] });
const own: Room = new Presence("/").list();

room.addEventListener("change", (event: PresenceChange) => {
  for (const [id, person] of event.added) greet(id, person);
  const left: number = event.removed.size + event.updated.size;
  const state: State = room.state;
  console.log(left, state, room.nextTry?.toFixed(), room.reason?.length, room.count.toFixed());
}, { once: true });

function greet(id: string, { status, since, name, info, data, text, until }: Person): boolean {
  console.log(status, since, name, info?.avatar, data?.row, text, until);
  return room.isLastKnown(id) || !room.isKnown(id) || room.stale || room.degraded || room.people.has(id);
}

room.setStatus("busy", { text: "lunch", until: 1_795_424_400 });
room.setStatus("online", { scope: "user" });
room.setData({ row: 7 });
room.watch(new Set(["ann"]));
room.watch(null);
room.tryNow();
room.leave();
own.close();

// @ts-expect-error: there is no such status
room.setStatus("dancing");
// @ts-expect-error: people are read only
room.people.delete("ann");

const list = document.createElement("presence-list");
list.getToken = getToken;
const shown: Room | null = list.presence;
console.log(shown?.name, document.querySelector("presence-dot")?.presence?.people.size);
