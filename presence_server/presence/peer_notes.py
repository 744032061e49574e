"""What was read of the notes of another node, and up to which of its counters all is known."""

from collections.abc import Iterable
from dataclasses import dataclass

from presence_server.presence.records import Changes, Stay


@dataclass
class Noted:
    """What was read of a node's stays, by room and session: all (`whole`), or what has changed;
    None: it is gone."""

    stays: dict[tuple[str, str], Stay | None]
    whole: bool

    def take_in(self, changes: Changes) -> None:
        self.stays |= {(stay.room, stay.session): stay for stay in changes.here}
        self.stays |= dict.fromkeys(changes.gone)


class PeerNotes:
    def __init__(self) -> None:
        # What was read of its stays, if that is not known in the place of its words yet.
        self.waiting: Noted | None = None
        # All that it wrote up to this counter is known, or waits; and the next counter of which
        # that will be so once it is confirmed what the node knew when that was read.
        self.read_to: int | None = None
        self._next: tuple[float, int] | None = None
        # As `read_to`, without what waits.
        self._known_to: int | None = None

    @property
    def are_known(self) -> bool:
        """Whether all that was read is known, and anything was."""
        return self.waiting is None and self.read_to is not None

    def hear_instead(self, counter: int, read_at: float, heard_until: float) -> None:
        """Its counter was read, and what it wrote down was not, for it is heard: all that it knew
        until a moment."""
        if self.waiting is not None:
            # What was known before is known still: the rest comes by letters.
            self.waiting, self.read_to = None, self._known_to
        if self._next is None:
            self._next = read_at, counter
        elif heard_until >= self._next[0]:
            self.read_to = self._next[1]
            self._next = read_at, counter

    def read_all(self, counter: int, stays: Iterable[Stay]) -> None:
        """All was read that it has written down."""
        self._keep_known()
        self.waiting = Noted({(stay.room, stay.session): stay for stay in stays}, whole=True)
        self.read_to = counter

    def read_changes(self, counter: int, changes: Changes | None) -> None:
        """It was read what it has written behind `read_to`, if anything."""
        if self.read_to is None:
            return
        self._keep_known()
        self.read_to = counter
        if changes is not None:
            self.waiting = self.waiting or Noted({}, whole=False)
            self.waiting.take_in(changes)

    def take(self) -> Noted | None:
        """What waits, to be known from now on."""
        waiting, self.waiting = self.waiting, None
        return waiting

    def forget(self) -> None:
        """What it has written is not what is known."""
        self.waiting = self.read_to = self._known_to = self._next = None

    def _keep_known(self) -> None:
        if self.waiting is None:
            self._known_to = self.read_to
