"""What is shown of somebody of whom several things are said."""

from typing import Any

from presence_server.presence.choices import Choice
from presence_server.presence.entries import ARRIVING, Entry, Source
from presence_server.presence.merging import about_of, counted, left_behind, look_alike, status_of
from presence_server.presence.profiles import NO_PROFILE, Profile


def entry(status: Any = "online", order: int = 0, left: float | None = None, **about: Any) -> Entry:
    return Entry("alice", 1, status, 100, left, 0, order, about)


def source(node: str, tag: str) -> Source:
    return Source(node, "", tag)


def test_of_a_session_its_open_lines_count_or_where_it_left_last() -> None:
    first, second = entry("away", left=5.0), entry("online", left=6.0)
    assert counted({source("a", "s"): first}) == [first]
    assert counted({source("a", "s"): first, source("b", "s"): second}) == [second]
    assert counted({source("a", "s"): second, source("b", "s"): first}) == [second]
    assert counted({source("a", "s"): first, source("b", "t"): second}) == [first, second]
    opened, other = entry("away"), entry("busy")
    lines = {source("a", "s"): second, source("b", "s"): opened, source("c", "s"): other}
    assert counted(lines) == [opened, other]
    # Who is about to open a line is as others say; and who left at 0 left before who left later.
    arriving, start = entry("busy", left=ARRIVING), entry("away", left=0.0)
    assert counted({source("a", "s"): arriving, source("b", "s"): start}) == [start]
    assert counted({source("a", "s"): start, source("b", "s"): entry("busy", left=0.5)}) == [
        entry("busy", left=0.5)
    ]
    assert counted({}) == []


def test_a_choice_of_a_status_beats_what_sessions_say() -> None:
    lines = [entry("away"), entry("busy")]
    assert status_of(lines, None) == "busy" and status_of(lines[:1], None) == "away"
    assert status_of(lines, Choice(1, 2, "away")) == "away"
    assert status_of(lines, Choice(1, 2, None, "words alone")) == "busy"
    assert status_of(lines[:1], Choice(1, 2, "invisible")) == "away"


def test_the_newest_that_was_said_is_shown() -> None:
    first, second = entry(order=1, text="one"), entry(order=2, text="two")
    assert about_of([first], None, NO_PROFILE) == {"text": "one"}
    assert about_of([second, first], None, NO_PROFILE) == {"text": "two"}
    # What was issued last beats what was said last, and when it was is told nobody.
    issued = entry(order=1, text="three", issued=7)
    assert about_of([issued, second], None, NO_PROFILE) == {"text": "three"}
    first_ever = entry(order=1, text="four", issued=1)
    assert about_of([second, first_ever], None, NO_PROFILE) == {"text": "four"}
    assert about_of([entry(issued=7)], None, NO_PROFILE) == {}


def test_devices_are_shown_of_all_sessions_where_their_user_allows_it() -> None:
    lines = [entry(device="phone"), entry(device="desktop"), entry(device="phone"), entry()]
    assert about_of(lines, None, NO_PROFILE) == {}
    shown = about_of(lines, None, Profile(shows_devices=True))
    assert shown == {"devices": ["desktop", "phone"]}
    assert about_of([entry()], None, Profile(shows_devices=True)) == {}


def test_a_name_and_the_words_of_a_choice_stand_beside_it() -> None:
    lines, alice = [entry(data={"page": 2})], Profile("Alice")
    assert about_of(lines, None, alice) == {"name": "Alice", "data": {"page": 2}}
    assert about_of([entry(name="Of a token")], None, alice) == {"name": "Of a token"}
    words = {"name": "Alice", "data": {"page": 2}, "text": "lunch", "until": 200}
    assert about_of(lines, Choice(1, 2, "busy", "lunch", 200), alice) == words
    assert about_of([entry()], Choice(1, 2, "busy", "", 200), NO_PROFILE) == {"until": 200}
    assert about_of([entry()], Choice(1, 2, None, "lunch"), NO_PROFILE) == {"text": "lunch"}
    assert about_of([entry()], Choice(1, 2, "busy"), NO_PROFILE) == {}


def test_what_is_left_beside_somebody_who_is_offline() -> None:
    assert left_behind(None, NO_PROFILE) == {} and left_behind(None, Profile("A")) == {"name": "A"}
    chosen = Choice(1, 2, "busy", "back at two", 200)
    assert left_behind(chosen, NO_PROFILE) == {"text": "back at two", "until": 200}
    assert left_behind(Choice(1, 2, "busy", "", 200), NO_PROFILE) == {}
    hidden = Choice(1, 3, "invisible", "for me alone", 300, "in", 250)
    assert left_behind(hidden, Profile("A")) == {"name": "A", "text": "in", "until": 250}


def test_two_sessions_look_alike_if_others_can_be_told_the_same_of_both() -> None:
    phone, shows = entry("away", text="in", device="phone"), Profile(shows_devices=True)
    computer = entry("away", text="in", device="computer")
    assert look_alike(phone, phone, shows)
    assert look_alike(phone, computer, NO_PROFILE)
    assert not look_alike(phone, computer, shows)
    assert look_alike(phone, entry("away", text="in"), NO_PROFILE)
    assert not look_alike(phone, entry("away", text="out"), NO_PROFILE)
    assert not look_alike(phone, phone._replace(status="busy"), NO_PROFILE)
