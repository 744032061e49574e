"""Can what is heard be believed? Nothing is concluded from silence by a clock alone.

A node's own beats travel the same way as everybody's letters and in one order with them: when one
comes back, all that was said before it has been read. A node that does not hear itself concludes
nothing at all; one that stood still concludes nothing before it has read what came in meanwhile.
"""

import math
from enum import Enum
from typing import NamedTuple

from presence_server.presence.moment import Moment
from presence_server.presence.timing import NOTES, PAUSE, WRITES_WITHIN, Timing


class Contact(Enum):
    HEARS = "what is said is heard"
    CATCHES_UP = "heard again; some may not have made themselves heard yet"
    DEAF = "not even this node's own beats come back"


class _Sent(NamedTuple):
    elapsed: float
    version: int


class Hearing:
    """One node's contact with the relay, and its own pauses."""

    def __init__(self, timing: Timing, now: Moment) -> None:
        self._timing = timing
        self.contact = Contact.HEARS
        # Whoever spoke before may not have been heard.
        self.heard_since = now.elapsed
        self._sent: dict[int, _Sent] = {}
        self._mark = 0
        self._beaten = now.elapsed - timing.lease
        # Silence counts from here.
        self._echoed = now.elapsed
        self._resubscribed = now.elapsed
        # All that was published before this instant has been read; what this node itself knew at
        # the version has been said to all before it.
        self.read_until = now.elapsed
        self.said_version = 0
        # The newest own mark that came back.
        self.echoed_mark = 0
        # None: it does not run yet, for all that others left behind is read first.
        self._ticked: float | None = None
        self.awake_since = now.elapsed
        self.is_waking = False
        self.paused_for = 0.0
        # So often this node heard not even itself.
        self.silences = 0

    @property
    def is_reading(self) -> bool:
        """Whether something that came in while this process stood still may not be read yet."""
        return self.read_until < self.awake_since and self.contact is not Contact.DEAF

    def beat(self, version: int, now: Moment) -> int:
        """A beat goes out: its mark."""
        self._mark += 1
        self._beaten = now.elapsed
        self._sent[self._mark] = _Sent(now.elapsed, version)
        while len(self._sent) > 1000:
            del self._sent[next(iter(self._sent))]
        return self._mark

    def sent_at(self, mark: int) -> float | None:
        """When a mark was sent, unless that is long ago."""
        sent = self._sent.get(mark)
        return None if sent is None else sent.elapsed

    @property
    def next_mark(self) -> int:
        return self._mark + 1

    def first_mark_after(self, elapsed: float) -> int:
        """The first mark that was sent after an instant; 0 if none was."""
        later = (mark for mark, sent in self._sent.items() if sent.elapsed >= elapsed)
        return next(later, 0)

    def echo(self, mark: int, now: Moment) -> bool:
        """An own beat came back; True if this node hears again that heard nothing."""
        sent = self._sent.get(mark)
        if sent is None or mark <= self.echoed_mark:
            return False
        self._echoed = max(self._echoed, sent.elapsed)
        if self.contact is Contact.DEAF:
            if now.elapsed - sent.elapsed > self._timing.deaf:
                return False
            self._begin_to_catch_up(now)
            self._note_echo(mark, sent)
            return True
        self._note_echo(mark, sent)
        return False

    def subscribed(self, now: Moment, *, others: bool) -> None:
        """A new subscription began: letters may have been missed before it."""
        self._resubscribed = now.elapsed
        if self.contact is not Contact.DEAF and others:
            self._begin_to_catch_up(now)

    def lost(self) -> None:
        """The subscription is lost, or brings nothing."""
        self.contact = Contact.DEAF

    def tick(self, now: Moment) -> bool:
        """See what is due by the clock; True if a new subscription is needed."""
        caught_up_at = self.heard_since + self._timing.deaf
        if self.contact is Contact.CATCHES_UP and now.elapsed >= caught_up_at:
            self.contact = Contact.HEARS
        if now.elapsed - self._echoed <= self._timing.deaf:
            return False
        self.silences += self.contact is not Contact.DEAF
        self.lost()
        if now.elapsed - self._resubscribed < self._timing.deaf:
            return False
        self._resubscribed = now.elapsed
        return True

    def is_beat_due(self, every: float, now: Moment) -> bool:
        return now.elapsed - self._beaten >= every

    def notice(self, now: Moment, *, tick: bool = False) -> float:
        """Seconds for which this process stood still, before anything that came in then counts."""
        before = self._ticked
        if tick:
            self._ticked = now.elapsed
        if before is None:
            self._echoed = self._resubscribed = now.elapsed
            return 0.0
        pause = now.elapsed - before
        if pause < PAUSE:
            return 0.0
        self._ticked = self._echoed = self.awake_since = now.elapsed
        self.paused_for = pause + (self.paused_for if self.is_waking else 0.0)
        self.is_waking = True
        return pause

    def notes_unread_since(self, now: Moment) -> float:
        """When this process fell into a standstill for so long that others seem to have written
        nothing for a lease, before their counters could be read twice again; else never."""
        if now.elapsed - self.awake_since >= WRITES_WITHIN + NOTES:
            return math.inf
        is_long = self.paused_for + 2 * NOTES >= self._timing.lease
        return self.awake_since - self.paused_for if self.paused_for and is_long else math.inf

    def woke(self) -> None:
        """What is found closed from now on was not closed during the pause."""
        self.is_waking = False

    def _note_echo(self, mark: int, sent: _Sent) -> None:
        self.echoed_mark = mark
        self.read_until = max(self.read_until, sent.elapsed)
        self.said_version = max(self.said_version, sent.version)

    def _begin_to_catch_up(self, now: Moment) -> None:
        self.contact = Contact.CATCHES_UP
        self.heard_since = now.elapsed
