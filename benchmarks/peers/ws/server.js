import { createServer } from "node:http";
import { parseArgs } from "node:util";
import { WebSocket, WebSocketServer } from "ws";
import { connect, sessions } from "./sessions.js";

const CHANNEL = "ws-users";

const { values } = parseArgs({
  options: {
    port: { type: "string", default: "8000" },
    database: { type: "string" },
    "redis-url": { type: "string" },
  },
});

const client = await connect(values["redis-url"]);
const subscriber = await connect(values["redis-url"]);
const withSession = sessions(client);
const server = createServer((request, response) => response.writeHead(404).end());
const sockets = new WebSocketServer({ clientTracking: true, noServer: true });
const here = new Map();

server.on("upgrade", (request, socket, head) => {
  socket.on("error", console.error);
  withSession(request, {}, () => {
    if (!request.session?.username) {
      socket.write("HTTP/1.1 401 Unauthorized\r\n\r\n");
      socket.destroy();
      return;
    }
    socket.removeListener("error", console.error);
    sockets.handleUpgrade(request, socket, head, (peer) => {
      sockets.emit("connection", peer, request);
    });
  });
});

sockets.on("connection", (peer, request) => {
  const { username } = request.session;
  peer.isAlive = true;
  peer.on("error", console.error);
  peer.on("pong", () => {
    peer.isAlive = true;
  });
  peer.on("close", () => tell(username, false));
  tell(username, true);
});

function tell(username, isLoggedIn) {
  client.publish(CHANNEL, JSON.stringify({ username, is_logged_in: isLoggedIn }));
}

await subscriber.subscribe(CHANNEL, (text) => {
  const { username, is_logged_in: isLoggedIn } = JSON.parse(text);
  const count = (here.get(username) ?? 0) + (isLoggedIn ? 1 : -1);
  here.set(username, count);
  // Another tab of the same user is no news.
  if (count !== Number(isLoggedIn)) return;
  sockets.clients.forEach((peer) => {
    if (peer.readyState === WebSocket.OPEN) peer.send(text);
  });
});

setInterval(() => {
  sockets.clients.forEach((peer) => {
    if (!peer.isAlive) return peer.terminate();
    peer.isAlive = false;
    peer.ping();
  });
}, 30000);

server.listen({ port: Number(values.port), host: "127.0.0.1", backlog: 4096 }, () => {
  const { address, port } = server.address();
  console.log(`Listening on http://${address}:${port}`);
});
