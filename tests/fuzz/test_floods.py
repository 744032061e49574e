"""What floods cost: memory, descriptors and tasks are back after them, and nobody else waits.

In `make test` each lasts a moment; `make fuzz` makes them longer and says what was measured.
"""

import asyncio
import os
import re
import resource
import statistics
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import aiohttp
import psutil  # type: ignore[import-untyped]  # its types are a package of their own
import pytest

from presence_server.resources import ROOT
from testing.install_nginx import MISSING, nginx_binary
from testing.meters import resident_bytes
from testing.processes import ServerProcess
from testing.raw_peer import RawPeer
from testing.redis_server import lasting_port
from testing.visitor import Visitor
from testing.waiting import until
from tests.conftest import ServerProcesses, Visit
from tests.fuzz.floods import FLOODS
from tests.fuzz.hostile import frame
from tests.operations.nginx import SITE, Nginx, make_certificate, replaced

SECONDS = float(os.environ.get("FLOOD_SECONDS", "3"))
MIB = 2**20
# The allocator keeps what a flood took at its height, and one may rise higher than those before it:
# what is never given back grows in each of several floods.
SAME = 6 * MIB
MOST_FLOODS = 4
SPARE = 5
BACK_WITHIN = 25.0
# Others may wait so long for a server that has a processor for itself.
LATE = 0.5
PINGS = 4
# Of descriptors, as on a machine where nobody has raised it.
FEW = 1024

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(900)]


class Watch:
    """What a server holds, and how long others who have sockets there wait for an answer."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._process = psutil.Process(server.pid)
        self.most: dict[str, int] = {}

    async def held(self) -> dict[str, int]:
        async with aiohttp.request("GET", f"{self._server.admin_url}/metrics") as answer:
            found = re.search(r"^presence_tasks (\S+)$", await answer.text(), re.MULTILINE)
        assert found is not None
        return {
            "memory": resident_bytes(self._server.pid),
            "descriptors": self._process.num_fds(),
            "tasks": round(float(found[1])),
        }

    async def note(self) -> None:
        """Note the most of each, for ever."""
        self.most = {}
        while True:
            held = await self.held()
            self.most = {name: max(held[name], self.most.get(name, 0)) for name in held}
            await asyncio.sleep(0.3)

    def ran(self) -> tuple[int, int]:
        """For how long its event loop has run, and could have run but had no processor."""
        pid = self._server.pid
        ran, waited, _ = Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()
        return int(ran), int(waited)

    async def back(self, before: dict[str, int]) -> dict[str, int]:
        """What is held once it is as it was before, or when that takes too long."""
        over = time.monotonic() + BACK_WITHIN
        while True:
            held = await self.held()
            if _left(before, held) == {} or time.monotonic() > over:
                return held
            await asyncio.sleep(0.5)


async def ping(peer: RawPeer, delays: list[float]) -> None:
    """Ask on an open socket, for ever, as often as may be."""
    while True:
        asked = time.monotonic()
        peer.write(frame(9, b"?"))
        while (await peer.frame())[0] != 0x8A:
            pass
        delays.append(time.monotonic() - asked)
        await asyncio.sleep(0.11)


def _left(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """Descriptors and tasks that are still there; of memory see SAME."""
    here = ("descriptors", "tasks")
    return {name: after[name] for name in here if after[name] > before[name] + SPARE}


async def flood(name: str, port: int, seconds: float, mallory: Visitor, *flags: str) -> int:
    """Run it in a process of its own, and return how often it did what it does."""
    if name == "log-ins hung up" and (await mallory.get("/")).status == 200:
        # Each would end the session that the form came with.
        await mallory.log_out()
    token = quote_plus((await mallory.get("/log_in/")).csrf_token)
    (cookie,) = mallory.http.cookie_jar
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.fuzz.floods", name, str(port), str(seconds)),
        *(f"{cookie.key}={cookie.value}", token, *flags),
        cwd=ROOT,
        stdout=PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return int(out)


class Site:
    """A flooded server, another beside it, and who is at both."""

    def __init__(
        self,
        server: ServerProcess,
        mallory: Visitor,
        alice: Visitor,
        bob: Visitor,
        port: int,
        *flags: str,
    ) -> None:
        self._server = server
        self._watch = Watch(server)
        self._mallory = mallory
        # Whose sockets are at the flooded server, and at the one beside it.
        self._here, self._there = alice, bob
        # Of the server, or of what listens before it.
        self._port = port
        self._flags = flags

    async def stands(self, name: str) -> None:
        before = await self._watch.held()
        acts, late = await self._delays_during(name)
        after = await self._watch.back(before)
        memory = [before["memory"], after["memory"]]
        while memory[-1] > memory[-2] + SAME and len(memory) <= MOST_FLOODS:
            await self._flood(name)
            after = await self._watch.back(before)
            memory.append(after["memory"])
        most = self._watch.most
        print(
            f"\n{name}{' by nginx' if self._flags else ''}: {acts} in {SECONDS:.0f} s; memory "
            + " -> ".join(str(size // MIB) for size in (*memory, most["memory"]))
            + "".join(
                f", {what} {before[what]} -> {most[what]} -> {after[what]}"
                for what in ("descriptors", "tasks")
            )
            + f"; {late}"
        )
        assert memory[-1] <= memory[-2] + SAME, memory
        assert _left(before, after) == {}, (before, after)
        for _ in range(2):
            if late.is_borne:
                break
            # Three seconds are a few hundred waits, and the first flood makes the process grow.
            _, late = await self._delays_during(name)
            print(f"again: {late}")
            await self._watch.back(before)
        assert late.is_borne, late
        assert "Traceback" not in self._server.log and " status=500 " not in self._server.log
        assert (await self._here.get("/")).status == 200

    async def _delays_during(self, name: str) -> tuple[int, "Late"]:
        here: list[float] = []
        there: list[float] = []
        async with AsyncExitStack() as stack:
            work = [asyncio.create_task(self._watch.note())]
            for visitor, delays in ((self._here, here), (self._there, there)) * PINGS:
                peer = await stack.enter_async_context(RawPeer.of(visitor))
                work.append(asyncio.create_task(ping(peer, delays)))
            began = self._watch.ran()
            acts = await self._flood(name)
            ran, waited = (now - then for now, then in zip(self._watch.ran(), began, strict=True))
            for task in work:
                task.cancel()
            await asyncio.wait(work)
            assert all(task.cancelled() for task in work), work
        return acts, Late(here, there, (ran + waited) / ran)

    async def _flood(self, name: str) -> int:
        return await flood(name, self._port, SECONDS, self._mallory, *self._flags)


@dataclass
class Late:
    """How long sockets waited, and by so much the machine, which has other work, made the flooded
    server slower."""

    here: list[float]
    there: list[float]
    slower: float

    @property
    def is_borne(self) -> bool:
        return _p99(self.here) < LATE * self.slower + 2 * _p99(self.there)

    def __str__(self) -> str:
        here, there = (
            f"{statistics.median(delays) * 1000:.0f} ms, p99 {_p99(delays) * 1000:.0f}"
            for delays in (self.here, self.there)
        )
        return (
            f"others waited {here}, at the server beside it {there};"
            f" it could run for 1/{self.slower:.1f} of the time that it wanted"
        )


def _p99(delays: list[float]) -> float:
    return statistics.quantiles(delays, n=100)[98]


@asynccontextmanager
async def opened(
    servers: ServerProcesses, visit: Visit, front: Nginx | None = None, **settings: Any
) -> AsyncIterator[Site]:
    """With a front that listens before the server, by TLS."""
    server = await servers(admin_port=0, heartbeat=120, bcrypt_cost=10, **settings)
    mallory, alice = await visit(server, "mallory"), await visit(server, "alice")
    bob = await visit(await servers(heartbeat=120))
    await bob.log_in("alice")
    aim = (server.port,) if front is None else (front.port, "tls")
    yield Site(server, mallory, alice, bob, *aim)


async def test_floods(server_process: ServerProcesses, visit: Visit) -> None:
    async with opened(server_process, visit) as site:
        for name in FLOODS:
            if name != "slow heads":
                await site.stands(name)


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
async def test_floods_on_postgresql(server_process: ServerProcesses, visit: Visit) -> None:
    async with opened(server_process, visit) as site:
        for name in ("pages not read", "pages read", "log-ins hung up"):
            await site.stands(name)


async def test_slow_ones_from_a_few_addresses_leave_room_for_others(
    server_process: ServerProcesses, visit: Visit
) -> None:
    server = await server_process(admin_port=0, heartbeat=120)
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (FEW, FEW))
    mallory = await visit(server, "mallory")
    attack = asyncio.create_task(flood("slow heads", server.port, SECONDS + 4, mallory))
    process = psutil.Process(server.pid)
    # All the room that they get: 200 are kept for other things.
    await until(lambda: process.num_fds() > FEW - 200, 40)
    descriptors = process.num_fds()
    waited = []
    for _ in range(20):
        asked = time.monotonic()
        async with Visitor.at(server.url) as newcomer:
            assert (await newcomer.get("/log_in/")).status == 200
        waited.append(time.monotonic() - asked)
        await asyncio.sleep(SECONDS / 20)
    await attack
    print(f"\nslow heads: {descriptors} descriptors; newcomers waited {max(waited):.2f} s at most")
    # Till the slow ones' time is over it would be 15.
    assert max(waited) < 12
    assert "no connection can be accepted" not in server.log


@pytest.mark.skipif(nginx_binary() is None and "CI" not in os.environ, reason=MISSING)
async def test_floods_through_nginx(
    server_process: ServerProcesses, visit: Visit, tmp_path: Path
) -> None:
    folder = tmp_path / "nginx"
    folder.mkdir()
    certificate, key = make_certificate(folder)
    nginx = Nginx(folder)
    port = lasting_port()
    changes = {
        "/etc/ssl/certs/presence-server.pem": str(certificate),
        "/etc/ssl/private/presence-server.key": str(key),
        "127.0.0.1:8000": f"127.0.0.1:{port}",
    }
    assert nginx.configure(replaced(SITE, changes)) is None
    settings = {"port": port, "trusted_proxies": "127.0.0.1"}
    try:
        await nginx.start()
        async with opened(server_process, visit, nginx, **settings) as site:
            for name in ("half bodies", "pages not read", "log-ins hung up"):
                await site.stands(name)
    finally:
        nginx.stop()
