"""Visits in virtual time: each host follows them and the one on duty writes, as visits/ does; and
what must stand there, by the samples that a judge takes.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from presence_server.presence.moment import Moment
from presence_server.presence.node import Node
from presence_server.presence.records import OWN
from presence_server.presence.visits import Place, Visit, Visits

# Seconds. As in duty.py and app.py.
KEEP_UP = 0.5
LEFT_TO_OTHERS = 1.0
NOTICED_WITHIN = 1.0
RENEW = 0.2
WRITTEN_WITHIN = 10.0


@dataclass
class DutyRow:
    node: str
    number: int
    renewed_at: float
    ends_at: float
    degraded: bool


@dataclass
class Kept:
    account: int
    came: int
    left: int | None


@dataclass
class Book:
    """What the database has of visits, and of whose turn it is to write them."""

    duty: DutyRow | None = None
    visits: dict[Place, list[Kept]] = field(default_factory=dict)

    def going_on(self) -> list[Visit]:
        return [
            Visit(*place, kept.account, kept.came)
            for place, some in self.visits.items()
            for kept in some
            if kept.left is None
        ]

    def write(self, visits: Iterable[Visit], accounts: Mapping[str, int]) -> None:
        """As the statements in visits/written.py do; `accounts` are those that there are."""
        visits = list(visits)
        for visit in visits:
            for kept in self.visits.get(visit.place, ()):
                if visit.left is not None and kept.left is None and kept.came <= visit.left:
                    kept.left = visit.left
        for visit in sorted(visits, key=lambda visit: visit.left is None):
            some = self.visits.setdefault(visit.place, [])
            is_known = any(_is_within(visit, kept) for kept in some)
            if not is_known and (visit.room != OWN or accounts.get(visit.user) == visit.account):
                some.append(Kept(visit.account, visit.came, visit.left))

    def delete(self, user: str) -> None:
        """All of an own account."""
        self.visits.pop((OWN, user), None)


def _is_within(visit: Visit, kept: Kept) -> bool:
    if visit.left is None:
        return kept.left is None
    overlaps = kept.left is not None and kept.left > visit.came and kept.came < visit.left
    return kept.came == visit.came or overlaps


class Turn(NamedTuple):
    number: int
    known_until: int | None
    begins: float


class Another(NamedTuple):
    node: str
    number: int
    since: float
    until: float


class Access(NamedTuple):
    """What a host can do with the database just now."""

    reads: bool = True
    writes: bool = True


class Attendant:
    """What one host does for visits in these rooms.

    `clock` is the Unix time of the database, `now` what the host's own clocks say.
    """

    def __init__(self, node: Node, book: Book, rooms: tuple[str, ...]) -> None:
        self._node = node
        self._book = book
        self._rooms = rooms
        self._versions: dict[str, int] = {}
        self._following = Visits()
        self._turn: Turn | None = None
        self._another: Another | None = None
        self._until = 0.0
        self._went_on: Turn | None = None
        self._at = 0.0
        self._began = math.inf

    def look(self, now: Moment) -> None:
        """Something may have happened."""
        for key in self._rooms:
            room = self._node.rooms.get(key)
            if room is None or self._versions.get(key) == room.roster.version:
                continue
            roster, version = room.roster, self._versions.get(key)
            self._versions[key] = roster.version
            changed = None if version is None else roster.changed_since(version)
            if changed is None:
                here = {user: (roster.account(user), p.here) for user, p in roster.here.items()}
                self._following.see_all(key, here, roster.left_since(0), now.unix)
            for user, p in (changed or {}).items():
                account = roster.account(user)
                self._following.see(key, user, account, user in roster.here, p.since)

    def keep_up(
        self, clock: float, now: Moment, accounts: Mapping[str, int], access: Access
    ) -> None:
        """Every half second: take the turn, and write if it is ours."""
        self._began = min(self._began, clock)
        if clock >= self._at:
            self._at = clock + KEEP_UP
            if access.reads:
                self._take_turn(clock, now.elapsed, access)
            self.write(clock, now, accounts, access)

    def write(
        self, clock: float, now: Moment, accounts: Mapping[str, int], access: Access
    ) -> None:
        self.look(now)
        turn = self._turn
        if turn is None or not turn.begins <= clock < self._until:
            self._went_on = None
            self._forget_written(now)
            return
        if not access.writes:
            return
        if turn != self._went_on:
            self._following.go_on(self._book.going_on(), turn.known_until)
            self._went_on = turn
        news = self._following.take()
        if self._holds(turn):
            self._book.write(news, accounts)
        else:
            self._following.give_back(news)

    def _forget_written(self, now: Moment) -> None:
        timing = self._node.timing
        memory = timing.lease + timing.grace + WRITTEN_WITHIN
        if self._another is not None and self._another.until - self._another.since >= memory:
            ago = now.elapsed - self._another.until
            self._following.forget(int(now.unix - ago - memory))

    def lay_down(self, clock: float) -> None:
        if self._turn is not None and self._holds(self._turn) and self._book.duty is not None:
            self._book.duty.renewed_at = self._book.duty.ends_at = clock

    def _holds(self, turn: Turn) -> bool:
        row = self._book.duty
        return row is not None and (row.node, row.number) == (self._node.name, turn.number)

    def _take_turn(self, clock: float, elapsed: float, access: Access) -> None:
        lease, row = self._node.timing.lease, self._book.duty
        if self._turn is not None and clock < self._until:
            if self._until - clock > lease * (1 - RENEW):
                self._turn = self._turn if self._holds(self._turn) else None
                return
        number, known_until, early = 0, None, False
        lapsed = clock >= self._until
        if row is not None:
            if row.node != self._node.name and row.ends_at > clock:
                self._see(row, elapsed)
            over, ours = row.ends_at <= clock, row.node == self._node.name
            free = over or (row.degraded and not self._node.degraded)
            if row.renewed_at < self._began:
                free = row.ends_at + LEFT_TO_OTHERS <= clock
            if not (ours or free):
                self._turn = None
                return
            number, early = row.number - (ours and not over), not (ours or over)
            known_until = int(row.renewed_at)
        if not access.writes:
            return
        self._book.duty = DutyRow(
            self._node.name, number + 1, clock, clock + lease, self._node.degraded
        )
        self._until = clock + lease
        if lapsed or self._turn is None or self._turn.number != number + 1:
            begins = clock + (NOTICED_WITHIN if early else 0.0)
            self._turn = Turn(number + 1, known_until, begins)

    def _see(self, row: DutyRow, elapsed: float) -> None:
        since = elapsed
        if self._another is not None and self._another[:2] == (row.node, row.number):
            since = self._another.since
        self._another = Another(row.node, row.number, since, elapsed)


class Samples:
    """At which seconds users surely were in rooms, or were not, by their subjects."""

    def __init__(self) -> None:
        self._here: dict[str, set[int]] = {}
        self._away: dict[str, set[int]] = {}

    def note(self, subject: str, second: int, here: bool) -> None:
        (self._here if here else self._away).setdefault(subject, set()).add(second)

    def check(self, subject: str, visits: Sequence[Kept], after: float) -> None:
        """All that was noted after a second stands there, and nothing else."""
        for second in self._here.get(subject, ()):
            kept = any(v.came <= second and (v.left is None or second <= v.left) for v in visits)
            assert kept or second <= after, f"visits: {subject} was here at {second}: {visits}"
        for second in self._away.get(subject, ()):
            kept = any(v.came < second and (v.left is None or second < v.left) for v in visits)
            assert not kept or second <= after, f"visits: {subject} was away at {second}: {visits}"
