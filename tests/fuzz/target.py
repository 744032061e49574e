"""The server under attack, and what must be true of it afterwards."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from itertools import count
from pathlib import Path
from typing import Self

import aiohttp
import psutil  # type: ignore[import-untyped]  # its types are a package of their own

from presence_server.accounts import users
from presence_server.storage.database import open_database
from tests.fuzz import hostile
from testing.processes import ServerProcess
from testing.visitor import LiveSocket, Visitor
from testing.waiting import first_answer, until

# Longer than headers or bodies may take: who still waits then waits without end.
WITHIN = 40.0
# What a visitor's idle connection, a page or the database may have opened meanwhile.
SPARE = 3
_TASKS = re.compile(r"^presence_tasks (\S+)$", re.MULTILINE)
_ADDRESSES = 0x0A000000


class Target:
    """A server with alice, who watches, and mallory, in whose name all is sent: an administrator,
    to whom more is open than to others."""

    def __init__(
        self, server: ServerProcess, alice: Visitor, watching: LiveSocket, mallory: Visitor
    ) -> None:
        self.server = server
        self._alice = alice
        self._watching = watching
        self._mallory = mallory
        self._numbers = count()
        self._process = psutil.Process(server.pid)
        self._descriptors = self._process.num_fds()
        self._tasks = 0
        self.token = b""

    @classmethod
    @asynccontextmanager
    async def on(cls, server: ServerProcess) -> AsyncIterator[Self]:
        async with Visitor.at(server.url) as alice, Visitor.at(server.url) as mallory:
            await alice.enter("alice")
            await mallory.enter("mallory")
            await _make_administrator(server, mallory)
            async with alice.live() as watching:
                await watching.first()
                target = cls(server, alice, watching, mallory)
                target.token = (await mallory.get("/")).csrf_token.encode()
                target._tasks = await target._count_tasks()
                # Whoever does not read for minutes is cut off, rightly.
                reading = asyncio.create_task(_read(watching))
                try:
                    yield target
                finally:
                    reading.cancel()
                    await asyncio.wait([reading])
                    if not reading.cancelled():
                        reading.result()

    def headers(self) -> dict[str, bytes]:
        """Of mallory's browser, each time from another address: the throttles must not help."""
        number = next(self._numbers)
        (cookie,) = self._mallory.http.cookie_jar
        return {
            "Host": f"127.0.0.1:{self.server.port}".encode(),
            "Cookie": f"{cookie.key}={cookie.value}".encode(),
            "X-Forwarded-For": str(IPv4Address(_ADDRESSES + number)).encode(),
        }

    async def answer(self, data: bytes, patience: float = 3.0) -> int | None:
        """Send it, and return the status of the first answer; None if there is none."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        try:
            async with asyncio.timeout(patience):
                writer.write(data)
                line = await reader.readline()
        except (TimeoutError, ConnectionError):
            return None
        finally:
            writer.close()
        return int(line.split(b" ", 2)[1]) if line else None

    async def closing(self, frames: bytes, patience: float = 1.0) -> int | None:
        """Send it on a live socket of mallory's, say goodbye, and return the close code; None if
        the server waits for more, or just ends the line."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        try:
            upgrade = hostile.request("GET", b"/users/", {**self.headers(), **hostile.UPGRADE})
            writer.write(upgrade)
            async with asyncio.timeout(WITHIN):
                head = await reader.readuntil(b"\r\n\r\n")
            assert b" 101 " in head, head
            async with asyncio.timeout(patience):
                writer.write(frames + hostile.frame(8, b"\x03\xe8"))
                return _close_code(await reader.read())
        except (TimeoutError, ConnectionError):
            return None
        finally:
            writer.close()

    async def is_well(self) -> None:
        """It answers, tells alice what happens, has logged no error and holds nothing back."""
        for visitor in (self._alice, self._mallory):
            assert (await visitor.get("/")).status == 200
        async with Visitor.at(self.server.url) as bob:
            await bob.enter(f"bob{next(self._numbers)}")
            async with bob.live():
                await until(lambda: self._watching.people.get(bob.username) == "online", WITHIN)
        for line in self.server.log.splitlines():
            event = json.loads(line)
            assert event["level"] in ("info", "warning"), line
            assert "exception" not in event, line
            assert event.get("status") != 500, line
        await until(lambda: self._process.num_fds() <= self._descriptors + SPARE, WITHIN)
        await first_answer(self._count_tasks, lambda count: count <= self._tasks + SPARE, WITHIN)

    async def _count_tasks(self) -> int:
        url = f"{self.server.admin_url}/metrics"
        async with aiohttp.request("GET", url) as answer:
            found = _TASKS.search(await answer.text())
        assert found is not None
        return round(float(found[1]))


async def _make_administrator(server: ServerProcess, visitor: Visitor) -> None:
    async with open_database(Path(str(server.flags["database"]))) as database:
        user = await users.find(database, visitor.username)
        assert user is not None
        await users.set_administrator(database, user.id, True)
    await first_answer(lambda: visitor.get("/admin/"), lambda page: page.status == 200, WITHIN)


async def _read(socket: LiveSocket) -> None:
    while True:
        await socket.receive()


def _close_code(data: bytes) -> int | None:
    """The code of the close frame among the server's frames."""
    while len(data) >= 2:
        size, begin = data[1], 2
        if size >= 126:
            begin = 4 if size == 126 else 10
            size = int.from_bytes(data[2:begin], "big")
        if data[0] == 0x88:
            return int.from_bytes(data[begin : begin + 2], "big")
        data = data[begin + size :]
    return None
