"""One other node: whether it lives, how far it has been heard, and what it has confirmed."""

import math
from collections import deque
from collections.abc import Mapping
from enum import Enum

from presence_server.presence.answer import Answer
from presence_server.presence.letters import Batch, Beat, Part, States
from presence_server.presence.moment import Moment
from presence_server.presence.peer_clock import PeerClock
from presence_server.presence.peer_notes import PeerNotes
from presence_server.presence.timing import PATIENCE, TELLS_WITHIN

# Marks whose place among the letters is known; the least time between two, in seconds.
_MARKS = 120
_MARKS_APART = 0.5


class Life(Enum):
    NEW = "heard, but it has not answered yet: letters can outlive their sender"
    CURRENT = "all that it has said is known"
    BEHIND = "something that it has said was missed"
    NOTED = "not heard on the relay; it goes on writing to the database"
    SILENT = "neither heard nor writing for a lease: its people are in their grace"
    LEFT = "it said goodbye: its people are in their grace"


_LIVING = (Life.NEW, Life.CURRENT, Life.BEHIND, Life.NOTED)


class Peer:
    """One other node. Times are of the reader's clock."""

    def __init__(self, life: Life, now: Moment) -> None:
        self.life = life
        # Since when it is known; whether by its own word, which comes before its people.
        self.began = now.elapsed
        self.introduced_itself = life is Life.NEW
        self.heard = now.elapsed if life is Life.NEW else -math.inf
        # When a letter of it came last: that it is given time to speak again is no sign of it.
        self.spoke = self.heard
        # Its last known write to the database.
        self.wrote = -math.inf if life is Life.NEW else now.elapsed
        # The newest batch that is known.
        self.sequence = -1
        # What is shown of its people is what its batches up to this number have said, and what is
        # newer; -1: not so. For these sessions, by room and tag, it is what notes say instead.
        self.told_to = -1
        self.noted_instead: set[tuple[str, str]] = set()
        # Whether all was told after that number, and notes still stood in the place of its words.
        self._is_doubtful = False
        # When it was asked for all that it knows, and by which mark an answer is known.
        self.asked: float | None = None
        self.asked_mark = 0
        self.answer: Answer | None = None
        # Since when nothing more of an answer has come that it was asked for.
        self.awaited_since: float | None = None
        # What it knew by then has been heard; has been read; and has been read and taken in.
        self.confirmed_at = -math.inf
        self.written_at = -math.inf
        self.believed_at = -math.inf
        # Its newest mark, and whether it waits for that to be confirmed.
        self.mark = 0
        self.asks = False
        # The newest marks of other nodes that it has heard.
        self.marks_heard: Mapping[str, int] = {}
        # From when on somebody may wait at its door.
        self.crowd_since = math.inf
        # Which version was known everywhere when a mark of it came in.
        self.versions: deque[tuple[int, int, float]] = deque(maxlen=_MARKS)
        self.clock = PeerClock()
        # Whether it has ever said that somebody has a line there.
        self.had_lines = False
        # Whether it has ever been known whom it had: all of them.
        self.was_known = False
        # Whether it has not spoken since an outage.
        self.unconfirmed = False
        # When it fell silent or left, and whether all of its people are gone since; and when it
        # spoke first after that.
        self.ended = self.spoke_again = -math.inf
        self.is_empty = False
        # What was read of its counter, and when.
        self.counters: deque[tuple[float, int]] = deque(maxlen=8)
        self.notes = PeerNotes()

    @property
    def lives(self) -> bool:
        return self.life in _LIVING

    @property
    def has_told_nothing(self) -> bool:
        """Whether nothing that it has said of people could be taken in yet."""
        return self.sequence < 0

    @property
    def heard_until(self) -> float:
        """All that it knew by then has been heard."""
        return self.confirmed_at if self.life is Life.CURRENT else -math.inf

    @property
    def known_until(self) -> float:
        """All that it knew by then is known here."""
        return max(self.heard_until, self.believed_at)

    @property
    def last_sign(self) -> float:
        return max(self.heard, self.wrote)

    def hear_beat(self, beat: Beat, sent_at: float | None) -> None:
        if self.life is Life.CURRENT and beat.sequence != self.sequence:
            self.life = Life.BEHIND
        self.mark, self.asks = max(self.mark, beat.mark), self.asks or beat.asks
        self.marks_heard = beat.heard
        self.crowd_since = math.inf if beat.crowd is None else self.heard - beat.crowd
        if sent_at is not None:
            self.confirmed_at = max(self.confirmed_at, sent_at)

    def note_version(self, mark: int, version: int, now: Moment) -> None:
        if not self.versions or now.elapsed - self.versions[-1][2] >= _MARKS_APART:
            self.versions.append((mark, version, now.elapsed))

    def hear_batch(self, batch: Batch) -> bool:
        """Whether it is news."""
        if self.life not in (Life.CURRENT, Life.BEHIND) or batch.sequence <= self.sequence:
            return False
        if self.believed_at > self.confirmed_at:
            # It may have been on its way since before the notes were written that were read.
            self.life, self.answer = Life.BEHIND, None
            return False
        # A batch holds newest states, so it is right by itself even when one before it is missing.
        if batch.sequence != self.sequence + 1:
            self.life, self.answer = Life.BEHIND, None
        self.sequence = batch.sequence
        if batch.sequence == self.told_to + 1:
            self.told_to = batch.sequence
        self._hear_of(batch.people.states)
        return True

    def hear_part(self, part: Part, me: str) -> Answer | None:
        """The answer of which it is the next part; None if it is of none that is heard."""
        if part.heard.get(me, 0) < self.asked_mark:
            return None
        if part.part == 0 and part.sequence >= self.sequence and self._can_follow(part):
            self._begin_answer(part)
        answer = self.answer
        if answer is None or (part.number, part.part) != (answer.number, answer.parts):
            self.answer = None
            return None
        answer.parts += 1
        answer.is_whole = answer.parts == part.parts
        self._hear_of(part.people.states)
        if answer.is_whole:
            self._end_answer(answer)
        elif self.asked is not None:
            # The rest of it is on its way.
            self.asked = self.awaited_since = self.heard
        return answer

    def ask_again(self) -> None:
        """It listens again, and has not heard what it was asked before; an answer to that will do
        all the same."""
        if self.life is Life.NOTED and self.asked is not None and self.answer is None:
            self.asked = -math.inf

    def ask(self, now: Moment) -> None:
        self.asked = now.elapsed
        if self.awaited_since is None:
            self.awaited_since = now.elapsed

    def is_telling(self, now: Moment) -> bool:
        """Whether all that it knows is on its way for the first time, or is about to be asked for.
        """
        if self.was_known or self.life not in (Life.NEW, Life.BEHIND):
            return False
        return self.awaited_since is None or now.elapsed - self.awaited_since <= PATIENCE

    def speak(self, now: Moment) -> None:
        """A letter of it has come."""
        self.heard = self.spoke = now.elapsed
        if self.life is Life.SILENT and self.spoke_again < self.ended:
            self.spoke_again = now.elapsed

    def is_back(self, now: Moment) -> bool:
        """Whether it was taken for dead and has just spoken again, of what it has yet to tell."""
        again = self.spoke_again
        return self.life is Life.SILENT and self.ended <= again > now.elapsed - TELLS_WITHIN

    def lose_track(self) -> None:
        """What is shown of its people is not what it has said: it has to tell all."""
        self.told_to = -1
        self.noted_instead.clear()
        self._is_doubtful = False

    def take_notes_for_all(self) -> None:
        """What it wrote down takes the place of all that it has said."""
        self.answer, self.was_known = None, True
        self.lose_track()

    def _can_follow(self, part: Part) -> bool:
        """Whether an answer begins with all, or no later than what is known ends."""
        return part.after is None or part.after <= self.told_to

    def _begin_answer(self, part: Part) -> None:
        is_brief = part.after is not None
        replaces, dates = self.life is not Life.NEW, self.clock.is_misdated and not is_brief
        self.answer = Answer(part.number, replaces, dates, is_brief)
        self.fall_behind(part.sequence)
        if not is_brief:
            # Until it has come to its end there is a little of either.
            self.lose_track()

    def _end_answer(self, answer: Answer) -> None:
        self.answer, self.asked, self.asked_mark = None, None, 0
        self.awaited_since, self.was_known = None, True
        self.told_to = self.sequence
        if answer.is_brief and self.noted_instead:
            # They were read meanwhile, and it will say the same; or it has said so long ago.
            if self._is_doubtful:
                self.lose_track()
            else:
                self._is_doubtful = True
            return
        self.life, self.unconfirmed, self._is_doubtful = Life.CURRENT, False, False
        if answer.dates:
            self.clock.redate()

    def _hear_of(self, states: States) -> None:
        """It has said of these itself how they are."""
        if self.noted_instead:
            for room, some in states.items():
                self.noted_instead.difference_update((room, tag) for tag in some)

    def fall_behind(self, sequence: int) -> None:
        """Its batches up to a number are not known, unless they are already."""
        if self.life is not Life.CURRENT or sequence != self.sequence:
            self.life = Life.BEHIND
        self.sequence = sequence

    def count(self, counter: int, read_at: float, *, with_stays: bool) -> bool:
        """Its counter was read, no sooner than `read_at`; True if it has written since the last."""
        last = self.counters[-1] if self.counters else None
        moved = last is not None and last[1] != counter
        if moved and last is not None:
            self.wrote = last[0]
        self.counters.append((read_at, counter))
        if with_stays:
            # Of two writes the second began when whatever was known before was in it.
            behind = [at for at, number in self.counters if number + 2 <= counter]
            self.written_at = max([self.written_at, *behind])
        return moved

    def has_written_newer(self) -> bool:
        """Whether what was read of its people is surely newer than what was heard; of one that has
        not answered yet nothing was."""
        return self.has_told_nothing or self.written_at >= self.heard
