"""Spans, profiles and what is put together of what is said: by their values."""

import pytest

from presence_server.presence.entries import Entry
from presence_server.presence.members import Who
from presence_server.presence.moment import Moment, seconds_behind
from presence_server.presence.own_part import OwnPart
from presence_server.presence.profiles import Profile, Profiles
from presence_server.presence.timing import Timing


def test_the_parts_of_a_lease_are_those_of_the_contract() -> None:
    timing = Timing(grace=8, lease=10)
    assert (timing.beat, timing.deaf) == (2.0, 3.0)


def test_an_app_may_have_a_grace_of_its_own() -> None:
    timing = Timing(grace=8, lease=10)
    assert timing.longest_grace == 8
    timing.set_graces({7: 20.0, 70: 1.0})
    assert timing.longest_grace == 20
    graces = [timing.grace_in(room) for room in ("", "7/doc", "70/doc", "8/7", "7/a/b")]
    assert graces == [8, 20, 1, 8, 20]
    timing.set_graces({70: 1.0})
    assert timing.longest_grace == 8 and timing.grace_in("7/doc") == 8
    assert Timing(grace=0, lease=10).longest_grace == 0


@pytest.mark.parametrize(
    ("pause", "held"), [(5, 8), (10, 8), (12, 6), (17.5, 0.5), (18, 0), (30, 0)]
)
def test_after_a_pause_others_show_whom_it_had_for_what_is_left_of_lease_and_grace(
    pause: float, held: float
) -> None:
    assert Timing(grace=8, lease=10).still_held(8, pause) == held


@pytest.mark.parametrize(
    ("theirs", "behind"),
    [(98.0, 0), (97.4, 3), (-500.2, 600), (107.0, 0), (107.6, -3), (705.4, -600)],
)
def test_a_clock_is_another_that_said_a_time_too_far_from_ours(theirs: float, behind: int) -> None:
    assert seconds_behind(theirs, 100.0, 105.0) == behind


def test_a_profile_is_kept_while_there_is_anything_in_it() -> None:
    profiles = Profiles()
    assert profiles.put("alice", Profile("Alice")) and not profiles.put("alice", Profile("Alice"))
    assert not profiles.put("bob", Profile())
    profiles.fill({"carol": Profile(shows_devices=True), "dave": Profile()})
    assert len(profiles) == 2
    assert profiles.of("alice") == Profile("Alice") and profiles.of("bob") == Profile()
    assert profiles.put("alice", Profile()) and len(profiles) == 1
    assert not profiles.of("alice").name and profiles.of("carol").shows_devices


def test_where_the_site_hides_since_when_all_are_offline_nobody_can_show_it() -> None:
    profiles = Profiles(hide_last_seen=True)
    assert profiles.of("alice").hides_last_seen
    assert not profiles.put("alice", Profile()) and len(profiles) == 0
    assert profiles.put("alice", Profile("Alice"))
    assert profiles.of("alice") == Profile("Alice", hides_last_seen=True)


def test_what_was_said_by_a_user_of_a_name_is_not_taken_over_by_the_next() -> None:
    part, now = OwnPart(), Moment(1.0, 1_800_000_000)
    part.members.open("new", Who("new", "bob", account=8), 1, "online", now)
    part.say("new", None, now.unix)
    said = Entry("bob", 7, "online", now.unix, order=now.unix, about={"data": {"row": 7}})
    assert list(part.take_over_about("old", said)) == []
    ((tag, entry),) = part.take_over_about("old", said._replace(account=8))
    assert (tag, entry.about) == ("new", said.about)
