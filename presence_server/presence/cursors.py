"""How far an observer has come, in words that other nodes understand, too.

A cursor names a node, the version of its roster, a mark and the number of a batch. The mark is that
of the newest beat of the node that came back to it while it knew all that others said. Another node
has read the same beat in the same order among the letters of all, so that whatever it knew before
is known to the observer: it has to tell only what changed at its own since. With the batch of that
number all that the node said of its own people has come, too. No clocks are compared.
"""

from collections import deque
from collections.abc import Callable

from presence_server.presence.hearing import Contact, Hearing
from presence_server.presence.moment import Moment
from presence_server.presence.peers import Peers
from presence_server.presence.roster import Versions
from presence_server.presence.timing import Timing


class Cursors:
    def __init__(
        self,
        node: str,
        versions: Versions,
        hearing: Hearing,
        peers: Peers,
        timing: Timing,
        sequence: Callable[[], int],
    ) -> None:
        self._node = node
        self._versions = versions
        self._hearing = hearing
        self._peers = peers
        self._timing = timing
        # The number of the batch with which all is said that has changed.
        self._sequence = sequence
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
        return f"{self._node}.{version}.{self._mark}.{self._sequence()}"

    def is_own(self, cursor: str) -> bool:
        return cursor.startswith(f"{self._node}.")

    def resume(self, cursor: str, now: Moment) -> int | None:
        node, *numbers = cursor.split(".")
        if not numbers or not all(map(_is_number, numbers)):
            return None
        version, *place = map(int, numbers)
        if node == self._node:
            return version
        return self._elsewhere(node, *place, now=now) if len(place) == 2 else None

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
