import { createServer } from "node:http";
import { parseArgs } from "node:util";
import { createAdapter } from "@socket.io/redis-adapter";
import { Server } from "socket.io";
import { connect, sessions } from "./sessions.js";

const { values } = parseArgs({
  options: {
    port: { type: "string", default: "8000" },
    database: { type: "string" },
    "redis-url": { type: "string" },
  },
});

const client = await connect(values["redis-url"]);
const subscriber = await connect(values["redis-url"]);
const server = createServer((request, response) => response.writeHead(404).end());
const io = new Server(server, { adapter: createAdapter(client, subscriber) });
const here = new Map();

io.engine.use(sessions(client));

io.use((socket, next) => {
  socket.data.username = socket.request.session.username;
  next(socket.data.username ? undefined : new Error("log in first"));
});

io.on("connection", (socket) => {
  const { username } = socket.data;
  count(username, 1);
  socket.on("disconnect", () => count(username, -1));
});

function count(username, step) {
  const before = here.get(username) ?? 0;
  here.set(username, before + step);
  // Another tab of the same user is no news.
  if (before + step === (step > 0 ? 1 : 0)) {
    io.emit("user", { username, is_logged_in: step > 0 });
  }
}

server.listen({ port: Number(values.port), host: "127.0.0.1", backlog: 4096 }, () => {
  const { address, port } = server.address();
  console.log(`Listening on http://${address}:${port}`);
});
