"""How far the clock of another node is from this one's, and what was said by it."""

import math
from collections import deque

from presence_server.presence.moment import Moment
from presence_server.presence.timing import CLOCK_SET, CLOCKS_ALIKE


class PeerClock:
    def __init__(self) -> None:
        # By how much the clocks seemed apart when its last letters were read.
        self._apart: deque[int] = deque(maxlen=8)
        # So much it is surely behind, by letters that cannot have been late for longer.
        self._behind_by = -math.inf
        # By which clocks what is known of its people was told: the least and the greatest.
        self._dated_by: tuple[int, int] | None = None
        # Whether it was known when something was taken in last.
        self.is_dated = False
        # Whether the node has to say all of it once more, for its clock is another.
        self.is_misdated = False

    @property
    def offset(self) -> int:
        """Seconds to add to its Unix seconds. A letter may be read late, and never early; how late
        is known only of those that answer."""
        apart = min(self._apart, default=0)
        return apart if abs(apart) > CLOCKS_ALIKE and self.is_known else 0

    @property
    def is_known(self) -> bool:
        apart = min(self._apart, default=math.inf)
        return apart <= CLOCKS_ALIKE or self._behind_by >= CLOCKS_ALIKE

    def note(self, unix: int, sent_after: float | None, now: Moment) -> None:
        """It said what time it was; after which instant, if that is known. See whether it is
        another than that by which words were taken in."""
        apart = now.unix - unix
        if self._apart and abs(apart - self._apart[-1]) > CLOCK_SET:
            self._apart.clear()
            self._behind_by = -math.inf
        self._apart.append(apart)
        if sent_after is not None:
            self._behind_by = max(self._behind_by, apart - (now.elapsed - sent_after))
        self._check_dates()

    def lateness(self, unix: int, now: Moment) -> int:
        """For how many seconds at least a letter was on its way: of whole seconds, by two clocks
        that need not begin them together, two may be none."""
        late = now.unix - unix - min(self._apart, default=now.unix - unix)
        return max(0, late - 2)

    def date(self) -> int:
        """The offset, by which something is taken in that the node says of its people."""
        least, greatest = self._dated_by or (self.offset, self.offset)
        self._dated_by = min(least, self.offset), max(greatest, self.offset)
        self.is_dated = self.is_known
        return self.offset

    def date_by_database(self) -> None:
        """What is taken in was written by the clock of the database, whatever this one is."""
        self.is_dated = True

    def misdate(self) -> None:
        """What was taken in may be by a clock that is wrong."""
        self.is_misdated = True

    def redate(self) -> None:
        """All has been said once more."""
        self.is_misdated = False

    def _check_dates(self) -> None:
        least, greatest = self._dated_by or (self.offset, self.offset)
        if self.is_known and max(self.offset - least, greatest - self.offset) > CLOCKS_ALIKE:
            self.is_misdated, self._dated_by = True, None
