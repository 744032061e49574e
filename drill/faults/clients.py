"""Clients fail, or come all at once."""

import asyncio
import json
import socket
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

from testing.meters import open_sockets
from testing.swarm import upgrade_request
from drill.figures import Faults, Figures
from drill.people import Person
from drill.site import Site
from presence_server.resources import ROOT
from testing.tcp_proxy import Proxy

faults = Faults()

HEARTBEAT = 1.6
CROWD = 10_000
SOCKETS = 2_000
STUCK = 3
# Of a socket's send buffer of 64 KiB the kernel fills more than this.
_FULL = 48 * 1024


class Address(NamedTuple):
    url: str


@faults.add(
    "F21",
    "the lines of ten clients go dead without a word",
    promised="gone after 1.5 heartbeats and the grace; their descriptors are freed",
    seconds=18,
)
async def vanished(figures: Figures) -> None:
    async with Site(nodes=2, people=20, heartbeat=HEARTBEAT, spare=10) as site:
        server = site.nodes["a"].server
        before = open_sockets(server.pid)
        async with Proxy(("127.0.0.1", server.port)) as line:
            door = ("a", Address(f"http://127.0.0.1:{line.port}"))
            victims = [
                Person(site.http, site.evidence, name, cookie, lambda: [door])
                for name, cookie in site.spare.items()
            ]
            await site.all_come(victims)
            figures.holds("they are shown", await site.agree(2))
            # Pings must have been answered before.
            await asyncio.sleep(HEARTBEAT)
            line.stop()
            begun = site.now()
            for victim in victims:
                victim.vanish()
            longest = 1.5 * HEARTBEAT + site.grace + 1
            await asyncio.sleep(longest + 0.5)
            gone = site.evidence.gone_at(site.spare, begun)
            figures.holds("all are gone", len(gone) == 2 * len(victims), len(gone))
            figures.between("gone after", [at - begun for at in gone], site.grace, longest)
            figures.at_most("descriptors kept", open_sockets(server.pid) - before, 0, "")
            await site.all_leave(victims)
        figures.presence(site, site.now())


def _shown_anywhere(site: Site) -> set[str]:
    """Who of the crowd is shown online to anybody."""
    return {name for each in site.observers for name in site.spare.keys() & each.view.online.keys()}


@faults.add(
    "F23",
    f"{CROWD:,} people come to one node at once",
    promised="all are in within 15 s and nobody else notices: no lease is lost",
    seconds=45,
    alone=True,
)
async def reconnect_storm(figures: Figures) -> None:
    async with Site(nodes=2, people=20, spare=CROWD, lease=10) as site:
        begun = site.now()
        server = site.nodes["b"].server
        crowd = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "drill.crowd", "127.0.0.1", str(server.port)),
            cwd=ROOT,
            stdin=PIPE,
            stdout=PIPE,
        )
        assert crowd.stdin is not None and crowd.stdout is not None
        try:
            lines = "\n".join([str(CROWD), *site.spare.values()])
            crowd.stdin.write(f"{lines}\n".encode())
            report: dict[str, Any] = json.loads(await crowd.stdout.readline())
            figures.at_most("all in after", float(report["seconds"]), 15 * figures.slack)
            figures.at_most("refused", CROWD - int(report["open"]), 0, "")
            figures.holds("no client failed", not report["failures"], report["failures"])
            for observer in site.observers:
                async with asyncio.timeout(10):
                    while not site.spare.keys() <= observer.view.online.keys():
                        await asyncio.sleep(0.05)
            figures.note("all shown everywhere after", site.now() - begun)
        finally:
            crowd.stdin.close()
            async with asyncio.timeout(20):
                await crowd.wait()
        left = site.now()
        while (shown := _shown_anywhere(site)) and site.now() - left < 30:
            await asyncio.sleep(0.05)
        figures.holds("the crowd is gone", not shown, len(shown))
        figures.note("all gone everywhere after", site.now() - left)
        stalls = sum(node.server.log.count("stood still") for node in site.nodes.values())
        figures.note("standstills of over 1 s", stalls, "")
        figures.never_degraded(site.observers)
        figures.presence(site, begun)


@faults.add(
    "F13b",
    f"SIGTERM to a node with {SOCKETS:,} sockets, {STUCK} of them stuck",
    promised="exit 0 within 5 s, every live client told, and nobody shown offline who comes back",
    seconds=50,
    alone=True,
)
async def terminated_under_load(figures: Figures) -> None:
    # Long names make lists that no kernel keeps for one who does not read.
    async with Site(
        nodes=2, people=SOCKETS, grace=6, home="a", prefix="somebody-with-a-long-name-"
    ) as site:
        stuck = [_stick(site, cookie) for cookie in list(site.cookies.values())[:STUCK]]
        async with asyncio.timeout(10):
            while not all(_unread(each) > _FULL for each in stuck):
                await asyncio.sleep(0.05)
        people = list(site.people)
        begun = monotonic()
        status, seconds = await site.terminate("a")
        figures.at_most("exit status", status, 0, "")
        figures.at_most("exit after", seconds, 5 * figures.slack)
        told = sum(person.closes[:1] == [1012] for person in people)
        figures.at_most("not told 1012", len(people) - told, 0, "")
        await site.all_open(people, within=20)
        figures.note("all back after", monotonic() - begun)
        await site.start("a")
        await site.quiet()
        for each in stuck:
            each.close()
        figures.at_most("flaps", len(site.evidence.gone_at(site.cookies, 0)), 0, "")
        figures.presence(site, begun)


def _stick(site: Site, cookie: str) -> socket.socket:
    """A peer that asks for the list and reads nothing of it."""
    server = ("127.0.0.1", site.nodes["a"].server.port)
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    peer.connect(server)
    peer.send(upgrade_request(server, cookie, None, "/users/"))
    return peer


def _unread(peer: socket.socket) -> int:
    """Bytes that wait in the kernel on the server's side."""
    ends = [f"{port:04X}" for port in (peer.getpeername()[1], peer.getsockname()[1])]
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if [field.rpartition(":")[2] for field in fields[1:3]] == ends:
            return int(fields[4].partition(":")[0], 16)
    return 0
