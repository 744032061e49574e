"""A rolling restart under a crowd: one of two nodes ends, and its people go on at the other one.

What does each read of that, and is anybody shown offline?
"""

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.load import HANDSHAKES_AT_ONCE
from benchmarks.servers import Running, Server, running
from testing.swarm import LARGE, Client, Swarm

_CONNECTED_WITHIN = 60.0
_BACK_WITHIN = 60.0
# Seconds in which all are told of a change.
_SETTLED = 3.0
# The default, and a little more: for so long a node hears the others before it takes their cursors.
_LEASE = 12.0
_SUBPROTOCOL = "presence.v1"


@dataclass
class Moved:
    """What those read who had to move, from the goodbye on."""

    people: int
    back: int
    seconds: float
    # Bytes of messages: of the one who read most, and of everybody on average.
    most: int
    each: float
    shown_offline: int
    broken: Counter[str]


@dataclass
class _Person:
    cookie: str
    cursor: str = ""
    told: bool = False
    read: int = 0
    returns: float = 0.0


@dataclass
class _Told:
    """What all are told, in bytes that are read once for all."""

    cursors: dict[bytes, str] = field(default_factory=dict)
    shown_offline: int = 0

    def cursor_in(self, payload: bytes) -> str:
        cursor = self.cursors.get(payload)
        if cursor is None:
            message = json.loads(payload)
            self.shown_offline += len(message.get("offline", ()))
            cursor = self.cursors[payload] = message.get("cursor", "")
        return cursor


class _People:
    """The people of a site, at whichever node they are."""

    def __init__(self, cookies: Sequence[str]) -> None:
        self.people = [_Person(cookie) for cookie in cookies]
        self.told = _Told()
        self.broken = Counter[str]()

    def at(self, node: Running) -> Swarm:
        swarm = Swarm(node.target.address, _SUBPROTOCOL, self._read)
        swarm.on_close = self._closed
        return swarm

    def come(self, numbers: Sequence[int], swarm: Swarm, others: Sequence[Swarm]) -> None:
        waiting = list(reversed(numbers))
        limit = time.monotonic() + _CONNECTED_WITHIN
        while time.monotonic() < limit:
            while waiting and swarm.opening < HANDSHAKES_AT_ONCE:
                number = waiting.pop()
                swarm.connect(number, self.people[number].cookie)
            self._turn([swarm, *others])
            if not waiting and all(self.people[number].told for number in numbers):
                return
        raise TimeoutError("not all came in")

    def look_on(self, swarms: Sequence[Swarm], seconds: float) -> None:
        """One turns away and comes back meanwhile, so that everybody reads a newer cursor."""
        for status in ("away", "online"):
            number = next(iter(swarms[0].clients))
            swarms[0].send(number, json.dumps({"type": "status", "status": status}).encode())
            limit = time.monotonic() + seconds / 2
            while time.monotonic() < limit:
                self._turn(swarms)

    def move(self, node: Running, left: Swarm, reached: Swarm) -> Moved:
        """The node is asked to end; its people come to the other one when they were asked to."""
        moving = list(left.clients)
        for number in moving:
            self.people[number] = _Person(self.people[number].cookie, self.people[number].cursor)
        self.told, self.broken = _Told(), Counter()
        began = time.monotonic()
        node.process.terminate()
        to_come = set(moving)
        while (now := time.monotonic()) < began + _BACK_WITHIN:
            self._turn([left, reached])
            due = [n for n in to_come if n not in left.clients and self.people[n].returns <= now]
            for number in due:
                self._resume(number, reached)
            to_come.difference_update(due)
            if not to_come and all(self.people[number].told for number in moving):
                break
        seconds = time.monotonic() - began
        self.look_on([reached], _SETTLED)
        moved = [self.people[number] for number in moving]
        return Moved(
            people=len(moving),
            back=sum(person.told for person in moved),
            seconds=seconds,
            most=max(person.read for person in moved),
            each=sum(person.read for person in moved) / len(moved),
            shown_offline=self.told.shown_offline,
            broken=self.broken,
        )

    def _resume(self, number: int, swarm: Swarm) -> None:
        person = self.people[number]
        swarm.resume(number, person.cookie, person.cursor)

    def _turn(self, swarms: Sequence[Swarm]) -> None:
        for swarm in swarms:
            swarm.turn(0.01 / len(swarms))

    def _read(self, number: int, payload: bytes | None, now: float) -> None:
        person = self.people[number]
        if payload is None or payload.startswith(b'{"type":"snapshot"'):
            person.told = True
        if payload is None:
            # The swarm keeps none of these; a cursor comes with the next message.
            person.read += LARGE
            return
        person.read += len(payload)
        if payload.startswith(b'{"type":"bye"'):
            person.returns = now + float(json.loads(payload).get("retry_after", 0))
            return
        person.told = person.told or payload.startswith(b'{"type":"changes"')
        person.cursor = self.told.cursor_in(payload) or person.cursor

    def _closed(self, client: Client, reason: str) -> None:
        if client.closed_with != 1012:
            self.broken[f"{client.closed_with or reason}"] += 1


def restarted(
    server: Server, database: Path, cookies: Sequence[str], redis_url: str
) -> Iterator[Moved]:
    """Half of the people move from the first node to the second, then all to the first again."""
    people = _People(cookies)
    numbers = range(len(cookies))
    with running(server, database, redis_url) as second:
        there = people.at(second)
        with running(server, database, redis_url) as first:
            here = people.at(first)
            people.come(numbers[::2], here, [there])
            people.come(numbers[1::2], there, [here])
            people.look_on([here, there], _LEASE)
            yield people.move(first, here, there)
        with running(server, database, redis_url) as again:
            people.look_on([there], _LEASE)
            yield people.move(second, there, people.at(again))
