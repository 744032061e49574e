"""How far another node's clock is from one's own."""

from presence_server.presence.moment import Moment
from presence_server.presence.peer_clock import PeerClock
from presence_server.presence.timing import CLOCK_SET


def at(elapsed: float) -> Moment:
    return Moment(elapsed, 1_000 + int(elapsed))


def test_a_clock_is_as_far_off_as_its_quickest_letter_says_if_that_is_more_than_two() -> None:
    clock = PeerClock()
    assert clock.offset == 0 and clock.lateness(990, at(0)) == 0
    for behind, offset in ((5, 5), (4, 4), (9, 4), (2, 0), (3, 0)):
        clock.note(1_000 - behind, 0, at(0))
        assert clock.offset == offset
    # Eight letters are remembered.
    for offset in (0, 0, 0, 0, 0, 0, 3, 20):
        clock.note(980, 0, at(0))
        assert clock.offset == offset
    clock = PeerClock()
    clock.note(1_003, 0, at(0))
    assert clock.offset == -3
    # Of a letter that was longer on its way the rest is known.
    assert clock.lateness(1_000, at(0)) == 1 and clock.lateness(1_001, at(0)) == 0


def test_one_that_was_set_is_believed_at_once() -> None:
    clock = PeerClock()
    clock.note(1_000, 0, at(0))
    clock.note(1_000 - CLOCK_SET, 0, at(0))
    assert clock.offset == 0
    late = PeerClock()
    for behind in (CLOCK_SET - 2, CLOCK_SET - 1):
        late.note(1_000 - behind, 0, at(0))
    assert late.offset == CLOCK_SET - 2, "between two letters it was not set"
    clock.note(1_000, 0, at(0))
    clock.note(1_000 - CLOCK_SET - 1, 0, at(0))
    assert clock.offset == CLOCK_SET + 1


def test_a_clock_is_behind_only_if_a_letter_says_so_that_was_just_asked_for() -> None:
    clock = PeerClock()
    for sent_after, offset in ((None, 0), (-4.5, 0), (-3, 5), (None, 5)):
        clock.note(995, sent_after, at(0))
        assert clock.offset == offset
    clock.note(995 - 2 * CLOCK_SET, None, at(0))
    assert clock.offset == 0, "it may have been on its way for that long"
    ahead = PeerClock()
    ahead.note(1_005, None, at(0))
    assert ahead.offset == -5, "no letter comes before it was sent"
