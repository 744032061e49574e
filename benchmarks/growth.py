"""How the cost of our server grows: with those who watch, with accounts, and with nodes."""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import redis

from benchmarks.fanout import Load, Stage, rest
from benchmarks.load import Observers, Probes, visiting, watching
from benchmarks.deliveries import PROBE
from testing.meters import cpu_seconds, resident_bytes
from benchmarks.pages import read_page
from benchmarks.servers import Running, Server, ServerFailed, populate, running


@dataclass(frozen=True, slots=True)
class Accounts:
    """What `GET /` takes with so many accounts."""

    accounts: int
    median_ms: float
    p99_ms: float
    cpu_ms: float
    kilobytes: float
    server_mib: float


@dataclass(frozen=True, slots=True)
class Nodes:
    """What so many nodes and their Redis take for one change; the people are spread evenly."""

    nodes: int
    observers: int
    changes: float
    changes_seen: int
    nodes_cpu_us: float
    redis_cpu_us: float
    letters: int
    p99_ms: float
    lost: int


def accounts(stage: Stage, server: Server, count: int, seconds: float) -> Accounts:
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "presence.sqlite3"
        cookie = populate(server, database, count, 1)[0]
        with running(server, database, stage.redis.url) as run:
            address = run.target.address
            asyncio.run(read_page(address, cookie, seconds / 4, 0.02))
            before = cpu_seconds(run.pid)
            pages = asyncio.run(read_page(address, cookie, seconds, 0.02))
            spent = cpu_seconds(run.pid) - before
            resident = resident_bytes(run.pid)
    return Accounts(
        accounts=count,
        median_ms=pages.percentile(0.5),
        p99_ms=pages.percentile(0.99),
        cpu_ms=1000 * spent / len(pages.milliseconds),
        kilobytes=pages.largest / 1000,
        server_mib=resident / 1024 / 1024,
    )


def nodes(stage: Stage, server: Server, count: int, load: Load) -> Nodes:
    """Observers and probes are spread over all nodes."""
    share = load.observers // count
    cookies = stage.cookies(server, share * count)
    warm_up = load.stay + server.grace + 1
    each = load.each * count
    guests = int(1.3 * (warm_up + load.seconds + 10) / each) + 20
    invitations = stage.cookies(server, guests * count, PROBE)
    with contextlib.ExitStack() as stack:
        enter = stack.enter_context
        database = stage.database(server)
        servers = [enter(running(server, database, stage.redis.url)) for _ in range(count)]
        crowds = []
        for number, run in enumerate(servers):
            people = cookies[number * share : (number + 1) * share]
            crowds.append(enter(watching(run.target, people)))
            crowds[-1].connect()
        for run in servers:
            rest(run, 20.0)
        callers = []
        for number, run in enumerate(servers):
            first = number * guests
            names = invitations[first : first + guests]
            callers.append(enter(visiting(run.target, names, first)))
            callers[-1].come(each, load.stay)
        time.sleep(warm_up)
        begin = _Mark.now(stage, servers)
        time.sleep(load.seconds)
        end = _Mark.now(stage, servers)
        return _nodes(load, crowds, callers, begin, end, server.grace)


@dataclass(frozen=True, slots=True)
class _Mark:
    at: float
    nodes: float
    redis: float
    letters: int

    @classmethod
    def now(cls, stage: Stage, servers: Sequence[Running]) -> "_Mark":
        with redis.Redis.from_url(stage.redis.url) as client:
            commands = client.info("commandstats")
        return cls(
            at=time.monotonic(),
            nodes=sum(cpu_seconds(run.pid) for run in servers),
            redis=cpu_seconds(stage.redis.pid),
            letters=commands.get("cmdstat_publish", {}).get("calls", 0),
        )


def _nodes(
    load: Load,
    crowds: Sequence[Observers],
    callers: Sequence[Probes],
    begin: _Mark,
    end: _Mark,
    grace: float,
) -> Nodes:
    visits = [visit for caller in callers for visit in caller.leave(load.patience)[0]]
    time.sleep(grace)
    for crowd in crowds:
        crowd.settle(load.quiet, load.patience)
    report = crowds[0].report(visits, begin.at, end.at)
    for crowd in crowds[1:]:
        report.add(crowd.report(visits, begin.at, end.at))
    observers = sum(crowd.count for crowd in crowds)
    changes = report.deliveries // observers
    if not changes:
        raise ServerFailed("no change was seen in time")
    return Nodes(
        nodes=len(crowds),
        observers=observers,
        changes=load.changes,
        changes_seen=changes,
        nodes_cpu_us=1e6 * (end.nodes - begin.nodes) / changes,
        redis_cpu_us=1e6 * (end.redis - begin.redis) / changes,
        letters=end.letters - begin.letters,
        p99_ms=report.percentile(0.99),
        lost=report.lost,
    )
