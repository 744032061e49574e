"""What is to be written of who came and left."""

from presence_server.presence.timing import CLOCKS_DIFFER
from presence_server.presence.visits import Visit, Visits

ROOM = "1/doc"


def following(*here: str) -> Visits:
    """They came one after the other, from second 100 on."""
    visits = Visits()
    for second, user in enumerate(here, 100):
        visits.see(ROOM, user, 7, True, second)
    return visits


def test_a_visit_is_written_when_it_begins_and_when_it_ends() -> None:
    visits = following("alice")
    begun = Visit(ROOM, "alice", 7, 100)
    assert visits.rooms() == [ROOM]
    assert visits.take() == [begun] and visits.take() == []
    visits.see(ROOM, "alice", 7, True, 105)
    assert visits.take() == []
    visits.see(ROOM, "alice", 0, False, 110)
    assert visits.take() == [begun._replace(left=110)] and visits.rooms() == []
    visits.see(ROOM, "alice", 0, False, 111)
    visits.see("1/other", "bob", 0, False, 111)
    assert visits.take() == []


def test_a_name_that_somebody_else_has_by_now_begins_another_visit() -> None:
    visits = following("alice")
    visits.take()
    visits.see("", "alice", 3, True, 100)
    visits.see("", "alice", 4, True, 101)
    visits.see("", "alice", 3, True, 102)
    # What was kept of the former is deleted: to end it would end that of the latter.
    assert visits.take() == [Visit("", "alice", 4, 101)]
    visits.see("", "alice", 0, False, 103)
    assert visits.take() == [Visit("", "alice", 4, 101, 103)]
    visits.see_all(ROOM, {"alice": (8, 104)}, {}, 105)
    assert visits.take() == [Visit(ROOM, "alice", 8, 104)]


def test_one_that_ends_before_it_was_written_is_written_once_and_never_backwards() -> None:
    visits = following("alice", "bob")
    visits.see(ROOM, "alice", 0, False, 90)
    assert visits.take() == [Visit(ROOM, "bob", 7, 101), Visit(ROOM, "alice", 7, 100, 100)]
    assert visits.rooms() == [ROOM]


def test_who_is_no_longer_among_those_who_are_here_has_left() -> None:
    visits = following("alice", "bob", "carol")
    visits.take()
    visits.see_all(ROOM, {"alice": (7, 120), "dave": (8, 121)}, {"bob": 115}, 130)
    assert sorted(visits.take()) == [
        Visit(ROOM, "bob", 7, 101, 115),
        Visit(ROOM, "carol", 7, 102, 130),
        Visit(ROOM, "dave", 8, 121),
    ]
    visits.see_all("1/empty", {}, {}, 130)
    assert visits.rooms() == [ROOM] and visits.take() == []


def test_the_next_to_write_goes_on_with_what_was_written() -> None:
    visits = Visits()
    visits.see(ROOM, "alice", 0, True, 100)
    visits.see(ROOM, "bob", 0, True, 101)
    visits.see(ROOM, "bob", 0, False, 102)
    written = [Visit(ROOM, "alice", 0, 90), Visit(ROOM, "carol", 0, 80)]
    visits.go_on(written, known_until=99)
    bob, carol = Visit(ROOM, "bob", 0, 101, 102), Visit(ROOM, "carol", 0, 80, 99)
    assert visits.take() == [bob, carol]
    visits.see(ROOM, "alice", 0, False, 103)
    assert visits.take() == [Visit(ROOM, "alice", 0, 90, 103)]


def test_what_nobody_has_written_is_written_by_the_next() -> None:
    visits = following("alice", "bob")
    visits.take()
    visits.see(ROOM, "bob", 0, False, 110)
    visits.see(ROOM, "bob", 7, True, 120)
    visits.take()
    visits.go_on([Visit(ROOM, "dave", 9, 50)], known_until=None)
    # Of dave it is not known how long he stayed.
    assert sorted(visits.take()) == [
        Visit(ROOM, "alice", 7, 100),
        Visit(ROOM, "bob", 7, 120),
        Visit(ROOM, "dave", 9, 50, 50),
    ]


def test_who_came_back_is_written_anew_beside_what_has_ended() -> None:
    visits = following("alice")
    visits.see(ROOM, "alice", 0, False, 110)
    visits.see(ROOM, "alice", 7, True, 120)
    visits.go_on([Visit(ROOM, "alice", 7, 100)], known_until=99)
    assert visits.take() == [Visit(ROOM, "alice", 7, 100, 110), Visit(ROOM, "alice", 7, 120)]


def test_what_was_written_by_a_clock_that_is_ahead_ends() -> None:
    visits = Visits()
    visits.see(ROOM, "alice", 0, True, 100)
    visits.see(ROOM, "alice", 0, False, 102)
    visits.go_on([Visit(ROOM, "alice", 0, 700)], known_until=99)
    assert visits.take() == [Visit(ROOM, "alice", 0, 700, 700)]
    visits = following("alice")
    visits.see(ROOM, "alice", 0, False, 102)
    visits.go_on([Visit(ROOM, "alice", 7, 102)], known_until=99)
    assert visits.take() == [Visit(ROOM, "alice", 7, 100, 102)]


def test_what_could_not_be_written_is_written_before_what_came_since() -> None:
    visits = following("alice", "bob")
    news = visits.take()
    visits.see(ROOM, "alice", 0, False, 110)
    visits.see(ROOM, "carol", 7, True, 111)
    visits.give_back(news)
    assert visits.take() == [
        Visit(ROOM, "bob", 7, 101),
        Visit(ROOM, "alice", 7, 100, 110),
        Visit(ROOM, "carol", 7, 111),
    ]


def test_what_ended_long_ago_has_been_written_by_whoever_writes() -> None:
    visits = following("alice", "bob", "carol")
    visits.see(ROOM, "alice", 0, False, 110)
    visits.see(ROOM, "bob", 0, False, 111)
    visits.forget(111)
    assert visits.take() == [Visit(ROOM, "bob", 7, 101, 111)]


def test_of_those_that_nobody_can_write_the_last_are_remembered() -> None:
    visits = following("alice", "bob", "carol", "dave")
    for second, user in enumerate(("carol", "bob", "alice"), 110):
        visits.see(ROOM, user, 0, False, second)
    visits.forget_all_but(4)
    visits.forget_all_but(2)
    dave, bob = Visit(ROOM, "dave", 7, 103), Visit(ROOM, "bob", 7, 101, 111)
    assert visits.take() == [dave, bob, Visit(ROOM, "alice", 7, 100, 112)]
    # Whose end is no longer remembered was here as long as somebody could write.
    visits.go_on([Visit(ROOM, "carol", 7, 102)], known_until=105)
    assert Visit(ROOM, "carol", 7, 102, 105) in visits.take()


def test_of_a_room_that_is_left_out_nothing_is_kept() -> None:
    visits = following("alice", "bob")
    visits.see("1/other", "carol", 7, True, 102)
    visits.see(ROOM, "bob", 0, False, 103)
    visits.leave_out([ROOM, "1/unknown"])
    assert visits.rooms() == ["1/other"] and visits.take() == [Visit("1/other", "carol", 7, 102)]
    visits.see(ROOM, "alice", 0, False, 110)
    assert visits.take() == []


def test_seconds_to_come_were_said_by_a_wrong_clock() -> None:
    now, ahead = 1_000, 1_000 + CLOCKS_DIFFER
    visits = Visits()
    for user, came in (("alice", ahead), ("bob", ahead + 1), ("carol", 900), ("dave", 900)):
        visits.see(ROOM, user, 7, True, came)
    visits.see(ROOM, "carol", 0, False, ahead)
    visits.see(ROOM, "dave", 0, False, ahead + 1)
    visits.recede(now)
    assert sorted(visits.take()) == [
        Visit(ROOM, "alice", 7, ahead),
        Visit(ROOM, "bob", 7, now),
        Visit(ROOM, "carol", 7, 900, ahead),
        Visit(ROOM, "dave", 7, 900, now),
    ]
