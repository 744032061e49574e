"""How far an observer has come, in words that other nodes understand, too.

A cursor names a node, the version of its roster, and a mark: the newest beat of that node that came
back to it while it knew all that others said. Another node read the same beat in the same order
among the letters of all, so that whatever it knew before is known to the observer: it has to tell
only what changed at its own since. No clocks are compared.
"""

from collections import deque

from presence_server.presence.hearing import Hearing
from presence_server.presence.moment import Moment
from presence_server.presence.peers import Peers
from presence_server.presence.roster import Versions
from presence_server.presence.timing import Timing


class Cursors:
    def __init__(
        self, node: str, versions: Versions, hearing: Hearing, peers: Peers, timing: Timing
    ) -> None:
        self._node = node
        self._versions = versions
        self._hearing = hearing
        self._peers = peers
        self._timing = timing
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

    def cursor(self, version: int, *, up_to_date: bool) -> str:
        return f"{self._node}.{version}.{self._mark if up_to_date else 0}"

    def resume(self, cursor: str, now: Moment) -> int | None:
        node, _, numbers = cursor.partition(".")
        version, _, mark = numbers.partition(".")
        if not (_is_number(version) and _is_number(mark or "0")):
            return None
        if node == self._node:
            return int(version)
        return self._elsewhere(node, int(mark), now) if int(mark or "0") else None

    def _elsewhere(self, node: str, mark: int, now: Moment) -> int | None:
        version = self._peers.version_at(node, mark)
        if version is None or self._peers.are_leaving(but=node):
            # The other node may have let somebody go already who is shown here, and comes back.
            return None
        # Others conclude the same, but perhaps as much later as they were out of touch.
        since = now.elapsed - 2 * (self._timing.lease + self._timing.longest_grace) - 10
        while self._concluded and self._concluded[0][0] < since:
            self._concluded.popleft()
        return min([version, *(before for _, before in self._concluded)])


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 16
