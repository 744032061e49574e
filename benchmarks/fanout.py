"""Fan-out: N observers watch while probes come and go. What does one delivery cost, how late is it?

A delivery is one change of one user seen by one observer. Delays count from the moment a probe
asks for its socket to the moment an observer has read that it is here.
"""

import argparse
import dataclasses
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load import HANDSHAKES_AT_ONCE, Connected, Observers, visiting, watching
from testing.machine import machine
from testing.meters import cpu_seconds, resident_bytes
from benchmarks.peers.environments import PEERS, Peer
from benchmarks.servers import SERVERS, Redis, Running, Server, populate, redis_server, running
from benchmarks.deliveries import PROBE, Report


@dataclass(frozen=True, slots=True)
class Load:
    observers: int
    changes: float
    # How long is measured, and how long a probe is here.
    seconds: float = 10.0
    stay: float = 2.0

    # Seconds without a delivery after which no more are expected: a busy server falls silent too.
    quiet: float = 3.0
    # Seconds after which those are given up who are still to come in, or to be seen.
    patience: float = 60.0

    @property
    def each(self) -> float:
        """Seconds between two arrivals: a visit is two changes."""
        return 2 / self.changes


@dataclass(frozen=True, slots=True)
class Result:
    server: str
    observers: int
    changes: float
    connected: int
    connect_seconds: float
    # Until the server had nothing more to do, because everybody knew of everybody.
    rest_seconds: float
    cpu_per_delivery_us: float
    cpu_share: float
    redis_cpu_share: float
    deliveries_per_second: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    expected: int
    lost: int
    repeated: int
    disconnected: int
    kib_per_connection: float
    client_cpu_share: float
    client_longest_pass_ms: float
    failures: dict[str, int]


class Stage:
    """The servers' databases, filled once for all runs, and the Redis."""

    def __init__(self, folder: Path, redis: Redis) -> None:
        self.folder = folder
        self.redis = redis
        self._cookies: dict[tuple[tuple[str, ...], str], list[str]] = {}

    def database(self, server: Server) -> Path:
        return self.folder / f"{server.folder.name}-{server.populate[0]}.sqlite3"

    def cookies(self, server: Server, count: int, prefix: str = "user") -> list[str]:
        key = (server.populate, prefix)
        if len(self._cookies.get(key, ())) < count:
            database = self.database(server)
            self._cookies[key] = populate(
                server, database, count, count, prefix, self.redis.url
            )
        return self._cookies[key][:count]


@dataclass(frozen=True, slots=True)
class Window:
    """What was seen and spent between two moments."""

    seconds: float
    deliveries: int
    server_cpu: float
    redis_cpu: float
    client_cpu: float
    report: Report
    failures: dict[str, int]


class Audience:
    """The observers of one running server, who watch probes come and go."""

    def __init__(
        self, stage: Stage, server: Running, observers: Observers, cookies: Sequence[str]
    ) -> None:
        self.server = server
        self.observers = observers
        self.cookies = cookies
        self._stage = stage
        self._empty = resident_bytes(server.pid)
        self._guests = 0
        self.rested_after = 0.0
        # When what was watched last began and ended.
        self.watched = (0.0, 0.0)

    def connect(
        self,
        at_once: int = HANDSHAKES_AT_ONCE,
        limit: float = 120.0,
        idle: float = 60.0,
        resume: bool = False,
    ) -> Connected:
        """Ends when the server has told everybody of everybody."""
        connected = self.observers.connect(at_once, limit, resume)
        self.rested_after = connected.seconds + rest(self.server, idle)
        return connected

    def kib_each(self) -> float:
        """Resident memory of the server for each connection."""
        grown = resident_bytes(self.server.pid) - self._empty
        return grown / 1024 / self.observers.count

    def watch(self, load: Load, during: Callable[[], object] | None = None) -> Window:
        server = self.server.server
        # Until as many leave as come.
        warm_up = load.stay + server.grace + 1
        # They come at random, so there may be more of them than on average.
        count = int(1.3 * (warm_up + load.seconds + 10) / load.each) + 20
        first, self._guests = self._guests, self._guests + count
        cookies = self._stage.cookies(server, self._guests, PROBE)[first:]
        with visiting(self.server.target, cookies, first) as probes:
            probes.come(load.each, load.stay)
            time.sleep(warm_up)
            before = self._mark()
            during() if during else time.sleep(load.seconds)
            after = self._mark()
            visits, failures = probes.leave(load.patience)
            time.sleep(server.grace)
            self.observers.settle(quiet=load.quiet, limit=load.patience)
            to_probes = probes.deliveries(before.at, after.at)
        report = self.observers.report(visits, before.at, after.at)
        self.watched = (before.at, after.at)
        return Window(
            seconds=after.at - before.at,
            deliveries=report.deliveries + to_probes,
            server_cpu=after.server - before.server,
            redis_cpu=after.redis - before.redis,
            client_cpu=after.client - before.client,
            report=report,
            failures=failures,
        )

    def _mark(self) -> "_Mark":
        return _Mark(
            at=time.monotonic(),
            server=cpu_seconds(self.server.pid),
            redis=cpu_seconds(self._stage.redis.pid),
            client=max(map(cpu_seconds, self.observers.pids)),
        )


@dataclass(frozen=True, slots=True)
class _Mark:
    """The CPU clocks at one moment."""

    at: float
    server: float
    redis: float
    client: float


@contextmanager
def audience(stage: Stage, server: Server, count: int) -> Iterator[Audience]:
    """A new server and observers who have yet to connect."""
    cookies = stage.cookies(server, count)
    with running(server, stage.database(server), stage.redis.url) as server_run:
        with watching(server_run.target, cookies) as observers:
            yield Audience(stage, server_run, observers, cookies)


def measure(stage: Stage, server: Server, load: Load) -> Result:
    with audience(stage, server, load.observers) as crowd:
        connected = crowd.connect()
        return measured(crowd, connected, load)


def measured(crowd: Audience, connected: Connected, load: Load) -> Result:
    """What so many changes a second cost those who are connected."""
    each = crowd.kib_each()
    window = crowd.watch(load)
    report = window.report
    return Result(
        server=crowd.server.server.name,
        observers=load.observers,
        changes=load.changes,
        connected=connected.count,
        connect_seconds=connected.seconds,
        rest_seconds=crowd.rested_after,
        cpu_per_delivery_us=1e6 * window.server_cpu / max(window.deliveries, 1),
        cpu_share=window.server_cpu / window.seconds,
        redis_cpu_share=window.redis_cpu / window.seconds,
        deliveries_per_second=window.deliveries / window.seconds,
        p50_ms=report.percentile(0.5),
        p99_ms=report.percentile(0.99),
        max_ms=report.percentile(1.0),
        expected=report.expected,
        lost=report.lost,
        repeated=report.repeated,
        disconnected=report.losses.total(),
        kib_per_connection=each,
        client_cpu_share=window.client_cpu / window.seconds,
        client_longest_pass_ms=report.longest_pass * 1000,
        failures=dict(report.losses + Counter(window.failures)),
    )


def rest(server: Running, limit: float) -> float:
    """How long it takes until the server has nothing to do; the limit when it still has."""
    started = time.monotonic()
    while time.monotonic() < started + limit:
        before = cpu_seconds(server.pid)
        time.sleep(0.5)
        if cpu_seconds(server.pid) - before < 0.05:
            return time.monotonic() - 0.5 - started
    return limit


COLUMNS: Sequence[tuple[str, str, Callable[[Result], float]]] = (
    ("µs CPU/delivery", "{:.2f}", lambda r: r.cpu_per_delivery_us),
    ("CPU %", "{:.0f}", lambda r: 100 * r.cpu_share),
    ("Redis %", "{:.1f}", lambda r: 100 * r.redis_cpu_share),
    ("deliveries/s", "{:,.0f}", lambda r: r.deliveries_per_second),
    ("p50 ms", "{:.0f}", lambda r: r.p50_ms),
    ("p99 ms", "{:.0f}", lambda r: r.p99_ms),
    ("max ms", "{:.0f}", lambda r: r.max_ms),
    ("lost", "{:.0f}", lambda r: r.lost),
    ("KiB/conn.", "{:.1f}", lambda r: r.kib_per_connection),
    ("connect s", "{:.1f}", lambda r: r.connect_seconds),
    ("client CPU %", "{:.0f}", lambda r: 100 * r.client_cpu_share),
    ("client pass ms", "{:.0f}", lambda r: r.client_longest_pass_ms),
)


def table(results: Sequence[Result]) -> str:
    """Markdown: the median of the repetitions, and their extremes when there are several."""
    lines = ["| server | observers | changes/s | " + " | ".join(c[0] for c in COLUMNS) + " |"]
    lines.append("|---" * (3 + len(COLUMNS)) + "|")
    groups: dict[tuple[str, int, float], list[Result]] = {}
    for result in results:
        key = (result.server, result.observers, result.changes)
        groups.setdefault(key, []).append(result)
    for (name, observers, changes), group in groups.items():
        cells = [name, f"{observers:,}", f"{changes:g}"]
        for _, form, value in COLUMNS:
            values = sorted(map(value, group))
            cell = form.format(statistics.median(values))
            if len(values) > 1 and form.format(values[0]) != form.format(values[-1]):
                cell += f" ({form.format(values[0])} to {form.format(values[-1])})"
            cells.append(cell)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def run(
    stage: Stage, servers: Sequence[Server], loads: Sequence[Load], repeat: int
) -> list[Result]:
    """Servers take turns within each repetition, so that a slow minute hits all of them."""
    results = []
    for load in loads:
        for turn in range(repeat):
            for server in servers:
                result = measure(stage, server, load)
                results.append(result)
                print(_line(result, turn), file=sys.stderr, flush=True)
    return results


def _line(result: Result, turn: int) -> str:
    values = ", ".join(f"{name} {form.format(value(result))}" for name, form, value in COLUMNS)
    line = f"{result.server} {result.observers} x {result.changes:g}/s, run {turn + 1}: {values}"
    return f"{line}, failures {result.failures}" if result.failures else line


def _installed(peer: Peer, name: str) -> Server:
    peer.install()
    return next(server for server in peer.servers if server.name == name)


def _load(text: str) -> Load:
    observers, _, changes = text.partition("x")
    return Load(int(observers), float(changes))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fanout", description=__doc__)
    others = {server.name: peer for peer in PEERS for server in peer.servers}
    parser.add_argument(
        "--servers", nargs="+", choices=[*SERVERS, *others], default=["plain", "ours"]
    )
    parser.add_argument(
        "--loads",
        nargs="+",
        type=_load,
        default=[Load(1000, 8), Load(2000, 100)],
        metavar="NxC",
        help="N observers, C changes a second",
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="measured, per run")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path, help="where to write the results")
    options = parser.parse_args(argv)
    loads = [dataclasses.replace(load, seconds=options.seconds) for load in options.loads]
    servers = [SERVERS.get(name) or _installed(others[name], name) for name in options.servers]
    with tempfile.TemporaryDirectory() as folder, redis_server() as redis:
        results = run(Stage(Path(folder), redis), servers, loads, options.repeat)
    print(table(results))
    if options.json:
        document = {"machine": machine(), "results": [dataclasses.asdict(r) for r in results]}
        options.json.write_text(json.dumps(document, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
