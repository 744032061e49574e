"""A crowd of whom each looks at some others: client processes that connect, watch, turn away and
come back, and note what each was told and when.

Everybody has a number; the next `watched` in the circle of numbers are whom one watches, so that
each is watched by as many. All processes of a machine read the same monotonic clock.
"""

import heapq
import json
import multiprocessing
import random
import time
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from benchmarks.load import HANDSHAKES_AT_ONCE, start_loading
from testing.swarm import Address, Client, Swarm

_HERE = ("online", "away")
_SUBPROTOCOL = "presence.v1"
# As the list page comes: it says how its user is.
_PATH = "/users/?watch=some&status=online"
# Seconds until all processes have begun, and for what was done last to be read by all.
_TOGETHER = 1.0
_QUIET = 5.0

_context = multiprocessing.get_context("spawn")

_SNAPSHOT, _CHANGES = b'{"type":"snapshot"', b'{"type":"changes"'

# Whose state it is, and which.
Change = tuple[int, str]


class Place(NamedTuple):
    """Where these people are, and how many there are in all."""

    address: Address
    people: int
    watched: int


@dataclass
class Seen:
    """What some people did, were told, and read of it."""

    # When each change was asked for, and by whom and when it was read.
    done: dict[Change, float] = field(default_factory=dict)
    read: "dict[Change, tuple[array[int], array[float]]]" = field(default_factory=dict)
    # While they acted; `busy` is the share of the time in which the busiest client had work.
    received: int = 0
    seconds: float = 0.0
    busy: float = 0.0
    lines: int = 0
    # How often somebody was shown as offline, and lines that broke, by what was seen of it.
    shown_offline: int = 0
    broken: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Seen") -> None:
        self.done |= other.done
        for change, (who, when) in other.read.items():
            known = self.read.setdefault(change, (array("I"), array("d")))
            known[0].extend(who)
            known[1].extend(when)
        self.received += other.received
        self.seconds = max(self.seconds, other.seconds)
        self.busy = max(self.busy, other.busy)
        self.lines += other.lines
        self.shown_offline += other.shown_offline
        self.broken += other.broken

    @property
    def bytes_a_minute(self) -> float:
        """Of one line."""
        return self.received / max(self.lines, 1) * 60 / self.seconds

    def delays(self) -> list[float]:
        """In seconds, from the wish to each who read it."""
        return sorted(
            at - self.done[change]
            for change, (_, when) in self.read.items()
            if change in self.done
            for at in when
        )

    def lost(self, readers: int) -> int:
        """How many of the `readers` of each change did not read it."""
        return sum(
            readers - len(set(self.read[change][0] if change in self.read else ()))
            for change in self.done
        )


class _Part:
    """The process of some of them."""

    def __init__(
        self, pipe: Connection, place: Place, numbers: range, cookies: Sequence[str]
    ) -> None:
        self.pipe = pipe
        self.place = place
        self.numbers = numbers
        self.cookies = dict(zip(numbers, cookies, strict=True))
        self.swarm = Swarm(place.address, _SUBPROTOCOL, self._read, _PATH)
        self.swarm.on_open = self._opened
        self.swarm.on_close = self._lost
        self.statuses = dict.fromkeys(numbers, "online")
        self.turns = self._changers()
        self.waiting: set[int] = set()
        # What each was told last of their few. As pages do, who comes back asks for what is newer.
        self.told: dict[int, bytes] = {}
        self.failures: dict[int, int] = {}
        # By when they return.
        self.returning: list[tuple[float, int]] = []
        self.comes_back = False
        self.one_left_of: int | None = None
        self.everybody = False
        self.seen = Seen()
        # The same bytes for many are read once.
        self.known: dict[bytes, list[Change]] = {}

    def run(self) -> None:
        self.swarm.listen_to(self.pipe.fileno())
        while True:
            if self.swarm.turn(1.0):
                name, *arguments = self.pipe.recv()
                if name == "stop":
                    return
                self.pipe.send(getattr(self, name)(*arguments))

    def connect(self, limit: float) -> tuple[int, float]:
        """How many have what they watch, and after how many seconds."""
        self.waiting = set(self.numbers)
        return self._until_told(list(reversed(self.numbers)), limit)

    def watch(self, everybody: bool, limit: float) -> tuple[int, float]:
        """Let all watch everybody, or their own few again."""
        self.everybody = everybody
        self.waiting = set(self.swarm.clients)
        for number in self.numbers:
            self._ask(number)
        return self._until_told([], limit)

    def act(self, changes: float) -> Seen:
        """So many change their status a second, each once, until it is enough."""
        self.seen, self.known = Seen(), {}
        self._look_on(_TOGETHER)
        received, passes = self.swarm.received, len(self.swarm.pass_seconds)
        began = next_change = time.monotonic()
        while not (self._turn(next_change) and self._is_enough()):
            if (now := time.monotonic()) >= next_change:
                self._change(now)
                next_change += 1 / changes
        self.seen.seconds = time.monotonic() - began
        self.seen.received = self.swarm.received - received
        self.seen.busy = sum(self.swarm.pass_seconds[passes:]) / self.seen.seconds
        self._look_on(_QUIET)
        self.seen.lines = self.here()
        return self.seen

    def _look_on(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._turn(end)

    def here(self) -> int:
        """How many have a line and what they watch."""
        clients = self.swarm.clients.values()
        return sum(client.open and client.number not in self.waiting for client in clients)

    def _is_enough(self) -> bool:
        asked: tuple[str] = self.pipe.recv()
        if asked == ("here",):
            self.pipe.send(self.here())
        return asked == ("enough",)

    def _turn(self, until: float) -> bool:
        """Whether something is wanted of them."""
        now = time.monotonic()
        wanted = self.swarm.turn(min(0.05, max(until - now, 0)))
        self._come_back(now)
        return wanted

    def come_back_from_now_on(self) -> None:
        self.comes_back = True

    def leave(self, one_of: int) -> None:
        """One of so many closes their page, and does not come again."""
        self.one_left_of = one_of
        for number in filter(self._has_left, self.numbers):
            self.swarm.close(number)

    def _has_left(self, number: int) -> bool:
        return self.one_left_of is not None and number % self.one_left_of == 0

    def _until_told(self, to_connect: list[int], limit: float) -> tuple[int, float]:
        started = time.monotonic()
        while (now := time.monotonic()) < started + limit:
            while to_connect and self.swarm.opening < HANDSHAKES_AT_ONCE // 2:
                number = to_connect.pop()
                self.swarm.connect(number, self.cookies[number])
            self.swarm.turn(0.02)
            self._come_back(now)
            if not (to_connect or self.waiting or self.returning):
                break
        told = len(self.numbers) - len(self.waiting)
        return told, time.monotonic() - started

    def _changers(self) -> Iterator[int]:
        while True:
            yield from self.numbers

    def _change(self, now: float) -> None:
        number = next(self.turns)
        client = self.swarm.clients.get(number)
        if client is None or not client.open:
            return
        status = "away" if self.statuses[number] == "online" else "online"
        self.statuses[number] = status
        self.seen.done[number, status] = now
        self.swarm.send(number, json.dumps({"type": "status", "status": status}).encode())

    def _opened(self, number: int, now: float) -> None:
        self.statuses[number] = "online"
        self.failures.pop(number, None)
        told = self.told.pop(number, None)
        about = {} if told is None else {"cursor": json.loads(told)["cursor"]}
        self._ask(number, **about)

    def _ask(self, number: int, **about: str) -> None:
        users = None if self.everybody else self._watched_by(number)
        wish = {"type": "watch", "users": users, **about}
        self.swarm.send(number, json.dumps(wish).encode())

    def _watched_by(self, number: int) -> list[str]:
        people = self.place.people
        return [f"user{(number + step) % people}" for step in range(1, self.place.watched + 1)]

    def _lost(self, client: Client, reason: str) -> None:
        number = client.number
        self.seen.broken[reason if client.closed_with is None else f"{client.closed_with}"] += 1
        if self.comes_back or number in self.waiting:
            # As pages do: at random, later each time.
            tries = self.failures[number] = self.failures.get(number, -1) + 1
            pause = random.uniform(0, min(30, 0.5 * 2**tries))
            heapq.heappush(self.returning, (time.monotonic() + pause, number))
            self.waiting.add(number)

    def _come_back(self, now: float) -> None:
        while self.returning and self.returning[0][0] <= now:
            _, number = heapq.heappop(self.returning)
            self.swarm.connect(number, self.cookies[number])

    def _read(self, number: int, payload: bytes | None, now: float) -> None:
        if payload is None or payload.startswith((_SNAPSHOT, _CHANGES)):
            self.waiting.discard(number)
        if payload is None or self.everybody:
            self.told.pop(number, None)
        elif b'"cursor":' in payload:
            self.told[number] = payload
        if payload is None or not payload.startswith(_CHANGES):
            return
        changes = self.known.get(payload)
        if changes is None:
            changes = self.known[payload] = self._changes_in(json.loads(payload))
        for change in changes:
            who, when = self.seen.read.setdefault(change, (array("I"), array("d")))
            who.append(number)
            when.append(now)

    def _changes_in(self, message: Mapping[str, Any]) -> list[Change]:
        # Whoever comes back is told of those, too, who left shortly before their line broke.
        offline = map(_number, message.get("offline", ()))
        self.seen.shown_offline += sum(not self._has_left(number) for number in offline)
        return [
            (_number(user), status)
            for status in _HERE
            for user in message.get(status, ())
        ]


def _number(user: str) -> int:
    return int(user.removeprefix("user"))


def _live(pipe: Connection, place: Place, numbers: range, cookies: Sequence[str]) -> None:
    start_loading()
    _Part(pipe, place, numbers, cookies).run()


class Crowd:
    """All of them, as the one who leads the run sees them."""

    def __init__(self, pipes: Sequence[Connection]) -> None:
        self._pipes = pipes

    def connect(self, limit: float) -> tuple[int, float]:
        return self._all_told("connect", limit)

    def watch(self, everybody: bool, limit: float) -> tuple[int, float]:
        return self._all_told("watch", everybody, limit)

    def act(self, seconds: float, changes: float) -> Seen:
        self.begin(changes)
        time.sleep(seconds)
        return self.ended()

    def begin(self, changes: float) -> None:
        """So many change their status a second, until `ended`, while the caller does something."""
        for pipe in self._pipes:
            pipe.send(("act", changes / len(self._pipes)))
        time.sleep(_TOGETHER)

    def ended(self) -> Seen:
        """What was seen of it, by some seconds later."""
        seen = Seen()
        for part in self._do("enough"):
            seen.add(part)
        return seen

    def here(self) -> int:
        """How many have a line and what they watch."""
        return sum(self._do("here"))

    def come_back_from_now_on(self) -> None:
        self._do("come_back_from_now_on")

    def leave(self, one_of: int) -> None:
        self._do("leave", one_of)

    def _all_told(self, *command: object) -> tuple[int, float]:
        told = self._do(*command)
        return sum(count for count, _ in told), max(seconds for _, seconds in told)

    def _do(self, *command: object) -> list[Any]:
        for pipe in self._pipes:
            pipe.send(command)
        return [pipe.recv() for pipe in self._pipes]


@contextmanager
def crowd(place: Place, cookies: Sequence[str], processes: int) -> Iterator[Crowd]:
    """People with these cookies, the first of whom is number 0, in so many processes."""
    each = -(-len(cookies) // processes)
    pipes, parts = [], []
    for first in range(0, len(cookies), each):
        numbers = range(first, min(first + each, len(cookies)))
        ours, theirs = _context.Pipe()
        arguments = (theirs, place, numbers, cookies[numbers.start : numbers.stop])
        part = _context.Process(target=_live, args=arguments, daemon=True)
        part.start()
        theirs.close()
        pipes.append(ours)
        parts.append(part)
    try:
        yield Crowd(pipes)
    finally:
        for pipe, part in zip(pipes, parts):
            part.kill()
            part.join()
            pipe.close()
