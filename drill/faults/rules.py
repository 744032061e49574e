"""Promises about no single fault: ended sessions, requests, connections, shared ports."""

import asyncio
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import monotonic

from drill.figures import Faults, Figures
from drill.people import Person
from drill.site import Site
from presence_server.resources import ROOT
from testing.processes import on_database
from testing.redis_server import lasting_port
from testing.visitor import PASSWORD, Visitor

faults = Faults()

LOG_INS = 60


@asynccontextmanager
async def _browser_of(site: Site, person: Person, node: str) -> AsyncIterator[Visitor]:
    """The same browser at another node: ports are not told apart by cookies."""
    async with Visitor.at(site.nodes[node].server.url) as visitor:
        name, _, value = person.cookie.partition("=")
        visitor.http.cookie_jar.update_cookies({name: value})
        yield visitor


async def _end_sessions(site: Site, person: Person) -> None:
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "presence_server", "sessions", "end", person.username),
        *("--database", str(on_database(site.database, site.folder)["database"])),
        cwd=ROOT,
        stdout=DEVNULL,
    )
    assert await command.wait() == 0


@faults.add(
    "R8",
    "sessions end while Redis is down: by logging out at another node, and by `sessions end`",
    promised="their sockets on all nodes are closed (4401) within a second",
    seconds=20,
)
async def sessions_end_without_redis(figures: Figures) -> None:
    async with Site() as site:
        site.redis.kill()
        await asyncio.sleep(1)
        leaving, ended = site.people_at("b")[:5], site.people_at("c")[:5]
        by_log_out = []
        for person in leaving:
            async with _browser_of(site, person, "a") as visitor:
                shown = await visitor.get("/")
                began = monotonic()
                answer = await visitor.post("/log_out/", {"csrf_token": shown.csrf_token})
                figures.holds("the log-out is answered", answer.status == 303, answer.status)
                by_log_out.append(await _closed(site, person, began) - began)
        by_command = []
        for person in ended:
            closing = asyncio.create_task(_closed(site, person, monotonic()))
            await _end_sessions(site, person)
            by_command.append(await closing - monotonic())
        figures.at_most("closed after the log-out", max(by_log_out), figures.slack)
        figures.at_most("after the command's end", max(0.0, *by_command), figures.slack)
        codes = {code for person in leaving + ended for code in person.closes}
        figures.holds("closed with 4401", codes == {4401}, codes)
        await site.start_redis()
        healed = site.now()
        await site.quiet()
        figures.presence(site, healed)


async def _closed(site: Site, person: Person, ended: float) -> float:
    """When the server closed somebody's socket for good, whose session may have ended since."""
    person.returns = False
    async with asyncio.timeout(10):
        while person.is_open:
            await asyncio.sleep(0.005)
    site.evidence.log_out([person.username], ended)
    return monotonic()


@faults.add(
    "R12",
    f"{LOG_INS} log-ins and as many lists, before and while Redis stands still (SIGSTOP)",
    promised="no request waits for Redis",
    seconds=15,
    alone=True,
)
async def no_request_waits(figures: Figures) -> None:
    async with Site(nodes=2, people=10, spare=2 * LOG_INS) as site:
        names = list(site.spare)
        before = await _log_ins(site, names[:LOG_INS])
        site.redis.pause()
        paused = await _log_ins(site, names[LOG_INS:])
        site.redis.resume()
        healed = site.now()
        figures.note("p99 before", round(1000 * before), " ms")
        figures.note("p99 meanwhile", round(1000 * paused), " ms")
        # Redis would answer only after whole seconds.
        figures.at_most("slower by", max(0.0, paused - before), 0.5 * figures.slack)
        await site.quiet()
        figures.presence(site, healed)


async def _log_ins(site: Site, names: Sequence[str]) -> float:
    """Four at a time; the 99th percentile of all answers, in seconds."""
    seconds: list[float] = []
    for start in range(0, len(names), 4):
        await asyncio.gather(*(_log_in(site, name, seconds) for name in names[start : start + 4]))
    return sorted(seconds)[int(0.99 * len(seconds))]


async def _log_in(site: Site, name: str, seconds: list[float]) -> None:
    async with Visitor.at(site.nodes["a"].server.url) as visitor:
        shown = await visitor.get("/log_in/")
        fields = {"csrf_token": shown.csrf_token, "username": name, "password": PASSWORD}
        begun = monotonic()
        answer = await visitor.post("/log_in/", fields)
        seconds.append(monotonic() - begun)
        assert answer.status == 303, answer.text
        begun = monotonic()
        assert (await visitor.get("/")).status == 200
        seconds.append(monotonic() - begun)


@faults.add(
    "R13",
    "200 log-ins, 20 at a time",
    promised="none opens a connection to Redis: each node has two",
    seconds=12,
    alone=True,
)
async def log_in_storm(figures: Figures) -> None:
    async with Site(nodes=2, people=4, spare=200) as site:
        with site.redis.client() as client:
            # One of them is this one.
            counts = [len(client.client_list()) - 1]
            names = list(site.spare)
            seconds: list[float] = []
            for start in range(0, len(names), 20):
                storm = [_log_in(site, name, seconds) for name in names[start : start + 20]]
                await asyncio.gather(*storm)
                counts.append(len(client.client_list()) - 1)
            opened = client.info("stats")["total_connections_received"]
        figures.note("connections before", counts[0], "")
        figures.at_most("at most meanwhile", max(counts), 2 * len(site.nodes), "")
        # Those of the nodes' starts and of the drill's own questions are among them.
        figures.at_most("opened since Redis started", int(opened), 12, "")


@faults.add(
    "R14",
    "three processes share one port (--reuse-port) and one database; one is killed, one restarted",
    promised="all show one list; nobody is shown offline who comes back",
    seconds=20,
    alone=True,
)
async def shared_port(figures: Figures) -> None:
    async with Site(flags={"port": lasting_port(), "reuse_port": True}) as site:
        pids = {node.server.pid for node in site.nodes.values()}
        figures.note("processes", len(pids), "")
        await site.kill("b")
        await asyncio.sleep(0.5)
        status, seconds = await site.terminate("c")
        figures.at_most("exit status", status, 0, "")
        await site.start("c")
        await site.start("b")
        healed = site.now()
        await site.all_open([*site.people, *site.observers])
        await site.quiet()
        everybody = [person.username for person in site.people]
        figures.at_most("flaps", len(site.evidence.gone_at(everybody, 0)), 0, "")
        figures.presence(site, healed)
