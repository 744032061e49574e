"""Every budget of one node, measured and judged in one bounded run: `make bench`.

That nobody is shown offline wrongly when a node is killed or restarted is not a matter of cost; the
tests that do so to real servers hold it.
"""

import argparse
import asyncio
import dataclasses
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import client, telling
from benchmarks.figures import (
    CROWD_CONNECTS,
    CROWD_CONNECTS_AT_ONCE,
    CROWD_MEMORY,
    CROWD_P99,
    PAGE_MEDIAN,
    PAGE_SIZE,
    fill_in,
    put_between,
)
from benchmarks.fanout import Audience, Load, Result, Stage, audience, run, table
from benchmarks.flush import flush_cost
from benchmarks.load import Connected
from testing.machine import in_words, machine
from testing.meters import resident_bytes
from benchmarks.pages import Visits, flood_log_in, read_page
from benchmarks.peers.environments import PEERS, CannotInstall
from benchmarks.rolling import restarted
from benchmarks.rooms import add_app, change_cost, idle_room, known_person, query_time
from benchmarks.servers import ROOT, SERVERS, Server, populate, redis_server, running, with_grace
from benchmarks.verdicts import Verdict, at_most, counts, table as table_of_verdicts, with_more
from testing.swarm import Swarm
from presence_server.config import Config

OURS, PLAIN = SERVERS["ours"], SERVERS["plain"]
# Who comes back within the grace has never been away, so here it is the default.
CROWDED = with_grace(OURS, Config().grace)
ALL_AT_ONCE = 1_000_000
STUCK = 10_000_000  # where the numbers of those who never read begin
PAGE = ROOT / "docs" / "benchmarks.md"
RESULTS = ROOT / "docs" / "benchmarks.json"


class Bench:
    """The parts of the run; each yields its verdicts as it reaches them.

    A scale below 1 is for trying the benchmark itself: its figures say nothing.
    """

    def __init__(self, stage: Stage, scale: float = 1.0) -> None:
        self.stage = stage
        self.scale = scale
        self.results: list[Result] = []

    def fan_out(self) -> Iterator[Verdict]:
        # So near to each other that a busy moment of the machine would decide.
        quiet = Load(self._people(1000), 8, self._seconds(20))
        busy = Load(self._people(2000), 100, self._seconds(6))
        for load, repeat, limit in ((quiet, 5, 1.0), (busy, 2, 0.25)):
            results = run(self.stage, [PLAIN, OURS], [load], repeat)
            self.results += results
            name = f"{load.observers:,} observers, {load.changes:g} changes/s"
            ratios = _ratios(results)
            spread = f"all runs: {min(ratios):.2f} to {max(ratios):.2f}"
            what, ratio = f"CPU per delivery, {name}", statistics.median(ratios)
            yield at_most(limit, "of plain", what, ratio, spread, form=".2f")
        ours = [result for result in results if result.server == OURS.name]
        p99 = statistics.median(result.p99_ms for result in ours)
        plain = statistics.median(r.p99_ms for r in results if r.server == PLAIN.name)
        yield at_most(150, "ms", f"p99, {name}", p99, f"plain {plain:,.0f} ms")
        yield at_most(0, "lost", name, max(result.lost for result in ours))

    def delays(self) -> Iterator[Verdict]:
        """Beside the best of others, who tell each socket of each change at once."""
        loads = [(200, 8), (1000, 8), (2000, 8), (200, 100), (1000, 100), (2000, 100)]
        servers = [OURS, PLAIN, *_others()]
        for observers, changes in loads:
            # The slowest in a hundred of some tens would be one that came at a bad moment.
            seconds = self._seconds(30 if changes < 100 else 6)
            load = Load(self._people(observers), changes, seconds)
            results = run(self.stage, servers, [load], 1)
            self.results += results
            for what in ("p50_ms", "p99_ms"):
                ours, *others = [getattr(result, what) for result in results]
                best = min(zip(others, (server.name for server in servers[1:]), strict=True))
                name = f"{what[:3]}, {load.observers:,} observers, {changes:g} changes/s"
                yield at_most(best[0] + 5, "ms", name, ours, f"best of others {best[1]}")

    def flush(self) -> Iterator[Verdict]:
        cost = flush_cost(self._people(1000))
        yield at_most(0.6, "µs", "a flush in Python for each line, without the write", cost)

    def crowd(self) -> Iterator[Verdict]:
        load = Load(self._people(10_000), 100, self._seconds(10))
        name = f"{load.observers:,} observers"
        with audience(self.stage, CROWDED, load.observers) as crowd:
            yield _all(f"{name} connect, 256 at a time", load.observers, crowd.connect())
            yield at_most(CROWD_MEMORY, "KiB", f"RSS per connection, {name}", crowd.kib_each())
            quiet = self._read_page(crowd, load.seconds)
            answers: list[Visits] = []
            window = crowd.watch(
                load, lambda: answers.append(self._read_page(crowd, load.seconds))
            )
            report, busy = window.report, answers[0]
            at_rate = f"{name}, {load.changes:g} changes/s"
            yield at_most(0, "lost", at_rate, report.lost, f"of {report.expected:,} deliveries")
            cost = 1e6 * window.server_cpu / max(window.deliveries, 1)
            share = 100 * window.server_cpu / window.seconds
            more = f"p50 {report.percentile(0.5):.0f}, max {report.percentile(1):.0f} ms"
            more += f"; {cost:.2f} µs a delivery, {share:.0f} % of a core"
            yield at_most(CROWD_P99, "ms", f"p99, {at_rate}", report.percentile(0.99), more)
            later = busy.percentile(0.99) - quiet.percentile(0.5)
            more = f"median {quiet.percentile(0.5):.0f} ms when quiet,"
            more += f" {busy.percentile(0.5):.0f} then, at most {busy.percentile(1):.0f}"
            yield at_most(50, "ms", f"a page request at {at_rate}, later by (p99)", later, more)

    def reconnects(self) -> Iterator[Verdict]:
        observers = self._people(10_000)
        with audience(self.stage, CROWDED, observers) as crowd:
            crowd.connect()
            for turn in range(1, 6):
                crowd.observers.ask("disconnect")
                # As pages do, with the cursor that they have.
                again = crowd.connect(ALL_AT_ONCE, resume=True)
                name = f"{observers:,} reconnect at once, run {turn}"
                yield _all(name, observers, again, within=10)
            crowd.observers.ask("disconnect")
            anew = crowd.connect(ALL_AT_ONCE)
            name = f"{observers:,} come at once who know nothing yet"
            yield _all(name, observers, anew, CROWD_CONNECTS_AT_ONCE)

    def rolling(self) -> Iterator[Verdict]:
        observers = self._people(10_000)
        database = self.stage.database(CROWDED)
        cookies = self.stage.cookies(CROWDED, observers)
        for moved in restarted(CROWDED, database, cookies, self.stage.redis.url):
            name = f"a node restarted under {moved.people:,} of {observers:,} observers"
            back = f"{moved.back:,} in {moved.seconds:.1f} s"
            back = with_more(back, counts(moved.broken))
            everybody = moved.back == moved.people and not moved.broken
            yield Verdict(name, back, "all back at the other one", everybody)
            more = f"{moved.each / 1000:.2f} on average"
            yield at_most(2, "KB", "the same, what each reads", moved.most / 1000, more)
            yield at_most(0, "times", "the same, somebody shown offline", moved.shown_offline)

    def flood(self) -> Iterator[Verdict]:
        # So many that changes are still told as they come: with more they wait for each other.
        quiet = Load(self._people(200), 8, self._seconds(10))
        load = dataclasses.replace(quiet, seconds=self._seconds(30))
        names = [f"user{number}" for number in range(load.observers)]
        answers: list[Visits] = []
        with audience(self.stage, OURS, load.observers) as crowd:
            crowd.connect()
            calm = crowd.watch(quiet).report
            address = crowd.server.target.address
            attack = flood_log_in(address, names, load.seconds, rate=200, sources=50)
            flooded = crowd.watch(load, lambda: answers.append(asyncio.run(attack))).report
        more = f"{calm.percentile(0.99):.0f} ms without; answers {counts(answers[0].statuses)}"
        p99 = flooded.percentile(0.99)
        yield at_most(100, "ms", "socket p99 during 200 log-ins a second", p99, more)
        yield at_most(0, "lost", "the same", flooded.lost)

    def slow_readers(self) -> Iterator[Verdict]:
        load = Load(self._people(1000), 100, self._seconds(6))
        with audience(self.stage, OURS, load.observers) as crowd:
            crowd.connect()
            calm = crowd.watch(load).report
            before = resident_bytes(crowd.server.pid)
            with _never_reading(crowd, 100):
                slowed = crowd.watch(load).report
                grown = (resident_bytes(crowd.server.pid) - before) / 1024 / 100
        more = f"{calm.percentile(0.99):.0f} ms without them; {grown:.0f} KiB each"
        later = slowed.percentile(0.99) - calm.percentile(0.99)
        yield at_most(50, "ms", "100 who never read, others later by (p99)", later, more)
        yield at_most(0, "lost", "the same", slowed.lost)

    def directory(self) -> Iterator[Verdict]:
        accounts = self._people(100_000)
        for number in (100, accounts):
            with tempfile.TemporaryDirectory() as folder:
                database = Path(folder) / "presence.sqlite3"
                cookie = populate(OURS, database, number, 1)[0]
                with running(OURS, database, self.stage.redis.url) as server:
                    pages = asyncio.run(
                        read_page(server.target.address, cookie, self._seconds(3), 0.02)
                    )
            name = f"GET / with {number:,} accounts"
            more = f"p99 {pages.percentile(0.99):.0f} ms; answers {counts(pages.statuses)}"
            yield at_most(PAGE_MEDIAN, "ms", f"{name}, median", pages.percentile(0.5), more)
            yield at_most(PAGE_SIZE, "KB", f"{name}, size", pages.largest / 1000)

    def webhooks(self) -> Iterator[Verdict]:
        """Who is told of in a room is told of in the lobby, too: two changes."""
        people, flips = self._people(2_000), 500 * min(1.0, self.scale)
        calm = asyncio.run(telling.measure(flips, people, self._seconds(15), webhook=False))
        busy = asyncio.run(telling.measure(flips, people, self._seconds(60), webhook=True))
        name = f"{2 * flips:,.0f} changes/s to a receiver that takes {1000 * telling.TAKES:.0f} ms"
        p50, p99 = (telling.percentile(busy.told_ms, share) for share in (0.5, 0.99))
        more = f"p50 {p50:.0f} ms; {100 * busy.cpu:.0f} % of a core, {100 * calm.cpu:.0f} % without"
        yield at_most(2000, "ms", f"told (p99), {name}", p99, more)
        yield at_most(0, "lost", f"told, {name}", busy.lost, f"of {busy.changes:,} changes")
        grown = busy.last_mib - busy.first_mib
        yield at_most(5, "MiB", f"memory grown within {self._seconds(60):.0f} s", grown)
        before, now = (telling.percentile(run.seen_ms, 0.99) for run in (calm, busy))
        more = f"{before:.0f} ms without the webhook"
        yield at_most(50, "ms", "others see a change later by (p99)", now - before, more)

    def rooms(self) -> Iterator[Verdict]:
        many = self._people(10_000)
        one, cached = change_cost(1, 10), change_cost(1, 10, other_work=False)
        cost = change_cost(many, 10)
        what = f"a change with {many:,} rooms of 10"
        more = f"{cost:.0f} µs, {one:.0f} µs; {cached:.0f} µs when nothing else is done meanwhile"
        yield at_most(1.2, "of one room's", what, cost / one, more)
        what = "a room in which nobody is, while somebody looks"
        yield at_most(1, "KiB", what, idle_room() / 1024)
        more = f"{known_person():.1f} while no page of them is asked for"
        what = "somebody who is here by way of another node, with their place in pages"
        yield at_most(600, "bytes", what, known_person(ordered=True), more, form=".1f")

    def backend(self) -> Iterator[Verdict]:
        users = min(1_000, self._people(1_000))
        with tempfile.TemporaryDirectory() as folder:
            database = Path(folder) / "presence.sqlite3"
            bearer = add_app(database)
            with running(OURS, database, self.stage.redis.url) as server:
                milliseconds, here = query_time(server, bearer, users)
        yield at_most(10, "ms", f"status of {users:,} users, median", milliseconds)
        yield at_most(0, "missing", "the same", users - here)

    def client(self) -> Iterator[Verdict]:
        """In Chromium."""
        yield at_most(13.5, "KB", "the client for pages, gzipped", client.size() / 1024)
        shown = client.first_person()
        yield at_most(1000, "ms", "first person on screen, nothing cached, median", shown)
        seconds = self._seconds(60)
        grown = client.heap_growth(seconds, 0.01) / 1024
        what = f"a page grows in {seconds:.0f} s of 100 changes/s among {client.PEOPLE:,}"
        yield at_most(1024, "KiB", what, grown)

    def termination(self) -> Iterator[Verdict]:
        observers = self._people(2000)
        with audience(self.stage, OURS, observers) as crowd:
            crowd.connect()
            with _never_reading(crowd, 3):
                status, seconds = crowd.server.terminate()
                time.sleep(1)
                losses = crowd.observers.report([], 0, 1).losses
        more = f"exit status {status}"
        name = f"SIGTERM with {observers:,} sockets, 3 stuck"
        yield at_most(5, "s", name, seconds, more)
        yield at_most(0, "status", f"{name}, exit", status)
        told = losses["closed 1012"] + losses["closed 1001"]
        yield at_most(0, "not told", name, observers - told, counts(losses))

    def _people(self, number: int) -> int:
        return max(10, int(number * self.scale))

    def _seconds(self, number: float) -> float:
        return max(1.0, number * self.scale)

    def _read_page(self, crowd: Audience, seconds: float) -> Visits:
        address = crowd.server.target.address
        return asyncio.run(read_page(address, crowd.cookies[0], seconds, 0.05))


PARTS: dict[str, Callable[[Bench], Iterator[Verdict]]] = {
    "fan-out": Bench.fan_out,
    "delays": Bench.delays,
    "flush": Bench.flush,
    "crowd": Bench.crowd,
    "reconnects": Bench.reconnects,
    "rolling": Bench.rolling,
    "flood": Bench.flood,
    "slow-readers": Bench.slow_readers,
    "directory": Bench.directory,
    "webhooks": Bench.webhooks,
    "rooms": Bench.rooms,
    "backend": Bench.backend,
    "client": Bench.client,
    "termination": Bench.termination,
}


def _ratios(results: Sequence[Result]) -> list[float]:
    """Ours to plain, of each repetition: both were measured within the same minute."""
    cost = {
        name: [r.cpu_per_delivery_us for r in results if r.server == name]
        for name in (OURS.name, PLAIN.name)
    }
    return [ours / plain for ours, plain in zip(cost[OURS.name], cost[PLAIN.name], strict=True)]


def _others() -> Iterator[Server]:
    """The fastest servers of others, where Node and npm are there."""
    for peer in PEERS:
        if peer.folder.name in ("ws", "socket_io"):
            try:
                peer.install()
            except CannotInstall as error:
                print(f"{peer.folder.name} is left out. {error}", flush=True)
            else:
                yield from peer.servers


def _all(what: str, wanted: int, connected: Connected, within: float = CROWD_CONNECTS) -> Verdict:
    met = connected.count == wanted and connected.seconds <= within
    measured = f"{connected.count:,} in {connected.seconds:.1f} s"
    measured = with_more(measured, counts(connected.failures))
    return Verdict(what, measured, f"all with their list within {within:g} s", met)


class _never_reading:
    """Some of the observers' sessions with one more socket each, whose owner does not read."""

    def __init__(self, crowd: Audience, count: int) -> None:
        cookies = crowd.cookies[:count]
        self._opened: set[int] = set()
        target = crowd.server.target
        subprotocol = target.dialect.subprotocol
        self._swarm = Swarm(target.address, subprotocol, lambda number, payload, now: None)
        self._swarm.on_open = lambda number, now: self._opened.add(number)
        for number, cookie in enumerate(cookies, STUCK):
            self._swarm.connect(number, cookie, receive_buffer=4096)

    def __enter__(self) -> None:
        give_up = time.monotonic() + 20
        while len(self._opened) < len(self._swarm.clients) and time.monotonic() < give_up:
            self._swarm.turn(0.1)

    def __exit__(self, *exc_info: object) -> None:
        for number in list(self._swarm.clients):
            self._swarm.close(number)


def document(content: Mapping[str, Any]) -> str:
    """The page's part, from what is kept of a run."""
    about = f"Machine: {in_words(content['machine'])}. The run took {content['seconds']:.0f} s."
    lines = [about, "", *table_of_verdicts([Verdict(**v) for v in content["verdicts"]])]
    if results := [Result(**result) for result in content["results"]]:
        lines += ["", table(results)]
    return "\n".join(lines)


def write(content: Mapping[str, Any]) -> None:
    RESULTS.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    put_between(PAGE, "make bench", document(content))
    fill_in()


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.budgets", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--scale", type=float, default=1.0, help="below 1: only a trial")
    parser.add_argument("--write", action="store_true", help="put the figures into docs/")
    options = parser.parse_args(argv)
    started = time.monotonic()
    verdicts: list[Verdict] = []
    with tempfile.TemporaryDirectory() as folder, redis_server() as redis:
        bench = Bench(Stage(Path(folder), redis), options.scale)
        for part in options.only:
            for verdict in PARTS[part](bench):
                print(verdict, flush=True)
                verdicts.append(verdict)
    content = {
        "machine": machine(),
        "seconds": round(time.monotonic() - started),
        "verdicts": [dataclasses.asdict(verdict) for verdict in verdicts],
        "results": [dataclasses.asdict(result) for result in bench.results],
    }
    print(f"\n{document(content)}")
    if options.write:
        write(content)
    return 0 if all(verdict.met for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
