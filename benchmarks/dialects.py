"""What a load client says to a server, and how it understands what it hears."""

import json
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.events import EventSwarm
from benchmarks.tokens import ROOM
from testing.swarm import Address, Swarm


@dataclass(frozen=True, slots=True)
class Dialect:
    path: str = "/users/"
    subprotocol: str | None = None
    # Whether the server's first message says that one is in.
    greets: bool = False
    # Whether one has to talk with Engine.IO before one is in.
    engine_io: bool = False
    # Whether a token lets one in, and not a cookie; and whether one only listens, over plain HTTP.
    token: bool = False
    stream: bool = False


TUTORIAL = Dialect()
PRESENCE_V1 = Dialect(subprotocol="presence.v1", greets=True)
_ROOM_PATH = f"/api/v1/rooms/{ROOM}"
APP_ROOM = Dialect(path=_ROOM_PATH, greets=True, token=True)
APP_EVENTS = Dialect(path=_ROOM_PATH, greets=True, token=True, stream=True)
SOCKET_IO = Dialect(path="/socket.io/?EIO=4&transport=websocket", engine_io=True)


def changes_in(payload: bytes) -> list[tuple[str, bool]]:
    """Who came (True) and who went (False), in any dialect; a snapshot is not a change."""
    message = json.loads(payload.removeprefix(b"42"))
    if isinstance(message, list):
        message = message[1]
    if "is_logged_in" in message:
        return [(message["username"], message["is_logged_in"])]
    if message["type"] != "changes":
        return []
    came = [*message.get("online", ()), *message.get("away", ())]
    gone = [*message.get("offline", ()), *message.get("deleted", ())]
    return [(name, True) for name in came] + [(name, False) for name in gone]


def swarm_of(
    dialect: Dialect, server: Address, on_message: Callable[[int, bytes | None, float], None]
) -> Swarm:
    kind = EventSwarm if dialect.stream else Swarm
    swarm = kind(server, dialect.subprotocol, on_message, dialect.path)
    if dialect.token:
        swarm.request_of = lambda token: _request_with(token, server, dialect)
    return swarm


def _request_with(token: str, server: Address, dialect: Dialect) -> bytes:
    """As a program sends it: without an Origin."""
    path = f"{dialect.path}?token={token}" if dialect.stream else dialect.path
    lines = [f"GET {path} HTTP/1.1", f"Host: {server[0]}:{server[1]}"]
    if dialect.stream:
        lines += ["Accept: text/event-stream"]
    else:
        lines += ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
        lines += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
        lines += [f"Sec-WebSocket-Protocol: presence.v1, token.{token}"]
    return "\r\n".join([*lines, "", ""]).encode()


def speak(swarm: Swarm, dialect: Dialect) -> None:
    """From now on `on_open` is told who is in, and `on_message` what is said about people."""
    if dialect.engine_io:
        conversation = _EngineIO(swarm)
        swarm.on_open = conversation.wait
        swarm.on_message = conversation.answer


class _EngineIO:
    """Version 4 of its protocol, and in it version 5 of Socket.IO's."""

    def __init__(self, swarm: Swarm) -> None:
        self._swarm = swarm
        self._on_open = swarm.on_open
        self._on_message = swarm.on_message

    def wait(self, number: int, now: float) -> None:
        """One is in when the server has let one into its namespace."""

    def answer(self, number: int, payload: bytes | None, now: float) -> None:
        if payload is None or payload.startswith(b"42"):
            self._on_message(number, payload, now)
        elif payload.startswith(b"0"):
            self._send(number, b"40")
        elif payload == b"2":
            self._send(number, b"3")
        elif payload.startswith(b"40"):
            self._on_open(number, now)
        elif payload != b"1":  # the server closes; the end of the line tells
            raise ValueError(f"unexpected packet: {payload!r}")

    def _send(self, number: int, packet: bytes) -> None:
        try:
            self._swarm.send(number, packet)
        except OSError:
            pass  # the next read tells
