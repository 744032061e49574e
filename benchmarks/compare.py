"""This server beside what people would pick instead, doing the same work: `make compare`.

Each in turn has the same observers and the same probes. Who has broken down under one load is not
asked for more, and the report says so. Then the limit, which is the kernel's cost of the same
writes, and how the cost of our own server grows.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from benchmarks import growth, report
from benchmarks.bare import Recording, replay
from benchmarks.fanout import Audience, Load, Stage, audience, measured
from benchmarks.peers.environments import PEERS, CannotInstall, Peer
from benchmarks.report import Cell, Comparison
from benchmarks.servers import SERVERS, Server, ServerFailed, redis_server, with_grace

T = TypeVar("T")


# It costs the same as a longer one and makes the run shorter.
_GRACE = 0.5
# Whose writes are repeated by the bare loop, and whose growth is measured.
ALONE = with_grace(SERVERS["ours-alone"], _GRACE)
TOGETHER = with_grace(SERVERS["ours"], _GRACE)
OURS = (ALONE, TOGETHER)
# What else ours does, with as many observers as all servers get at most.
ROOMS = tuple(with_grace(SERVERS[name], _GRACE) for name in ("ours-room", "ours-events"))


@dataclass(frozen=True, slots=True)
class Plan:
    observers: Sequence[int]
    # The largest, which tells least about those who broke down before.
    crowd: Sequence[int]
    changes: Sequence[float]
    seconds: dict[float, float]
    # Observers for the curve alone, beyond those that all servers get.
    further: Sequence[int]
    accounts: Sequence[int]
    nodes: Sequence[int]
    # Observers of all nodes together.
    audience: int
    # Seconds for people to come in, for the server to come to rest, and for stragglers.
    admission: float = 40.0
    idle: float = 40.0
    patience: float = 8.0
    # How long a probe stays, and the silence after which no more is expected.
    stay: float = 1.0
    quiet: float = 1.5
    # Seconds after which nothing new is begun; what is begun before takes less than two minutes.
    enough: float = 18 * 60.0


FULL = Plan(
    observers=(200, 1000, 2000),
    crowd=(10_000,),
    changes=(8, 100),
    seconds={8: 5.0, 100: 3.0},
    further=(4000, 16_000),
    accounts=(100, 1000, 10_000, 100_000),
    nodes=(1, 2, 3, 4),
    audience=1000,
)
SHORT = Plan(
    observers=(100,),
    crowd=(),
    changes=(20,),
    seconds={20: 2.0},
    further=(200,),
    accounts=(100, 1000),
    nodes=(1, 2),
    audience=100,
    admission=20.0,
    idle=10.0,
    patience=5.0,
    enough=140.0,
)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("--short", action="store_true", help="a trial; its figures say little")
    parser.add_argument("--write", action="store_true", help="put the figures into docs/")
    options = parser.parse_args(argv)
    # Servers inherit it, and some do not raise it by themselves.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    comparison = Comparison()
    servers = [*OURS, SERVERS["plain"], *install(PEERS, comparison)]
    with tempfile.TemporaryDirectory() as folder, redis_server() as redis:
        plan = SHORT if options.short else FULL
        Run(Stage(Path(folder), redis), plan, comparison).all(servers)
    content = report.encode(comparison)
    if options.write:
        report.write(content)
    print(report.document(content))
    return 0


def install(peers: Sequence[Peer], comparison: Comparison) -> Iterator[Server]:
    """The servers that can be run here; of the others the comparison says why not."""
    for peer in peers:
        try:
            _say(f"Installing what {peer.folder.name} needs, if it is not there yet.")
            peer.install()
        except CannotInstall as error:
            for server in peer.servers:
                comparison.absent[server.name] = str(error)
                _say(f"{server.name} is left out. {error}")
        else:
            for server in peer.servers:
                comparison.versions[server.name] = peer.versions()
            yield from peer.servers


class Run:
    def __init__(self, stage: Stage, plan: Plan, comparison: Comparison) -> None:
        self.stage = stage
        self.plan = plan
        self.comparison = comparison
        self._begun = time.monotonic()
        self._recordings: list[tuple[Load, Recording]] = []
        self._put_off: list[tuple[Server, int]] = []

    def all(self, servers: Sequence[Server]) -> None:
        """What takes longest and tells least comes last: more observers for those who lost changes
        with fewer, and then the others before the largest crowd."""
        for observers in self.plan.observers:
            self._sessions(servers, observers)
        self._sessions(ROOMS, max(self.plan.observers))
        for observers in self.plan.crowd:
            self._sessions([server for server in servers if server in OURS], observers)
        for observers in self.plan.further:
            self._sessions([ALONE], observers)
        for count in self.plan.accounts:
            self._grow(self.comparison.accounts, lambda: self._accounts(count))
        for count in self.plan.nodes:
            self._grow(self.comparison.nodes, lambda: self._nodes(count))
        for server, observers in self._put_off:
            self._session(server, observers)
        for observers in self.plan.crowd:
            for server in servers:
                if server not in OURS:
                    self._session(server, observers)
        self.comparison.seconds = time.monotonic() - self._begun

    def _sessions(self, servers: Sequence[Server], observers: int) -> None:
        for server in servers:
            if server not in OURS and self._has_lost(server):
                self._put_off.append((server, observers))
            else:
                self._session(server, observers)
        self._limits()

    def _session(self, server: Server, observers: int) -> None:
        """One life of a server, with all loads for so many observers that it may still hold."""
        loads = [self._load(observers, changes) for changes in self.plan.changes]
        due = [load for load in loads if not self._excused(server, load)]
        if not due:
            return
        done = 0
        try:
            with audience(self.stage, server, observers) as crowd:
                connected = crowd.connect(limit=self.plan.admission, idle=self.plan.idle)
                if connected.count < observers:
                    raise ServerFailed(
                        f"only {connected.count:,} were connected after {connected.seconds:.0f} s"
                    )
                if crowd.rested_after >= connected.seconds + self.plan.idle:
                    raise ServerFailed(
                        f"{crowd.rested_after:.0f} s after the first handshake it was still telling"
                        " everybody of everybody"
                    )
                for load in due:
                    if not self._excused(server, load):
                        result = measured(crowd, connected, load)
                        self._add(Cell.of(result))
                        if server is ALONE:
                            self._record(crowd, load)
                    done += 1
        except Exception as error:  # whatever one does, the others have their turn
            reason = _sentence(error)
            for load in due[done:]:
                self._add(Cell(server.name, observers, load.changes, reason))

    def _has_lost(self, server: Server) -> bool:
        return any(
            cell.server == server.name and cell.result is not None and cell.result.lost
            for cell in self.comparison.cells
        )

    def _excused(self, server: Server, load: Load) -> bool:
        """Whether it has broken down under no more than this, or the time is over."""
        reason = None
        for cell in self.comparison.cells:
            if cell.server == server.name and cell.trouble and not cell.excused:
                if cell.observers <= load.observers and cell.changes <= load.changes:
                    reason = f"broke down at {cell.observers:,} x {cell.changes:g}/s"
                    break
        if reason is None and self._over():
            reason = "not measured: the time for the run was over"
        if reason is not None:
            self._add(Cell(server.name, load.observers, load.changes, reason, excused=True))
        return reason is not None

    def _record(self, crowd: Audience, load: Load) -> None:
        recording: Recording = crowd.observers.ask("recording", *crowd.watched)[0]
        self._recordings.append((load, recording))

    def _limits(self) -> None:
        """The writes of the sessions just over, repeated by the bare loop."""
        for load, recording in self._recordings:
            try:
                limit = replay(recording, load.observers, load.changes)
            except Exception as error:
                _say(f"The bare loop failed: {error!r}")
            else:
                self.comparison.limits.append(limit)
                _say(f"bare loop {limit.observers} x {limit.changes:g}/s: {limit}")
        self._recordings.clear()

    def _accounts(self, count: int) -> growth.Accounts:
        return growth.accounts(self.stage, ALONE, count, min(self.plan.seconds.values()))

    def _nodes(self, count: int) -> growth.Nodes:
        load = self._load(self.plan.audience, max(self.plan.changes))
        return growth.nodes(self.stage, TOGETHER, count, load)

    def _grow(self, points: list[T], measure: Callable[[], T]) -> None:
        if self._over():
            return
        try:
            points.append(measure())
        except Exception as error:
            _say(f"A point of a curve is missing: {error!r}")
        else:
            _say(str(points[-1]))

    def _load(self, observers: int, changes: float) -> Load:
        seconds = self.plan.seconds[changes]
        plan = self.plan
        return Load(observers, changes, seconds, plan.stay, plan.quiet, plan.patience)

    def _over(self) -> bool:
        return time.monotonic() - self._begun > self.plan.enough

    def _add(self, cell: Cell) -> None:
        self.comparison.cells.append(cell)
        _say(str(cell))


def _sentence(error: Exception) -> str:
    """Its beginning and its end: between them stands the traceback of somebody else's program."""
    lines = str(error).splitlines() or [type(error).__name__]
    return " … ".join(dict.fromkeys((lines[0][:100], lines[-1][:100])))


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
