"""Who is here in the order of names: pages, counts and places among a hundred thousand."""

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator
from heapq import merge
from itertools import islice

from sortedcontainers import SortedList

from presence_server.presence.roster import Roster
from presence_server.presence.states import PRECEDENCE, Status

# Behind everything that begins alike.
_LAST = "\U0010ffff"
# Between what a name is sorted by and the name itself, where they differ; in no name, and before
# all that stands in one.
_APART, _BEHIND = "\0", "\1"


class Ordered:
    """It follows a roster when it is asked, at the cost of what has changed since it was last; a
    question costs as much as its answer, and the logarithm of how many are here.

    `order` says by what a name is sorted, and found by its beginning.
    """

    def __init__(self, roster: Roster, order: Callable[[str], str] = str) -> None:
        self._roster = roster
        self._order = order
        # Most names are what they are sorted by: so they are there once, without keys beside them.
        self._names: dict[Status, SortedList]
        self._version: int
        self._begin()

    def page(
        self,
        limit: int,
        *,
        after: str | None = None,
        prefix: str = "",
        statuses: Collection[Status] = PRECEDENCE,
    ) -> list[str]:
        """The first names behind `after`."""
        self._catch_up()
        found = [self._behind(self._names[status], after, prefix) for status in statuses]
        return [_name(entry) for entry in islice(merge(*found), limit)]

    def name_at(self, index: int, prefix: str, statuses: Collection[Status]) -> str | None:
        """The name before which `index` others stand."""
        self._catch_up()
        first, last = self._bounds(prefix)
        for names in (self._names[status] for status in statuses):
            places = range(names.bisect_left(first), names.bisect_left(last))
            reach = bisect_left(
                places, index, key=lambda at: self.place(_name(names[at]), prefix, statuses)
            )
            if reach < len(places):
                name = _name(names[places[reach]])
                if self.place(name, prefix, statuses) == index:
                    return name
        return None

    def count(self, prefix: str = "", statuses: Collection[Status] = PRECEDENCE) -> int:
        self._catch_up()
        if not prefix:
            return sum(len(self._names[status]) for status in statuses)
        first, last = self._bounds(prefix)
        return sum(
            self._names[status].bisect_left(last) - self._names[status].bisect_left(first)
            for status in statuses
        )

    def place(self, name: str, prefix: str, statuses: Collection[Status]) -> int:
        """How many stand before a name, whether its user is here or not."""
        self._catch_up()
        first, last = self._bounds(prefix)
        at = min(self._order(name), last)
        return sum(
            max(0, names.bisect_left(at) - names.bisect_left(first))
            for names in (self._names[status] for status in statuses)
        )

    def _behind(self, names: SortedList, after: str | None, prefix: str) -> Iterator[str]:
        first, last = self._bounds(prefix)
        start = names.bisect_left(first)
        if after is not None:
            start = max(start, names.bisect_left(self._order(after) + _BEHIND))
        found: Iterator[str] = names.islice(start, names.bisect_left(last))
        return found

    def _entry(self, name: str) -> str:
        by = self._order(name)
        return name if by == name else f"{by}{_APART}{name}"

    def _bounds(self, prefix: str) -> tuple[str, str]:
        first = self._order(prefix)
        return first, first + _LAST

    def _catch_up(self) -> None:
        if self._version == self._roster.version:
            return
        changes = self._roster.changes_since(self._version)
        if changes is None:
            self._begin()
            return
        for name, person in changes:
            entry = self._entry(name)
            for status, names in self._names.items():
                names.discard(entry)
                if status == person.status:
                    names.add(entry)
        self._version = self._roster.version

    def _begin(self) -> None:
        here = self._roster.here.items()
        self._version = self._roster.version
        self._names = {
            status: SortedList(
                self._entry(name) for name, person in here if person.status == status
            )
            for status in PRECEDENCE
        }


def _name(entry: str) -> str:
    return entry.rpartition(_APART)[2]


def folded(name: str) -> str:
    """By which names are sorted where their case does not matter."""
    return name.lower()
