"""The people of a load test: observers who stay, and probes who come and go.

Each part is a process of its own, spoken to through a pipe. All processes of one machine read the
same monotonic clock, so what one process did and another one saw can be subtracted.
"""

import gc
import heapq
import multiprocessing
import os
import random
import re
import resource
import time
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.dialects import Dialect, speak, swarm_of
from benchmarks.deliveries import PROBE, Messages, Report, Visit, weigh
from testing.swarm import Address, Client, Swarm

HANDSHAKES_AT_ONCE = 256
PER_PROCESS = 15_000  # descriptors: a usual hard limit is 20,000

_BEGINNING = 40
_CURSOR = re.compile(rb'"cursor":"([^"]+)"')

_context = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True)
class Target:
    address: Address
    dialect: Dialect


@dataclass(frozen=True, slots=True)
class Connected:
    """How many got through, in how many seconds, and what the others met."""

    count: int
    seconds: float
    failures: Counter[str]


def start_loading() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # Nothing here makes cycles; a collection over millions of objects would be a pause.
    gc.disable()


@contextmanager
def _on_one_processor() -> Iterator[None]:
    """What a connection sends comes in at one processor, as it does from a network card: over
    loopback it comes in where its sender just runs, and of two packets at two processors at once
    the kernel may take the second first, and answer it with a reset."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def _swarm(
    target: Target,
    on_open: Callable[[int, float], None],
    on_message: Callable[[int, bytes | None, float], None],
) -> Swarm:
    swarm = swarm_of(target.dialect, target.address, on_message)
    swarm.on_open = on_open
    speak(swarm, target.dialect)
    return swarm


class _Observers:
    """The process of those who stay."""

    def __init__(
        self, pipe: Connection, target: Target, numbers: range, cookies: list[str]
    ) -> None:
        self.pipe = pipe
        self.numbers = numbers
        self.cookies = dict(zip(numbers, cookies, strict=True))
        self.messages = Messages()
        self.inside: set[int] = set()
        # What each read last, or the beginning of it, for its cursor.
        self.newest: dict[int, bytes] = {}
        self.lost: Counter[str] = Counter()
        # What the first of them was told, and when.
        self.heard: list[tuple[float, bytes]] = []
        self.greeted = target.dialect.greets
        self.swarm = _swarm(target, self._opened, self._note)
        self.swarm.on_close = self._lose
        self.swarm.on_large = self.newest.__setitem__
        self.swarm.listen_to(pipe.fileno())

    def run(self) -> None:
        while True:
            if self.swarm.turn(1.0):
                name, *arguments = self.pipe.recv()
                if name == "stop":
                    return
                self.pipe.send(getattr(self, name)(*arguments))

    @_on_one_processor()
    def connect(self, at_once: int, limit: float, resume: bool = False) -> Connected:
        """Until all are connected and, where the dialect greets, have their first message.

        With `resume` they come back as pages do, with the cursor that they have.
        """
        started = time.monotonic()
        waiting = list(reversed(self.numbers))
        self.inside.clear()
        self.lost.clear()
        while True:
            while waiting and self.swarm.opening < at_once:
                self._come(waiting.pop(), resume)
            self.swarm.turn(0.05)
            done = len(self.inside)
            elapsed = time.monotonic() - started
            all_tried = not waiting and done + self.lost.total() >= len(self.numbers)
            if all_tried or elapsed > limit:
                return Connected(done, elapsed, self.lost)

    def _come(self, number: int, resume: bool) -> None:
        found = _CURSOR.search(self.newest.get(number, b"")) if resume else None
        if found is None:
            self.swarm.connect(number, self.cookies[number])
        else:
            self.swarm.resume(number, self.cookies[number], found[1].decode())

    def disconnect(self) -> None:
        for number in list(self.swarm.clients):
            self.swarm.close(number)

    def quiet_since(self) -> float:
        return self.messages.newest

    def report(self, visits: Sequence[Visit], begin: float, end: float) -> Report:
        report = weigh(self.messages, visits, len(self.numbers), begin, end)
        report.losses = self.lost
        first = bisect_left(self.swarm.pass_starts, begin)
        last = bisect_right(self.swarm.pass_starts, end)
        passes = self.swarm.pass_seconds[first:last]
        report.longest_pass = max(passes, default=0.0)
        report.busy = sum(passes) / (end - begin)
        return report

    def recording(self, begin: float, end: float) -> list[tuple[float, bytes]]:
        """What the first of these observers was told in this time, and when since its begin."""
        return [(at - begin, payload) for at, payload in self.heard if begin <= at < end]

    def _opened(self, number: int, now: float) -> None:
        if not self.greeted:
            self.inside.add(number)

    def _note(self, number: int, payload: bytes | None, now: float) -> None:
        if self.greeted:
            self.inside.add(number)
            if payload is not None and b'"cursor"' in payload[:_BEGINNING]:
                self.newest[number] = payload
        if number == self.numbers.start and payload is not None:
            self.heard.append((now, payload))
        self.messages.note(number, payload, now)

    def _lose(self, client: Client, reason: str) -> None:
        self.inside.discard(client.number)
        self.lost[reason if client.closed_with is None else f"closed {client.closed_with}"] += 1


class _Probes:
    """The process of those who come, stay a moment and go, each of them once."""

    def __init__(
        self, pipe: Connection, target: Target, numbers: range, cookies: list[str]
    ) -> None:
        self.pipe = pipe
        self.numbers = numbers
        self.cookies = dict(zip(numbers, cookies, strict=True))
        self.swarm = _swarm(target, self._opened, self._note)
        self.swarm.on_close = self._lose
        self.swarm.listen_to(pipe.fileno())
        self.messages = Messages()
        self.requested: dict[int, float] = {}
        self.opened: dict[int, float] = {}
        self.leaving: list[tuple[float, int]] = []
        self.stay = 0.0
        self.visits: list[Visit] = []
        self.failures: Counter[str] = Counter()

    def run(self) -> None:
        """Until told to stop; answers when the last one has left, or has waited too long.

        They come at random, for a rhythm could fall into step with the server's own.
        """
        interval, self.stay = self.pipe.recv()
        self.pipe.send("coming")
        give_up = float("inf")
        chance = random.Random(1)
        arrivals = iter(self.numbers)
        next_arrival = time.monotonic()
        coming = True
        while coming or self.requested:
            now = time.monotonic()
            if now > give_up:
                self._give_up(now)
                break
            while coming and now >= next_arrival:
                # Those who are late come at once: an observer's delay counts from the request.
                self._come(next(arrivals), now)
                next_arrival += chance.expovariate(1 / interval)
            while self.leaving and self.leaving[0][0] <= now:
                self._leave(heapq.heappop(self.leaving)[1], now)
            due = [next_arrival] * coming + [at for at, _ in self.leaving[:1]]
            if self.swarm.turn(min(due, default=now + 1) - now):
                give_up = now + self.pipe.recv()
                coming = False
        self.pipe.send((self.visits, dict(self.failures)))
        begin, end = self.pipe.recv()
        self.pipe.send(self.messages.deliveries(begin, end))

    def _come(self, number: int, now: float) -> None:
        self.requested[number] = now
        self.swarm.connect(number, self.cookies[number])

    def _opened(self, number: int, now: float) -> None:
        self.opened[number] = now
        heapq.heappush(self.leaving, (now + self.stay, number))

    def _leave(self, number: int, now: float) -> None:
        if number not in self.requested:
            return
        self.swarm.close(number)
        opened = self.opened.pop(number)
        self.visits.append(Visit(f"{PROBE}{number}", self.requested.pop(number), opened, now))

    def _give_up(self, now: float) -> None:
        """Nobody can have seen them, and they count all the same."""
        for number, requested in self.requested.items():
            if number not in self.opened:
                self.failures["not let in"] += 1
            self.visits.append(Visit(f"{PROBE}{number}", requested, now, now))

    def _lose(self, client: Client, reason: str) -> None:
        self.failures[reason] += 1
        self.requested.pop(client.number, None)

    def _note(self, number: int, payload: bytes | None, now: float) -> None:
        self.messages.note(number, payload, now)


def _observe(pipe: Connection, target: Target, numbers: range, cookies: list[str]) -> None:
    start_loading()
    _Observers(pipe, target, numbers, cookies).run()


def _probe(pipe: Connection, target: Target, numbers: range, cookies: list[str]) -> None:
    start_loading()
    _Probes(pipe, target, numbers, cookies).run()


class Observers:
    """All observers, over as many processes as their descriptors ask for."""

    def __init__(self, target: Target, cookies: Sequence[str]) -> None:
        self.count = len(cookies)
        self._parts = []
        for start in range(0, len(cookies), PER_PROCESS):
            numbers = range(start, min(start + PER_PROCESS, len(cookies)))
            here, there = _context.Pipe()
            process = _context.Process(
                target=_observe,
                args=(there, target, numbers, list(cookies[numbers.start : numbers.stop])),
            )
            process.start()
            there.close()
            self._parts.append((process, here))

    @property
    def pids(self) -> list[int]:
        return [process.pid for process, _ in self._parts if process.pid is not None]

    def ask(self, name: str, *arguments: Any) -> list[Any]:
        for _, pipe in self._parts:
            pipe.send((name, *arguments))
        return [pipe.recv() for _, pipe in self._parts]

    def connect(
        self, at_once: int = HANDSHAKES_AT_ONCE, limit: float = 120.0, resume: bool = False
    ) -> Connected:
        each = max(1, at_once // len(self._parts))
        parts: list[Connected] = self.ask("connect", each, limit, resume)
        return Connected(
            sum(part.count for part in parts),
            max(part.seconds for part in parts),
            sum((part.failures for part in parts), Counter()),
        )

    def settle(self, quiet: float, limit: float) -> None:
        """Until no observer has heard of a probe for so long, from now on."""
        started = time.monotonic()
        give_up = started + limit
        while time.monotonic() < give_up:
            time.sleep(quiet / 4)
            if time.monotonic() - max(started, *self.ask("quiet_since")) > quiet:
                return

    def report(self, visits: Sequence[Visit], begin: float, end: float) -> Report:
        total = Report()
        for part in self.ask("report", visits, begin, end):
            total.add(part)
        return total

    def stop(self) -> None:
        for process, pipe in self._parts:
            if process.is_alive():
                pipe.send(("stop",))
        for process, _ in self._parts:
            process.join(20)
            process.kill()


class Probes:
    """Probes with the names PROBE`first` and so on."""

    def __init__(self, target: Target, cookies: Sequence[str], first: int) -> None:
        self._pipe, there = _context.Pipe()
        self._process = _context.Process(
            target=_probe,
            args=(there, target, range(first, first + len(cookies)), list(cookies)),
        )
        self._process.start()
        there.close()

    def come(self, each: float, stay: float) -> None:
        """One every so many seconds on average, from now on: their process has started."""
        self._pipe.send((each, stay))
        self._pipe.recv()

    def leave(self, limit: float) -> tuple[list[Visit], dict[str, int]]:
        """Nobody else comes; those who are not in within the limit are given up."""
        self._pipe.send(limit)
        visits, failures = self._pipe.recv()
        return visits, failures

    def deliveries(self, begin: float, end: float) -> int:
        self._pipe.send((begin, end))
        count: int = self._pipe.recv()
        return count

    def stop(self) -> None:
        self._process.kill()
        self._process.join()


@contextmanager
def watching(target: Target, cookies: Sequence[str]) -> Iterator[Observers]:
    observers = Observers(target, cookies)
    try:
        yield observers
    finally:
        observers.stop()


@contextmanager
def visiting(target: Target, cookies: Sequence[str], first: int) -> Iterator[Probes]:
    probes = Probes(target, cookies, first)
    try:
        yield probes
    finally:
        probes.stop()
