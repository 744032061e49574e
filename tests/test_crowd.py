"""How long people have been waiting to be let in, and for how long that matters."""

from presence_server.crowd import _KNOWN_WITHIN, _NOTICED, Crowd


def test_a_crowd_is_one_from_its_first_until_its_last_have_had_time() -> None:
    crowd = Crowd()
    assert crowd.since(0) is None
    crowd.note(10, 10 + _NOTICED - 0.01)
    assert crowd.since(10.5) is None, "a slow network takes as long"
    crowd.note(10, 10 + _NOTICED)
    crowd.note(10.3, 11)
    assert crowd.since(11) == crowd.since(11 + _KNOWN_WITHIN) == 10
    assert crowd.since(11.01 + _KNOWN_WITHIN) is None
    crowd.note(20, 21)
    assert crowd.since(21) == 20


def test_who_found_no_room_in_the_queue_comes_as_much_later() -> None:
    crowd = Crowd()
    for second in range(1, 8):
        crowd.note(0, second)
    assert crowd.since(14) == 0 and crowd.since(14.1) is None


def test_who_is_sent_away_is_waited_for_until_they_can_have_come_again() -> None:
    crowd = Crowd()
    crowd.send_away(5, 10)
    crowd.send_away(7, 10)
    crowd.note(6, 7)
    assert crowd.since(17 + _KNOWN_WITHIN) == 5
    assert crowd.since(17.1 + _KNOWN_WITHIN) is None
    crowd.send_away(30, 10)
    assert crowd.since(30) == 30


def test_a_crowd_comes_in_while_who_had_to_wait_finds_a_place() -> None:
    crowd = Crowd()
    crowd.note(10, 10 + _NOTICED - 0.01)
    assert not crowd.comes_in(10.5)
    crowd.note(0, 20)
    assert crowd.comes_in(20 + _KNOWN_WITHIN) and not crowd.comes_in(20.1 + _KNOWN_WITHIN)
    crowd.send_away(30, 5)
    crowd.note(20, 31)
    assert not crowd.comes_in(31), "others need the place that a further process has"
    crowd.note(20, 37)
    assert crowd.comes_in(37)
