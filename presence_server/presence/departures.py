"""Letting people go: when that is due, and what has to be known first. The same has to be known of
whoever comes from another node and does not say how they are.

Whoever leaves one node may have come to another, and the letter that says so may still be on its
way. So nobody is let go by the clock: first every other node that lives confirms a mark that was
sent after the moment in question, over the relay or by what it writes down. One that does neither
is waited for until its lease is over, for it may just not be heard.
"""

import math
from collections.abc import Iterator

from presence_server.presence.deadlines import Deadlines
from presence_server.presence.entries import Source
from presence_server.presence.hearing import Contact, Hearing
from presence_server.presence.moment import Moment
from presence_server.presence.peer import Life, Peer
from presence_server.presence.peers import Peers
from presence_server.presence.pending import Cause, Departure, Pending, Why
from presence_server.presence.records import OWN
from presence_server.presence.timing import (
    ARRIVAL_WAITS,
    ASKING,
    ENDED_WAITS,
    ENDED_WAITS_UNHEARD,
    PATIENCE,
    READINGS_APART,
    SHORT_LIFE,
    WRITES_WITHIN,
    Timing,
)


class _Readings:
    """When something was read last, and since when again and again."""

    def __init__(self) -> None:
        self.last = self.since = -math.inf

    def note(self, read_at: float) -> None:
        if read_at - self.last > READINGS_APART:
            self.since = read_at
        self.last = max(self.last, read_at)


class Departures:
    def __init__(self, timing: Timing, hearing: Hearing, peers: Peers, now: Moment) -> None:
        self._timing = timing
        self._hearing = hearing
        self._peers = peers
        self._graces: Deadlines[Source] = Deadlines()
        self._pending = Pending()
        # What other nodes wrote down, and their counters alone.
        self._stays_read = _Readings()
        self._counters_read = _Readings()
        self._asked_at = now.elapsed - ASKING
        # When somebody came of whom others may just be telling something.
        self._inquired_at = -math.inf
        # From when on somebody may have come here who has not been let in yet.
        self._crowd_since = math.inf
        self._confirmed_mark = 0

    def __len__(self) -> int:
        return len(self._pending)

    def rest(self, source: Source, until: float) -> None:
        """Let a grace begin."""
        self._graces.put(source, until)

    def move_graces(self, pause: float, now: Moment) -> None:
        """This process stood still: a grace counts the time in which it ran, as far as others
        still show whom it had."""

        def moved(source: Source, at: float) -> float:
            held = self._timing.still_held(self._timing.grace_in(source.room), pause)
            return min(at + pause, max(at, now.elapsed + held))

        self._graces.move(moved)

    def add(self, source: Source, departure: Departure) -> None:
        known = self._pending.get(source)
        if known is None or (departure.why is Why.ENDED and known.why is not Why.ENDED):
            self._pending.put(source, departure)
            self._graces.drop(source)

    def cancel(self, source: Source) -> None:
        """It is here after all; but a session of an own account that has ended stays ended."""
        self._graces.drop(source)
        if source.room != OWN or not self.has_ended(source):
            self._pending.drop(source)

    def forget(self, source: Source) -> None:
        self._graces.drop(source)
        self._pending.drop(source)

    def is_leaving(self, source: Source) -> bool:
        """Whether it is about to go, and is shown only until that is sure."""
        return self._pending.get(source) is not None

    def has_ended(self, source: Source) -> bool:
        known = self._pending.get(source)
        return known is not None and known.why is Why.ENDED

    def take_overdue(self, now: Moment) -> Iterator[Source]:
        """Those whose grace is over."""
        if not self._hearing.is_waking:
            yield from list(self._graces.take(now.elapsed))

    def take(self, now: Moment) -> list[tuple[Source, Departure]]:
        """Those who may go now."""
        if not self._pending or self._hearing.is_waking:
            return []
        found: list[tuple[Source, Departure]] = []
        for cause in self._pending.causes():
            if self._may_go(cause, now):
                found += self._pending.take(cause)
                if cause.why is Why.GRACE:
                    mark = self._hearing.first_mark_after(cause.at)
                    self._confirmed_mark = max(self._confirmed_mark, mark)
        return found

    @property
    def confirmed_mark(self) -> int:
        """The newest mark that all had confirmed who were let go after it."""
        return self._confirmed_mark

    def await_next_mark(self) -> None:
        """What was done last is not to be told before the next mark is confirmed."""
        self._confirmed_mark = self._hearing.next_mark

    def begin_to_ask(self, now: Moment) -> bool:
        """Whether the next mark is to be confirmed by the others; then it counts as asked for now.
        """
        newest = self._pending.newest
        if now.elapsed < self._inquired_at + ARRIVAL_WAITS:
            newest = max(newest, self._inquired_at)
        # A mark that is not confirmed for so long may have been lost.
        wait = ASKING if newest > self._asked_at else PATIENCE
        if newest == -math.inf or now.elapsed - self._asked_at < wait:
            return False
        self._asked_at = now.elapsed
        return bool(self._peers.living())

    def ask_again(self) -> None:
        """A mark that is not confirmed yet may not have been heard."""
        self._asked_at = -math.inf

    def inquire(self, now: Moment) -> None:
        """Let the others be asked what they know by now."""
        self._inquired_at = now.elapsed

    def note_crowd(self, since: float | None) -> None:
        """From when on somebody may wait to be let in here; None: nobody does."""
        self._crowd_since = math.inf if since is None else since

    def crowd_for(self, now: Moment) -> float | None:
        """For how many seconds somebody may have waited; None: nobody does."""
        waits = self._crowd_since < math.inf
        return max(0.0, now.elapsed - self._crowd_since) if waits else None

    def note_reading(self, read_at: float, *, with_stays: bool) -> None:
        """What other nodes wrote down was read, no sooner than `read_at`."""
        self._counters_read.note(read_at)
        if with_stays:
            self._stays_read.note(read_at)

    def _matters(self, peer: Peer, at: float, now: Moment) -> bool:
        """Whether somebody may have been there at a moment: a node lets nobody in before others
        have heard it, and nobody comes to one that died as soon as it began."""
        if peer.introduced_itself and peer.began > at:
            return False
        if peer.had_lines or not peer.counters or peer.last_sign - peer.began > SHORT_LIFE:
            return True
        readings = self._counters_read
        heard = self._hearing.read_until - peer.heard < 1.5 * self._timing.beat
        can_be_read = now.elapsed - readings.last < WRITES_WITHIN
        wrote = max(peer.wrote, peer.counters[0][0], readings.since)
        return heard or not can_be_read or readings.last - wrote < WRITES_WITHIN

    def _may_write(self, peer: Peer) -> bool:
        """Whether it has written within a lease, as far as that could be read."""
        readings = self._stays_read
        return readings.last - max(peer.last_sign, readings.since) < self._timing.lease

    def _may_go(self, cause: Cause, now: Moment) -> bool:
        at = cause.at
        if cause.why is Why.GRACE and self._may_wait(at, now):
            return False
        if cause.why is Why.TOLD:
            if any(peer.is_back(now) for _, peer in self._peers):
                # Others may have heard already that somebody is there, and speak for them no more.
                return False
            if self._all_had_confirmed(cause.node, cause.mark):
                return True
        if self._is_known(at, now):
            return True
        if cause.why is Why.ENDED:
            # Whether this node heard itself since.
            hears = self._hearing.read_until >= at
            return now.elapsed >= at + (ENDED_WAITS if hears else ENDED_WAITS_UNHEARD)
        # Whoever was heard in all this time would have said it by now.
        hears = self._hearing.contact is Contact.HEARS
        heard_from = max(at, self._hearing.heard_since)
        return hears and self._hearing.read_until >= heard_from + self._timing.lease

    def _may_wait(self, at: float, now: Moment) -> bool:
        """Whether who came before a moment may not have been let in yet, here or at another node.
        Nobody is waited for without end, for the crowd may have none."""
        if now.elapsed >= at + self._timing.lease:
            return False
        crowds = (peer.crowd_since for _, peer in self._peers.living())
        return min([self._crowd_since, *crowds]) <= at

    def _all_had_confirmed(self, node: str, mark: float) -> bool:
        """Whether all nodes said before a node's word what they knew when it sent its mark."""
        hearing = self._hearing
        if hearing.contact is not Contact.HEARS or hearing.read_until < hearing.awake_since:
            return False
        return all(
            peer.life is Life.CURRENT and (name == node or peer.marks_heard.get(node, 0) >= mark)
            for name, peer in self._peers.living()
        )

    def _is_known(self, at: float, now: Moment) -> bool:
        """Whether all that any other node knew at a moment is known here."""
        peers = [peer for _, peer in self._peers.living() if self._matters(peer, at, now)]
        if self._hearing.contact is not Contact.HEARS:
            # There may be nodes that have not been heard at all, but none that does not write.
            if self._stays_read.last < at:
                return False
            peers = [peer for peer in peers if self._may_write(peer)]
        return all(peer.known_until >= at for peer in peers)
