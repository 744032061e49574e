"""The observers of one room: who is told of everybody, and who of some."""

import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from presence_server.live.observer import Observer, Room
from presence_server.presence.roster import Person

Changes = list[tuple[str, Person]]

# So many who are told of some are told in a second how many are here; more wait longer for it.
_COUNTED_PER_SECOND = 2_000


class Latest(NamedTuple):
    """What changed between the flush before and this one, by their versions."""

    since: int
    until: int
    changes: Changes


class Audience:
    """Those who are told of everybody have a version of their own.

    Those who are told of some are found by whom they watch, and are not looked at as long as
    nothing concerns them. So they are up to date with the last flush, unless they are `late`: new,
    or passed over, or brought up to date while others in the same flush were still to come.
    """

    def __init__(self, room: Room) -> None:
        self.room = room
        self._observers: dict[Observer, None] = {}
        self._of_everybody: dict[Observer, None] = {}
        self._of_some: dict[Observer, None] = {}
        # By user, those who are told of some and watch that one.
        self._watchers: dict[str, set[Observer]] = {}
        self._late: set[Observer] = set()
        # Those to whom something is to be said even if nothing changes.
        self._behind: dict[Observer, None] = {}
        # What the last flush said.
        self._version = room.roster.version
        self.latest: Latest | None = None
        self._degraded = False
        self._counts: Mapping[str, int] = {}
        self._count_due = 0.0

    def __len__(self) -> int:
        return len(self._observers)

    def __contains__(self, observer: Observer) -> bool:
        return observer in self._observers

    def everybody(self) -> Sequence[Observer]:
        return tuple(self._observers)

    def add(self, observer: Observer) -> None:
        self._observers[observer] = self._behind[observer] = None
        self._index(observer)

    def remove(self, observer: Observer) -> None:
        self._drop_index(observer)
        del self._observers[observer]
        self._behind.pop(observer, None)

    def watch(self, observer: Observer, users: frozenset[str] | None) -> None:
        """Tell it of these from now on; who does this says how far it has come."""
        self._drop_index(observer)
        # Thousands watch the same people.
        observer.view = None if users is None else frozenset(map(sys.intern, users))
        self._index(observer)
        self._behind[observer] = None

    def pass_over(self, observer: Observer) -> None:
        """It is not told now what it is due."""
        if observer.view is not None:
            self._late.add(observer)

    def catch_up(self, observer: Observer) -> None:
        """It is to be told what it missed."""
        self._behind[observer] = None

    def brought_to(self, observer: Observer, version: int) -> None:
        """It has been told all that concerns it until then."""
        observer.version = version
        if version == self._version:
            self._late.discard(observer)
        else:
            self._late.add(observer)

    def version_of(self, observer: Observer) -> int | None:
        if observer.view is None or observer in self._late:
            return observer.version
        return self._version

    def take_due(self, degraded: bool) -> Sequence[Observer]:
        """Those to whom something is to be said now."""
        before, self._version = self._version, self.room.roster.version
        due, self._behind, self.latest = self._behind, {}, None
        if degraded != self._degraded:
            self._degraded = degraded
            due = dict(self._observers)
        elif before != self._version:
            due.update(self._of_everybody)
            due.update(dict.fromkeys(self._concerned(before)))
        for observer in due:
            if observer.view is not None and observer not in self._late:
                observer.version = before
        return tuple(due)

    def take_uncounted(self, now: float) -> Sequence[Observer]:
        """Those to whom it is to be said now how many are here."""
        counts = self.room.roster.counts
        if not self._of_some or now < self._count_due or counts == self._counts:
            return ()
        self._counts = dict(counts)
        self._count_due = now + len(self._of_some) / _COUNTED_PER_SECOND
        return [observer for observer in self._of_some if observer.greeted]

    def _concerned(self, version: int) -> set[Observer]:
        """Those who are told of some, and watch somebody who changed after a version."""
        if not self._of_some:
            return set()
        changes = self.room.roster.changes_since(version)
        if changes is None:
            return set(self._of_some)
        self.latest = Latest(version, self._version, changes)
        return {observer for user, _ in changes for observer in self._watchers.get(user, ())}

    def _index(self, observer: Observer) -> None:
        if observer.view is None:
            self._of_everybody[observer] = None
            return
        self._of_some[observer] = None
        self._late.add(observer)
        for user in observer.view:
            self._watchers.setdefault(user, set()).add(observer)

    def _drop_index(self, observer: Observer) -> None:
        self._of_everybody.pop(observer, None)
        self._of_some.pop(observer, None)
        self._late.discard(observer)
        for user in observer.view or ():
            watchers = self._watchers[user]
            watchers.discard(observer)
            if not watchers:
                del self._watchers[user]
