"""The observers of one room: who is told of everybody, and who of some."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from presence_server.live.dialects import Dialect
from presence_server.live.observer import Observer, Room
from presence_server.live.wire import Message, Wire
from presence_server.presence.states import Person

# So many who are told of some are told in a second how many are here; more wait longer for it.
_COUNTED_PER_SECOND = 2_000
# So many are told something of their own in one flush. With all of tens of thousands it would take
# seconds, for which whoever comes meanwhile would wait before they are shown anybody.
_TOLD_AT_ONCE = 1_000

Changes = list[tuple[str, Person]]
# What is made for one serves all that have the same dialect, and wires of the same kind.
Kind = tuple[Dialect, Callable[[Message], bytes]]


class Told(NamedTuple):
    """What a flush said: the version, and whether other nodes could not be heard."""

    version: int
    degraded: bool


class Due(NamedTuple):
    """Who is to be told something: those who all miss the same, and those who miss their own."""

    even: Sequence[tuple[Kind, Sequence[Wire]]]
    own: Sequence[Observer]


class Audience:
    """Most observers know what the last flush said, and none of them needs to be looked at for it.

    They are told of everybody, and are `even`; or of some, and are found by whom they watch, when
    it concerns them. The others are `late`: new, or passed over, or brought up to date in the
    middle of a flush; of these each has a version of its own.
    """

    def __init__(self, room: Room) -> None:
        self.room = room
        self._observers: dict[Observer, None] = {}
        self._even: dict[Kind, dict[Wire, Observer]] = {}
        self._of_some: dict[Observer, None] = {}
        # By user, those who are told of some and watch that one.
        self._watchers: dict[str, set[Observer]] = {}
        self._late: dict[Observer, None] = {}
        # The late to whom something is to be said even if nothing changes.
        self._behind: dict[Observer, None] = {}
        # What this flush says, and what all know for certain until it is over.
        self.told = self.before = Told(room.roster.version, False)
        # What changed between the two; None: more than is known.
        self.changes: Changes | None = []
        # How many are here, as all who are told of some know it.
        self.counted: Mapping[str, int] = {}
        self._count_due = 0.0

    def __len__(self) -> int:
        return len(self._observers)

    def __contains__(self, observer: Observer) -> bool:
        return observer in self._observers

    def everybody(self) -> Sequence[Observer]:
        return tuple(self._observers)

    def add(self, observer: Observer) -> None:
        self._observers[observer] = None
        self._index(observer)

    def remove(self, observer: Observer) -> None:
        self._write_down(observer)
        self._drop_index(observer)
        del self._observers[observer]

    def watch(self, observer: Observer, users: frozenset[str] | None) -> None:
        """Tell it of these from now on; who does this says how far it has come."""
        self._write_down(observer)
        self._drop_index(observer)
        # Thousands watch the same people.
        observer.view = None if users is None else frozenset(map(sys.intern, users))
        self._index(observer)

    def observers_at(self, kind: Kind, wires: Iterable[Wire]) -> list[Observer]:
        """Those of the even who are still there."""
        even = self._even.get(kind, {})
        return [even[wire] for wire in wires if wire in even]

    def pass_over(self, observer: Observer) -> None:
        """It is not told now what it is due."""
        self._write_down(observer)
        self._leave_even(observer)

    def catch_up(self, observer: Observer) -> None:
        """It is to be told what it missed, if it missed something."""
        if observer in self._late:
            self._behind[observer] = None

    def brought_to(self, observer: Observer, version: int) -> None:
        """It has been told all that concerns it until then."""
        observer.version, observer.resumed, observer.elsewhere = version, False, False
        if (version, observer.degraded) != self.told:
            self._late[observer] = None
            return
        self._late.pop(observer, None)
        if observer.view is None:
            self._even.setdefault(_kind(observer), {})[observer.wire] = observer

    def version_of(self, observer: Observer) -> int | None:
        return observer.version if observer in self._late else self.before.version

    def take_due(self, degraded: bool) -> Due:
        self.before, self.told = self.told, Told(self.room.roster.version, degraded)
        # Now, for all of the flush: people go on coming and going while it leaves turns to others.
        self.changes = self.room.roster.changes_since(self.before.version)
        own, self._behind = self._behind, {}
        if self.told == self.before:
            return Due([], self._first_of(own))
        own.update(self._late)
        everybody = self.told.degraded != self.before.degraded
        own.update(self._of_some if everybody else dict.fromkeys(self._concerned()))
        for observer in own:
            self._write_down(observer)
        even = [(kind, tuple(wires)) for kind, wires in self._even.items() if wires]
        return Due(even, self._first_of(own))

    @property
    def is_behind(self) -> bool:
        """Whether there is more to say, even if nothing changes."""
        return bool(self._behind)

    def end_flush(self) -> None:
        """Who is not late has been told."""
        self.before = self.told

    def take_uncounted(self, now: float) -> Sequence[Observer]:
        """Those to whom it is to be said now how many are here: `counted`."""
        if not self._of_some or now < self._count_due:
            return ()
        counts = self.room.roster.counts
        if counts == self.counted:
            return ()
        self.counted = dict(counts)
        self._count_due = now + len(self._of_some) / _COUNTED_PER_SECOND
        return [observer for observer in self._of_some if observer.greeted]

    def count_to_one(self) -> Mapping[str, int]:
        """How many are here: if it is not what the others know, all are told soon."""
        counts = self.room.roster.counts
        if counts != self.counted:
            self.counted = {}
        return counts

    def _first_of(self, own: Mapping[Observer, None]) -> Sequence[Observer]:
        """Those who know nothing yet come first; of the others the last wait for the next flush."""
        if len(own) <= _TOLD_AT_ONCE:
            return tuple(own)
        ordered = sorted(own, key=lambda observer: observer.greeted)
        self._behind.update(dict.fromkeys(ordered[_TOLD_AT_ONCE:]))
        return ordered[:_TOLD_AT_ONCE]

    def _concerned(self) -> Iterable[Observer]:
        """Those who are told of some, and watch somebody who changed."""
        if not self._of_some:
            return ()
        if self.changes is None:
            return self._of_some
        return {observer for user, _ in self.changes for observer in self._watchers.get(user, ())}

    def _write_down(self, observer: Observer) -> None:
        """How far it has come for certain; it is late from now on."""
        if observer not in self._late:
            self._late[observer] = None
            observer.version, observer.degraded = self.before

    def _index(self, observer: Observer) -> None:
        self._late[observer] = self._behind[observer] = None
        if observer.view is not None:
            self._of_some[observer] = None
            for user in observer.view:
                self._watchers.setdefault(user, set()).add(observer)

    def _drop_index(self, observer: Observer) -> None:
        self._leave_even(observer)
        for kept in (self._of_some, self._late, self._behind):
            kept.pop(observer, None)
        for user in observer.view or ():
            watchers = self._watchers[user]
            watchers.discard(observer)
            if not watchers:
                del self._watchers[user]

    def _leave_even(self, observer: Observer) -> None:
        self._even.get(_kind(observer), {}).pop(observer.wire, None)


def _kind(observer: Observer) -> Kind:
    return observer.dialect, observer.wire.frame
