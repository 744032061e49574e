"""What it takes to tell a backend: a thousand changes a second, at a receiver that takes 20 ms."""

import asyncio
import json
import math
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web

from presence_server.accounts.keyring import open_keyring
from presence_server.apps import register
from presence_server.apps.register import AppSettings
from presence_server.storage.database import open_database
from testing.app_client import AppClient
from testing.meters import cpu_seconds, resident_bytes
from testing.processes import KEYS, ServerProcess
from testing.receiver import Delivered, Handler, Receiver

ROOM = "doc"
# Seconds that the receiver takes for a message.
TAKES = 0.02
_OPENED_AT_ONCE = 50
_CAUGHT_UP_WITHIN = 10.0


@dataclass(frozen=True, slots=True)
class Telling:
    """Milliseconds from a change to its reader, as far as it was not undone before, and of how many
    the receiver does not know in the end how they are; server CPU in seconds a second, memory."""

    changes: int
    told_ms: list[float]
    seen_ms: list[float]
    lost: int
    cpu: float
    first_mib: float
    last_mib: float
    most_at_once: int


@dataclass(slots=True)
class _Clock:
    """When each user last changed, until somebody has read of it."""

    changed: dict[str, tuple[bool, float]] = field(default_factory=dict)
    milliseconds: list[float] = field(default_factory=list)

    def read(self, user: str, here: bool) -> None:
        changed = self.changed.get(user)
        if changed is not None and changed[0] == here:
            del self.changed[user]
            self.milliseconds.append(1000 * (time.monotonic() - changed[1]))


class _Crowd:
    """Users whose lines stay open and whose tokens let them be seen and not, in turns."""

    def __init__(self, app: AppClient, people: int) -> None:
        self.app = app
        self.users = [f"u{number}" for number in range(people)]
        self._tokens = {
            user: [app.token(user, {ROOM: word}, exp=int(time.time()) + 3600)
                   for word in ("watch", "join")]
            for user in self.users
        }
        self._lines: dict[str, aiohttp.ClientWebSocketResponse] = {}
        self.here = dict.fromkeys(self.users, False)
        self.clocks: list[_Clock] = []
        self.changes = 0

    async def come(self, stack: AsyncExitStack) -> None:
        turn = asyncio.Semaphore(_OPENED_AT_ONCE)

        async def open_line(user: str) -> None:
            async with turn:
                line = self.app.line(
                    user, ROOM, query="?watch=some", token=self._tokens[user][False]
                )
                socket = await stack.enter_async_context(line)
                self._lines[user] = socket.raw

        await asyncio.gather(*map(open_line, self.users))

    async def change(self, per_second: float, seconds: float) -> None:
        """One after the other, all of them in turns."""
        began, number = time.monotonic(), 0
        while (now := time.monotonic()) < began + seconds:
            while number < (now - began) * per_second:
                await self._flip(self.users[number % len(self.users)])
                number += 1
            await asyncio.sleep(0.005)
        self.changes = number

    async def _flip(self, user: str) -> None:
        here = self.here[user] = not self.here[user]
        for clock in self.clocks:
            clock.changed[user] = here, time.monotonic()
        renewal = {"type": "token", "token": self._tokens[user][here]}
        await self._lines[user].send_str(json.dumps(renewal))


async def measure(flips: float, people: int, seconds: float, *, webhook: bool) -> Telling:
    """Each flip changes a user in a room and in the lobby, so that two changes are told."""
    receiver, told, seen = Receiver(), _Clock(), _Clock()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        await stack.enter_async_context(receiver.serve())
        receiver.instead = _slow(receiver, told)
        server = ServerProcess(
            folder,
            allow_private_webhooks=True,
            max_sockets_per_address=0,
            grace=1,
            # Its lines do not read.
            heartbeat=600,
        )
        stack.push_async_callback(server.kill)
        await server.start()
        http = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        )
        app = await _add(server, http, receiver.url if webhook else None)
        crowd = _Crowd(app, people)
        await crowd.come(stack)
        watching = app.token("watcher", {ROOM: "watch"}, exp=int(time.time()) + 3600)
        watcher = await stack.enter_async_context(app.line("watcher", ROOM, token=watching))
        reading = asyncio.create_task(_read(watcher.raw, seen))
        # Everybody has changed once, and memory is what it will be.
        await crowd.change(flips, people / flips)
        crowd.clocks = [told, seen] if webhook else [seen]
        first, before = resident_bytes(server.pid), cpu_seconds(server.pid)
        await crowd.change(flips, seconds)
        spent, last = cpu_seconds(server.pid) - before, resident_bytes(server.pid)
        lost = await _lost(receiver, crowd) if webhook else 0
        reading.cancel()
        assert not receiver.wrong, receiver.wrong[:3]
    return Telling(
        changes=crowd.changes * 2,
        told_ms=sorted(told.milliseconds),
        seen_ms=sorted(seen.milliseconds),
        lost=lost,
        cpu=spent / seconds,
        first_mib=first / 2**20,
        last_mib=last / 2**20,
        most_at_once=receiver.most_at_once,
    )


def percentile(milliseconds: list[float], share: float) -> float:
    """Of sorted ones; without any it is endless."""
    if not milliseconds:
        return math.inf
    return milliseconds[min(len(milliseconds) - 1, int(share * len(milliseconds)))]


def _slow(receiver: Receiver, told: _Clock) -> Handler:
    async def answer(request: web.Request, delivered: Delivered) -> web.StreamResponse:
        await asyncio.sleep(TAKES)
        receiver.take(delivered)
        for change in delivered.data["changes"]:
            if change["room"] == ROOM:
                told.read(change["user"], change["status"] == "here")
        return web.Response(status=204)

    return answer


async def _lost(receiver: Receiver, crowd: _Crowd) -> int:
    """Of how many the receiver does not know how they are, when it has caught up."""
    here = {user for user, is_here in crowd.here.items() if is_here}
    deadline = time.monotonic() + _CAUGHT_UP_WITHIN
    while (known := receiver.here(ROOM)) != here and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
    return len(known ^ here)


async def _read(socket: aiohttp.ClientWebSocketResponse, seen: _Clock) -> None:
    async for frame in socket:
        message = json.loads(frame.data)
        for user in message.get("online", ()):
            seen.read(user, True)
        for user in message.get("offline", ()):
            seen.read(user, False)


async def _add(
    server: ServerProcess, http: aiohttp.ClientSession, webhook: str | None
) -> AppClient:
    async with open_database(server.folder / "presence.sqlite3") as db:
        keyring = open_keyring(server.folder / KEYS)
        settings = AppSettings(webhook=webhook)
        made = await register.add(db, keyring, "wiki", settings, int(time.time()))
    secrets = {"name": "wiki", "key": made.key, "secret": made.secret}
    return await AppClient(server.url, http, secrets).until_known()
