"""What one node may conclude from its own beats, and what from its own pauses."""

import math

import pytest

from presence_server.presence.hearing import Contact, Hearing
from presence_server.presence.moment import Moment
from presence_server.presence.timing import NOTES, PAUSE, WRITES_WITHIN, Timing

DEAF = 3.0


def at(elapsed: float) -> Moment:
    return Moment(elapsed, int(elapsed))


def hearing(began: float = 100.0) -> Hearing:
    """Of a node that runs."""
    one = Hearing(Timing(grace=8, lease=10), at(began))
    one.notice(at(began), tick=True)
    return one


def contact(one: Hearing) -> Contact:
    return one.contact


def wakes(one: Hearing) -> bool:
    return one.is_waking


def reads(one: Hearing) -> bool:
    return one.is_reading


def test_a_beat_is_due_at_once_and_then_after_its_time() -> None:
    one = hearing()
    assert one.is_beat_due(2.0, at(100)) and one.next_mark == 1
    assert one.beat(0, at(100)) == 1 and one.next_mark == 2
    one.echo(1, at(100.1))
    assert not one.is_beat_due(2.0, at(101.9)) and one.is_beat_due(2.0, at(102))


def test_what_comes_back_says_until_when_all_has_been_read() -> None:
    one = hearing()
    first, second = one.beat(5, at(101)), one.beat(7, at(102))
    assert (one.read_until, one.said_version, one.echoed_mark) == (100, 0, 0)
    assert (one.sent_at(first), one.sent_at(second), one.sent_at(3)) == (101, 102, None)
    assert not one.echo(second, at(102.5))
    assert (one.read_until, one.said_version, one.echoed_mark) == (102, 7, second)
    assert not one.echo(first, at(102.6)) and not one.echo(9, at(102.6))
    assert (one.read_until, one.said_version, one.echoed_mark) == (102, 7, second)


def test_the_first_mark_after_a_moment() -> None:
    one = hearing()
    for second in (101, 102, 103):
        one.beat(0, at(second))
    marks = [one.first_mark_after(second) for second in (100.0, 101.0, 101.5, 103.0, 103.5)]
    assert marks == [1, 1, 2, 3, 0]


def test_no_more_than_a_thousand_beats_are_remembered() -> None:
    one = hearing()
    for number in range(1_001):
        one.beat(0, at(101 + number))
    assert one.sent_at(1) is None and one.sent_at(2) == 102 and len(one._sent) == 1_000


def test_one_that_hears_nothing_is_deaf_after_its_time_and_asks_for_another_subscription() -> None:
    one = hearing()
    assert not one.tick(at(100 + DEAF)) and contact(one) is Contact.HEARS
    assert one.tick(at(100 + DEAF + 0.1)) and contact(one) is Contact.DEAF and one.silences == 1
    assert not one.tick(at(106)) and one.tick(at(106.1)) and one.silences == 1
    one.subscribed(at(106.5), others=True)
    assert contact(one) is Contact.DEAF
    assert not one.tick(at(109.4)) and one.tick(at(109.5))


def test_one_that_hears_itself_again_waits_until_others_had_their_time_to_speak() -> None:
    one = hearing()
    one.lost()
    mark = one.beat(4, at(101))
    assert one.echo(mark, at(101 + DEAF)) and contact(one) is Contact.CATCHES_UP
    assert (one.read_until, one.echoed_mark, one.said_version) == (101, mark, 4)
    again = one.beat(4, at(104.5))
    assert not one.echo(again, at(104.6))
    assert not one.tick(at(106.9)) and contact(one) is Contact.CATCHES_UP
    assert not one.tick(at(107)) and contact(one) is Contact.HEARS
    one.lost()
    assert not one.echo(again, at(107.4)) and contact(one) is Contact.DEAF, "it came before"
    late = one.beat(0, at(110))
    assert not one.echo(late, at(113.1)) and contact(one) is Contact.DEAF
    assert one.echoed_mark == again, "that was too long on its way to be believed"


def test_after_a_new_subscription_others_are_waited_for_if_there_are_any() -> None:
    one = hearing()
    one.subscribed(at(101), others=False)
    assert contact(one) is Contact.HEARS
    one.subscribed(at(101), others=True)
    assert contact(one) is Contact.CATCHES_UP
    one.echo(one.beat(0, at(103)), at(103))
    one.tick(at(103.9))
    assert contact(one) is Contact.CATCHES_UP
    one.tick(at(104))
    assert contact(one) is Contact.HEARS


def test_a_pause_is_noticed_and_what_came_in_meanwhile_is_to_be_read() -> None:
    one = hearing()
    one.notice(at(101), tick=True)
    assert one.notice(at(101 + PAUSE - 0.01)) == 0 and one.paused_for == 0
    one.notice(at(102), tick=True)
    assert one.notice(at(105)) == 3 and wakes(one) and one.paused_for == 3
    assert one.awake_since == 105 and reads(one) and one.notice(at(105.5)) == 0
    assert one.notice(at(107)) == 2 and one.paused_for == 5, "it woke from none yet"
    assert not one.tick(at(110)) and contact(one) is Contact.HEARS, "silence counts from then on"
    one.woke()
    assert not wakes(one) and reads(one)
    one.echo(one.beat(0, at(110)), at(110))
    assert not reads(one)
    assert one.notice(at(112)) == 5 and one.paused_for == 5
    one.lost()
    assert not reads(one), "nothing is on its way to who hears nothing"


def test_after_a_pause_of_nearly_a_lease_notes_may_not_have_been_read_again() -> None:
    for pause, is_long in ((10 - 2 * NOTES - 0.1, False), (10 - 2 * NOTES, True)):
        one = hearing()
        one.notice(at(100 + pause))
        began = 100.0 if is_long else math.inf
        assert one.notes_unread_since(at(100 + pause)) == pytest.approx(began)
        over = 100 + pause + WRITES_WITHIN + NOTES
        assert one.notes_unread_since(at(over - 0.1)) == pytest.approx(began)
        assert one.notes_unread_since(at(over + 0.1)) == math.inf
    assert hearing().notes_unread_since(at(100)) == math.inf, "it has just begun"


def test_a_pause_of_just_so_much_counts() -> None:
    one = hearing(0.0)
    assert one.notice(at(PAUSE)) == PAUSE and one.paused_for == PAUSE


def test_a_start_that_takes_long_is_no_pause() -> None:
    one = Hearing(Timing(grace=8, lease=10), at(100))
    assert one.notice(at(104)) == 0 and one.notice(at(108), tick=True) == 0
    assert not wakes(one) and not reads(one) and one.notes_unread_since(at(108)) == math.inf
    assert not one.tick(at(108 + DEAF)), "nor has it heard nothing in all that time"
    assert one.tick(at(108 + DEAF + 0.1)) and contact(one) is Contact.DEAF
    assert one.notice(at(112)) == 4
