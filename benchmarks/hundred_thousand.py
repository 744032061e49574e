"""A hundred thousand people here at once, each of whom looks at fifty; and from which number of
people on that is cheaper than telling everybody of everybody.

Everything is real: accounts, sessions, cookies, SQLite, several processes under their parent, with
the Redis that it starts. Servers and clients share the machine.
"""

import argparse
import dataclasses
import http.client
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # it has no types

from benchmarks import figures
from benchmarks.budgets import Verdict, at_most
from benchmarks.crowd import Crowd, Place, crowd
from benchmarks.servers import ROOT, SERVERS, address_in, populate
from testing.machine import machine
from testing.meters import cpu_seconds, resident_bytes
from testing.swarm import Address

PAGE = ROOT / "docs" / "benchmarks.md"
RESULTS = ROOT / "docs" / "hundred-thousand.json"

WATCHED = 50
CHANGES = 100.0
_KIB = 1024
_SETTLED = 4.0


@dataclasses.dataclass(frozen=True)
class Size:
    """How much of it is measured."""

    people: int = 100_000
    processes: int = 6
    clients: int = 7
    # Sizes at which everybody watches everybody, too, each on a server of its own with one process.
    smaller: tuple[int, ...] = (1_000, 2_000, 3_000, 5_000, 10_000)
    seconds: float = 30.0
    seconds_of_smaller: float = 12.0
    connected_within: float = 240.0
    outage: float = 6.0
    over_within: float = 15.0
    back_within: float = 45.0


WHOLE = Size()
SHORT = Size(600, 2, 2, (300,), 7.0, 7.0, 30.0, back_within=20.0)


@dataclasses.dataclass(frozen=True)
class Point:
    """What so many people cost who watch some, or everybody."""

    people: int
    watched: int
    cores: float
    bytes_a_minute: float
    p50_ms: float
    p99_ms: float
    lost: int


class Site:
    """A server of several processes, and what it uses."""

    def __init__(self, process: "subprocess.Popen[str]", address: Address, admin: Address) -> None:
        self.process = process
        self.address = address
        self.admin = admin

    @property
    def processes(self) -> list[Any]:
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def cpu(self) -> float:
        return sum(cpu_seconds(process.pid) for process in self.processes)

    def resident(self) -> int:
        return sum(resident_bytes(process.pid) for process in self.processes)

    def kill_one(self) -> None:
        one = next(child for child in self.processes[1:] if "python" in child.name())
        os.kill(one.pid, signal.SIGKILL)

    @contextmanager
    def without_redis(self) -> Iterator[None]:
        """It stands still, as one whose machine is out of reach: nobody is told that it is gone."""
        redis = next(child for child in self.processes[1:] if "-server" in child.name())
        os.kill(redis.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(redis.pid, signal.SIGCONT)

    def get(self, path: str, cookie: str) -> tuple[float, int, bytes]:
        """Seconds, status and body of a page."""
        began = time.monotonic()
        connection = http.client.HTTPConnection(*self.address, timeout=30)
        connection.request("GET", path, headers={"Cookie": cookie})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return time.monotonic() - began, answer.status, body

    def is_ready(self) -> bool:
        return bool(self._readiness()["ready"])

    def is_cut_off(self) -> bool:
        return bool(self._readiness()["degraded"])

    def _readiness(self) -> dict[str, Any]:
        connection = http.client.HTTPConnection(*self.admin, timeout=30)
        connection.request("GET", "/readyz")
        answer: dict[str, Any] = json.load(connection.getresponse())
        connection.close()
        return answer


@contextmanager
def site(database: Path, processes: int, log: Path) -> Iterator[Site]:
    ours = SERVERS["ours-alone"]
    flags = [part for part in ours.command if not part.startswith("--grace")]
    command = [sys.executable, "-m", *flags, "--port=0", "--admin-port=0"]
    command += [f"--database={database}", f"--processes={processes}"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PRESENCE_")}
    with log.open("w") as written, subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=written, text=True
    ) as process:
        try:
            assert process.stdout is not None
            address = address_in(process.stdout)
            admin = re.search(r"http://([\d.]+):(\d+)", process.stdout.readline())
            assert address is not None and admin is not None, log.read_text()[-2000:]
            yield Site(process, address, (admin[1], int(admin[2])))
        finally:
            process.terminate()
            process.wait(30)


class Run:
    def __init__(self, size: Size, folder: Path) -> None:
        self.size = size
        self.folder = folder
        self.points: list[Point] = []

    def verdicts(self, only: str | None) -> Iterator[Verdict]:
        for people in self.size.smaller if only != "many" else ():
            self._compare(people)
        if only != "curve":
            yield from self._many()

    def _database(self, people: int) -> tuple[Path, list[str]]:
        """With as many who are logged in; one that an earlier run left serves, too."""
        database, known = self.folder / f"{people}.sqlite3", self.folder / f"{people}.cookies"
        if not known.exists():
            known.write_text("\n".join(populate(SERVERS["ours"], database, people, people)))
        return database, known.read_text().split("\n")

    def _compare(self, people: int) -> None:
        database, cookies = self._database(people)
        with (
            site(database, 1, self.folder / f"{people}.log") as server,
            crowd(Place(server.address, people, WATCHED), cookies, 2) as everybody,
        ):
            everybody.connect(self.size.connected_within)
            for watched in (WATCHED, people):
                everybody.watch(watched == people, self.size.connected_within)
                # A flush to all is paid for with a pause.
                everybody.act(_SETTLED, 0.0)
                seconds = self.size.seconds_of_smaller
                self._point(server, everybody, people, watched, seconds)

    def _point(
        self, server: Site, people: Crowd, count: int, watched: int, seconds: float
    ) -> Point:
        before = server.cpu()
        seen = people.act(seconds, CHANGES)
        cores = (server.cpu() - before) / seen.seconds
        delays = [1000 * delay for delay in seen.delays()] or [float("inf")]
        point = Point(
            count,
            watched,
            cores,
            seen.bytes_a_minute,
            delays[len(delays) // 2],
            delays[int(len(delays) * 0.99)],
            seen.lost(watched),
        )
        print(point, f"{len(seen.done)} changes, clients busy {seen.busy:.0%}", flush=True)
        self.points.append(point)
        return point

    def _many(self) -> Iterator[Verdict]:
        size = self.size
        database, cookies = self._database(size.people + 20)
        newcomers, cookies = cookies[size.people :], cookies[: size.people]
        with site(database, size.processes, self.folder / "many.log") as server:
            before = server.resident()
            place = Place(server.address, size.people, WATCHED)
            with crowd(place, cookies, size.clients) as people:
                count, seconds = people.connect(size.connected_within)
                told = f"{count:,} in {seconds:.0f} s"
                yield Verdict("connected and told", told, "all", count == size.people)
                people.act(2 * _SETTLED, 0.0)
                each = (server.resident() - before) / size.people
                yield at_most(48, "KiB", "memory for each", each / _KIB, "all processes together")
                point = self._point(server, people, size.people, WATCHED, size.seconds)
                yield at_most(2.0, "cores", f"CPU of all at {CHANGES:.0f} changes/s", point.cores)
                kilobytes = point.bytes_a_minute / 1000
                yield at_most(2.0, "KB a minute", "one who looks at 50", kilobytes)
                delay = f"p50 {point.p50_ms:.0f}"
                yield at_most(1000, "ms", "from a change to who watches (p99)", point.p99_ms, delay)
                yield at_most(0, "lost", "changes", point.lost)
                yield from self._pages(server, people, newcomers)
                yield from self._outage(server, people)
                yield from self._restart(server, people)

    def _pages(self, server: Site, people: Crowd, cookies: Sequence[str]) -> Iterator[Verdict]:
        for name, path, most in (
            ("a page of people", "/api/users?here=1&limit=200", 60),
            ("a newcomer's first screen", "/", 80),
        ):
            people.begin(len(cookies) * 0.3)
            asked = []
            for cookie in cookies:
                asked.append(server.get(path, cookie))
                time.sleep(0.1)
            people.ended()
            seconds = 1000 * statistics.median(took for took, _, _ in asked)
            largest = max(len(body) for _, _, body in asked) / 1000
            statuses = {status for _, status, _ in asked}
            yield at_most(50, "ms", f"{name}, median", seconds, f"statuses {statuses}")
            yield at_most(most, "KB", f"{name}, size", largest)

    def _outage(self, server: Site, people: Crowd) -> Iterator[Verdict]:
        people.begin(self.size.outage + self.size.over_within + 2 * _SETTLED, CHANGES)
        time.sleep(_SETTLED)
        with server.without_redis():
            time.sleep(self.size.outage)
            noticed = server.is_cut_off()
        began = time.monotonic()
        over = _wait(lambda: not server.is_cut_off(), began + self.size.over_within)
        took = time.monotonic() - began
        seen = people.ended()
        what = f"Redis stood still for {self.size.outage:.0f} s: no process is cut off any more"
        if noticed and over:
            yield at_most(10, "s", what, took)
        else:
            within = f"not within {self.size.over_within:.0f} s"
            measured = within if noticed else "not noticed"
            yield Verdict(what, measured, "at most 10 s", False)
        how = str(dict(seen.broken))
        yield at_most(0, "lines", "that broke around it", seen.broken.total(), how)
        delays = seen.delays() or [float("inf")]
        latest = f"{len(seen.done):,} changes; the latest was read {delays[-1]:.1f} s after it"
        yield at_most(0, "lost", "changes around it", seen.lost(WATCHED), latest)
        yield at_most(0, "times", "somebody was shown offline around it", seen.shown_offline)

    def _restart(self, server: Site, people: Crowd) -> Iterator[Verdict]:
        people.come_back_from_now_on()
        people.begin(self.size.back_within)
        killed = time.monotonic()
        server.kill_one()
        time.sleep(0.5)
        ready = _wait(server.is_ready, killed + self.size.back_within)
        took = time.monotonic() - killed
        seen = people.ended()
        what = "one process killed: another is ready"
        if ready:
            yield at_most(15, "s", what, took)
        else:
            measured = f"not within {self.size.back_within:.0f} s"
            yield Verdict(what, measured, "at most 15 s", False)
        # Clients without a moment's rest are what holds their people up.
        back = f"{seen.lines:,} of {self.size.people:,}; {seen.broken.total():,} lines had broken"
        back += f"; clients busy {seen.busy:.0%}"
        yield Verdict("their people are back", back, "all", seen.lines == self.size.people)
        yield at_most(0, "times", "somebody was shown offline meanwhile", seen.shown_offline)


def _wait(is_so: Callable[[], bool], limit: float) -> bool:
    while not (so := is_so()) and time.monotonic() < limit:
        time.sleep(0.2)
    return so


def cheaper_from(points: Sequence[Point]) -> int | None:
    """The least number of people from which on watching some takes less of the processor."""
    everybody = {point.people: point.cores for point in points if point.watched == point.people}
    found = [
        point.people
        for point in points
        if point.watched != point.people and point.cores < everybody.get(point.people, 0)
    ]
    return min(found, default=None)


def document(verdicts: Sequence[Verdict], points: Sequence[Point], seconds: float) -> str:
    about = ", ".join(f"{name} {value}" for name, value in machine().items())
    lines = [f"Machine: {about}. The run took {seconds:.0f} s.", ""]
    lines += ["| | measured | budget | |", "|---|---|---|---|"]
    lines += [
        f"| {v.what} | {v.measured} | {v.budget} | {'met' if v.met else '**missed**'} |"
        for v in verdicts
    ]
    lines += [
        "",
        "| people | each watches | cores | bytes a minute each | p50 ms | p99 ms | lost |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {p.people:,} | {'everybody' if p.watched == p.people else p.watched} | {p.cores:.2f} "
        f"| {p.bytes_a_minute:,.0f} | {p.p50_ms:,.0f} | {p.p99_ms:,.0f} | {p.lost} |"
        for p in points
    ]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.hundred_thousand", description=__doc__
    )
    parser.add_argument("--short", action="store_true", help="with 600 people: only a trial")
    parser.add_argument("--write", action="store_true", help="put the figures into docs/")
    parser.add_argument("--people", type=int, help="another number than 100,000")
    parser.add_argument("--folder", type=Path, help="where accounts are kept for another run")
    parser.add_argument("--only", choices=("curve", "many"), help="one of its two parts")
    options = parser.parse_args(argv)
    size = SHORT if options.short else WHOLE
    if options.people:
        size = dataclasses.replace(size, people=options.people)
    started = time.monotonic()
    verdicts = []
    with tempfile.TemporaryDirectory() as folder:
        run = Run(size, options.folder or Path(folder))
        for verdict in run.verdicts(options.only):
            print(verdict, flush=True)
            verdicts.append(verdict)
    text = document(verdicts, run.points, time.monotonic() - started)
    print(f"\n{text}")
    if options.write:
        content = {
            "machine": machine(),
            "verdicts": [dataclasses.asdict(verdict) for verdict in verdicts],
            "points": [dataclasses.asdict(point) for point in run.points],
        }
        RESULTS.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        figures.put_between(PAGE, "make hundred-thousand", text)
    return 0 if all(verdict.met for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
