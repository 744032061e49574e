"""How far an observer has come, in words that other nodes understand, too.

A cursor names a node, the version of its roster, a mark and the number of a batch. The mark is that
of the newest beat of the node that came back to it while it knew all that others said. Another node
has read the same beat in the same order among the letters of all, so that whatever it knew before
is known to the observer: it has to tell only what changed at its own since. With the batch of that
number all that the node said of its own people has come, too. No clocks are compared.
"""

from collections import deque
from collections.abc import Callable
from typing import Protocol

from presence_server.presence.hearing import Contact, Hearing
from presence_server.presence.moment import Moment
from presence_server.presence.peers import Peers
from presence_server.presence.people import Versions
from presence_server.presence.timing import Timing


class Cover(Protocol):
    """Hides two numbers from whoever carries a cursor: they grow with all that nodes say, also
    of who is invisible."""

    def cover(self, one: int, other: int) -> str: ...

    def uncover(self, text: str) -> tuple[int, int] | None:
        """The numbers; None if it is nothing that was covered."""


class Uncovered:
    """Where nobody else reads cursors."""

    def cover(self, one: int, other: int) -> str:
        return f"{one}-{other}"

    def uncover(self, text: str) -> tuple[int, int] | None:
        one, _, other = text.partition("-")
        return (int(one), int(other)) if _is_number(one) and _is_number(other) else None


class Cursors:
    def __init__(
        self,
        node: str,
        versions: Versions,
        hearing: Hearing,
        peers: Peers,
        timing: Timing,
        sequence: Callable[[], int],
        cover: Cover,
    ) -> None:
        self._node = node
        self._versions = versions
        self._hearing = hearing
        self._peers = peers
        self._timing = timing
        # The number of the batch with which all is said that has changed.
        self._sequence = sequence
        self._cover = cover
        # The numbers that were covered last, for many cursors have the same.
        self._covered: tuple[int, int, str] = (0, 0, "")
        # The newest own beat that came back while all was known.
        self._mark = 0
        # What this node concluded by itself, others perhaps later: when, and at which version.
        self._concluded: deque[tuple[float, int]] = deque(maxlen=1_000)

    def note_echo(self) -> None:
        """An own beat came back while this node knew all that others had said."""
        self._mark = self._hearing.echoed_mark

    def note_conclusion(self, now: Moment) -> None:
        """Something is about to be told that no letter says."""
        self._concluded.append((now.elapsed, self._versions.newest))

    @property
    def _knows_all(self) -> bool:
        hears = self._hearing.contact is Contact.HEARS and not self._hearing.is_reading
        return hears and self._peers.are_current

    def cursor(self, version: int, *, up_to_date: bool) -> str:
        if not (up_to_date and self._mark and self._knows_all):
            return f"{self._node}.{version}"
        return f"{self._node}.{version}.{self._place(self._mark, self._sequence())}"

    def _place(self, mark: int, sequence: int) -> str:
        if self._covered[:2] != (mark, sequence):
            self._covered = mark, sequence, self._cover.cover(mark, sequence)
        return self._covered[2]

    def is_own(self, cursor: str) -> bool:
        return cursor.startswith(f"{self._node}.")

    def resume(self, cursor: str, now: Moment) -> int | None:
        node, _, rest = cursor.partition(".")
        version, _, covered = rest.partition(".")
        if not _is_number(version):
            return None
        if node == self._node:
            return int(version)
        place = self._cover.uncover(covered)
        return None if place is None else self._elsewhere(node, *place, now=now)

    def _elsewhere(self, node: str, mark: int, sequence: int, *, now: Moment) -> int | None:
        if not self._knows_all:
            return None
        version = self._peers.version_at(node, mark, sequence, now)
        if version is None:
            return None
        # Others conclude the same, but perhaps as much later as they were out of touch.
        since = now.elapsed - 2 * (self._timing.lease + self._timing.longest_grace) - 10
        while self._concluded and self._concluded[0][0] < since:
            self._concluded.popleft()
        return min([version, *(before for _, before in self._concluded)])


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 16
