"""The spans of time that depend on each other, in one place. All are in seconds."""

from collections.abc import Mapping

# What is due by the clock is seen to at least so often.
TICK = 0.1
# Changes are gathered so long before they go to the other nodes.
BATCHING = 0.025
# A clock that went on so much without a tick means that this process stood still.
PAUSE = 1.1
# A wall clock that goes back further has been wrong: what it said of times to come gives way.
CLOCK_WRONG = 5
# The clocks of nodes may be so far apart: what is later than this is by a clock that is wrong.
CLOCKS_DIFFER = 60
# So far apart they are not told from clocks that agree: a letter may be that late.
CLOCKS_ALIKE = 2
# No letter is on its way for so long: the clock of its sender, or one's own, has been set.
CLOCK_SET = 300
# Marks that other nodes are asked to confirm lie so far apart at least.
ASKING = 0.1
# Until a snapshot that did not come is asked for again.
PATIENCE = 1.0
# A node that speaks again is asked and has told all, if it hears, within this time.
TELLS_WITHIN = 0.5
# Who is here is written down, and what others wrote is read, so often; and while that is all that
# others have: somebody's end waits for two writings and a reading.
NOTES = 0.5
NOTES_UNHEARD = 0.25
# What was read of a line has been read by all, once its node has written so much later, and that
# is read: of a node that was given up others have to read twice.
ALL_READ = NOTES
# A node that has not written for so long does not run, or cannot write.
WRITES_WITHIN = 1.6
# One that has itself not written for so long perhaps cannot, and then nor can others.
DOUBTS_WRITING = 1.1
# Nobody has come to a node that fell silent so soon, unless it said so.
SHORT_LIFE = 3.0
# Readings that lie further apart have missed something.
READINGS_APART = 4 * NOTES
# Ended sessions are read so often.
ENDINGS = 0.7
# So long, at most, the end of a session waits for other nodes that do not answer; with the relay
# away, for what they write down.
ENDED_WAITS = 1.0
ENDED_WAITS_UNHEARD = 2.5
# So long, at most, whoever comes from another node waits for what that is about to tell of them.
ARRIVAL_WAITS = 1.0
# A node that starts gives the others so long to answer at first, and so long at most.
FIRST_ANSWERS = 0.3
LONGEST_SETTLING = 3.0

# Parts of a lease: a beat every fifth of it, deaf after 0.3 of it (docs/design.md).
BEAT = 0.2
DEAF = 0.3

# A late tick is no pause, and a pause is noticed before anybody could be missed for it.
assert 4 * (TICK + BATCHING) < PAUSE
# A node hears itself more than once before it takes itself for deaf.
assert BEAT < DEAF
# A question and its answer fit in before the end of a session is told without it.
assert ASKING + 2 * (TICK + BATCHING) < ENDED_WAITS
assert ASKING + 2 * (TICK + BATCHING) < ARRIVAL_WAITS
assert ASKING + 2 * (TICK + BATCHING) < TELLS_WITHIN
# Where nodes have no other way to answer, they do within the second that is promised.
assert 3 * NOTES_UNHEARD < 1.0
# A writing may come late; but before others take a node for one that cannot, it does so itself.
assert 2 * NOTES < DOUBTS_WRITING < WRITES_WITHIN
# A node that starts hears answers, and finds out which nodes write, before it lets people in.
assert 2 * (TICK + BATCHING) < FIRST_ANSWERS
assert WRITES_WITHIN < LONGEST_SETTLING
# A node's counter moves by two, and that is read, within this time.
assert 4 * NOTES < ENDED_WAITS_UNHEARD
# An ended session loses its sockets within a second.
assert ENDINGS + TICK < 1.0


class Timing:
    """What is set: how long people are kept after their last line, nodes after their last word."""

    def __init__(self, grace: float, lease: float) -> None:
        self.grace = grace
        self.lease = lease
        # By the first part of the keys of rooms.
        self._of_apps: dict[str, float] = {}

    @property
    def beat(self) -> float:
        return BEAT * self.lease

    @property
    def deaf(self) -> float:
        return DEAF * self.lease

    @property
    def longest_grace(self) -> float:
        return max(self.grace, *self._of_apps.values(), 0.0)

    def grace_in(self, room: str) -> float:
        """An app may have a grace of its own."""
        return self._of_apps.get(room.partition("/")[0], self.grace)

    def set_graces(self, of_apps: Mapping[int, float]) -> None:
        """From now on; a grace that has begun ends as it was to."""
        self._of_apps = {str(app): grace for app, grace in of_apps.items()}

    def still_held(self, grace: float, pause: float) -> float:
        """How long after a pause of this process others may still show whom it had, at most a
        grace: they let its people go a lease and a grace after they heard it last."""
        return min(grace, max(0.0, self.lease + grace - pause))
