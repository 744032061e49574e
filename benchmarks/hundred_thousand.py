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
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # it has no types

from benchmarks import figures, views
from benchmarks.crowd import Crowd, Place, Seen, crowd
from benchmarks.servers import ROOT, SERVERS, address_in, populate
from benchmarks.verdicts import Verdict, at_most, counts, table, with_more
from benchmarks.views import Point
from presence_server.config import Config
from testing.machine import in_words, machine
from testing.meters import cpu_seconds, resident_bytes
from testing.swarm import Address

PAGE = ROOT / "docs" / "benchmarks.md"
RESULTS = ROOT / "docs" / "hundred-thousand.json"

WATCHED = 50
CHANGES = 100.0
_KIB = 1024
# Seconds: after which those who came are at rest, for which is looked whether all is calm, and
# within which a change is read then.
_SETTLED = 2.0
_LOOK = 3.0
_CALM = 1.0
# Of all people: so many leave before one process is killed, for the others to have room for the
# rest, as operators are advised to see to; and seconds after which all know that these are gone.
_LEAVE_ONE_OF = 50
_GONE = Config().grace + 3 * Config().lease
_NEVER = float("inf")


@dataclasses.dataclass(frozen=True)
class Size:
    """How much of it is measured."""

    people: int = 100_000
    processes: int = 6
    clients: int = 7
    # Sizes at which everybody watches everybody, too, each on a server of its own with one process.
    smaller: tuple[int, ...] = (1_000, 2_000, 3_000, 5_000, 10_000)
    seconds: float = 24.0
    seconds_of_smaller: float = 5.0
    connected_within: float = 240.0
    outage: float = 6.0
    over_within: float = 15.0
    calm_within: float = 45.0
    # The new process begins when the crowd is in at the others.
    back_within: float = 45.0
    ready_within: float = 45.0


WHOLE = Size()
SHORT = Size(600, 2, 2, (300,), 3.0, 3.0, 30.0, back_within=20.0, ready_within=20.0)


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
                time.sleep(_SETTLED)
                self._point(server, everybody, people, watched, self.size.seconds_of_smaller)

    def _point(
        self, server: Site, people: Crowd, count: int, watched: int, seconds: float
    ) -> Point:
        people.begin(CHANGES)
        before, began = server.cpu(), time.monotonic()
        time.sleep(seconds)
        cores = (server.cpu() - before) / (time.monotonic() - began)
        seen = people.ended()
        delays = [1000 * delay for delay in seen.delays()] or [_NEVER]
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
                time.sleep(2 * _SETTLED)
                each = (server.resident() - before) / size.people
                yield at_most(48, "KiB", "memory for each", each / _KIB, "all processes together")
                point = self._point(server, people, size.people, WATCHED, size.seconds)
                yield at_most(2.0, "cores", f"CPU of all at {CHANGES:.0f} changes/s", point.cores)
                kilobytes = point.bytes_a_minute / 1000
                yield at_most(2.0, "KB a minute", "one who looks at 50", kilobytes)
                delay = f"p50 {point.p50_ms:.0f}"
                yield at_most(1000, "ms", "from a change to who watches (p99)", point.p99_ms, delay)
                yield at_most(0, "lost", "changes", point.lost)
                people.begin(CHANGES)
                yield from self._pages(server, newcomers)
                people.ended()
                people.come_back_from_now_on()
                yield from self._outage(server, people)
                calm = self._calm(server, people)
                yield calm
                yield from self._restart(server, people, calm.met)

    def _pages(self, server: Site, cookies: Sequence[str]) -> Iterator[Verdict]:
        for name, path, most in (
            ("a page of people", "/api/users?here=1&limit=200", 60),
            ("a newcomer's first screen", "/", 80),
        ):
            asked = []
            for cookie in cookies:
                asked.append(server.get(path, cookie))
                time.sleep(0.1)
            seconds = 1000 * statistics.median(took for took, _, _ in asked)
            largest = max(len(body) for _, _, body in asked) / 1000
            answers = f"answers {counts(Counter(status for _, status, _ in asked))}"
            at_rate = f"{name} at {CHANGES:.0f} changes/s"
            yield at_most(50, "ms", f"{at_rate}, median", seconds, answers)
            yield at_most(most, "KB", f"{at_rate}, size", largest)

    def _outage(self, server: Site, people: Crowd) -> Iterator[Verdict]:
        people.begin(CHANGES)
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
            yield Verdict(what, within if noticed else "not noticed", "at most 10 s", False)
        yield at_most(0, "lines", "that broke around it", seen.broken.total(), counts(seen.broken))
        latest = f"{len(seen.done):,} changes; the latest was read {_latest(seen):.1f} s after it"
        yield at_most(0, "lost", "changes around it", seen.lost(WATCHED), latest)
        yield at_most(0, "times", "somebody was shown offline around it", seen.shown_offline)

    def _calm(self, server: Site, people: Crowd) -> Verdict:
        """What an outage leaves to be done is not to be measured with what follows."""
        what, budget = "all is calm again", f"within {self.size.calm_within:.0f} s"
        began = time.monotonic()
        while True:
            seen = people.act(_LOOK, CHANGES)
            took = time.monotonic() - began
            here = server.is_ready() and not server.is_cut_off() and seen.lines == self.size.people
            if here and not seen.lost(WATCHED) and _latest(seen) <= _CALM:
                return Verdict(what, f"after {took:.0f} s", budget, True)
            if took > self.size.calm_within:
                how = f"{seen.lost(WATCHED):,} changes lost, the latest read after"
                how += f" {_latest(seen):.1f} s, {seen.lines:,} people with a line"
                return Verdict(what, with_more(f"not after {took:.0f} s", how), budget, False)

    def _restart(self, server: Site, people: Crowd, calm: bool) -> Iterator[Verdict]:
        people.leave(_LEAVE_ONE_OF)
        time.sleep(_GONE)
        left = people.here()
        people.begin(CHANGES)
        killed = time.monotonic()
        server.kill_one()
        time.sleep(0.5)
        _wait(lambda: people.here() < left, killed + self.size.back_within)
        back, ready = _each_after(
            killed, self.size.ready_within, lambda: people.here() == left, server.is_ready
        )
        seen = people.ended()
        before = "" if calm else "not calm before"
        what = f"one process killed under {left:,} people: they are back"
        # Clients without a moment's rest are what holds their people up.
        more = f"lines broke: {counts(seen.broken)}; clients busy {seen.busy:.0%}"
        if seen.lines < left:
            more = f"{seen.lines:,} of {left:,}; {more}"
        yield _within(self.size.back_within, what, back, "; ".join(filter(None, [before, more])))
        yield _within(self.size.ready_within, "another is ready", ready)
        yield at_most(0, "times", "somebody was shown offline meanwhile", seen.shown_offline)


def _latest(seen: Seen) -> float:
    """Seconds after which the last to read of a change did so."""
    return (seen.delays() or [_NEVER])[-1]


def _each_after(
    began: float, limit: float, *conditions: Callable[[], bool]
) -> list[float]:
    """Seconds after which each came to be so; infinity if it did not within so many."""
    after = [_NEVER] * len(conditions)
    while _NEVER in after and time.monotonic() < began + limit:
        for number, is_so in enumerate(conditions):
            if after[number] == _NEVER and is_so():
                after[number] = time.monotonic() - began
        time.sleep(0.2)
    return after


def _within(seconds: float, what: str, after: float, more: str = "") -> Verdict:
    measured = with_more(f"{after:.0f} s" if after < _NEVER else "not yet", more)
    return Verdict(what, measured, f"within {seconds:.0f} s", after < seconds)


def _wait(is_so: Callable[[], bool], limit: float) -> bool:
    while not (so := is_so()) and time.monotonic() < limit:
        time.sleep(0.2)
    return so


def document(content: Mapping[str, Any]) -> str:
    """The page's part, from what is kept of a run."""
    about = f"Machine: {in_words(content['machine'])}. The run took {content['seconds']:.0f} s."
    verdicts = [Verdict(**verdict) for verdict in content["verdicts"]]
    points = [Point(**point) for point in content["points"]]
    return "\n".join([about, "", *table(verdicts), "", *views.document(points)])


def write(content: Mapping[str, Any]) -> None:
    RESULTS.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    if curve := views.chart([Point(**point) for point in content["points"]]):
        views.PICTURE.write_text(curve.svg())
    figures.put_between(PAGE, "make hundred-thousand", document(content))


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
    content = {
        "machine": machine(),
        "seconds": round(time.monotonic() - started),
        "verdicts": [dataclasses.asdict(verdict) for verdict in verdicts],
        "points": [dataclasses.asdict(point) for point in run.points],
    }
    print(f"\n{document(content)}")
    if options.write:
        write(content)
    return 0 if all(verdict.met for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
