"""What is to be written down, and what of that is read by others."""

from typing import Any

from presence_server.presence.choices import Choice
from presence_server.presence.members import Who
from presence_server.presence.moment import Moment
from presence_server.presence.node import Node
from presence_server.presence.records import OWN, Chosen, Notes, Record, Stay
from tests.presence.test_conclusions import EPOCH, ONE, Scene

NOTHING = Record([], set(), {}, [])


def at(elapsed: float) -> Moment:
    return Moment(elapsed, 1_000 + int(elapsed))


def node() -> Node:
    return Node(f"{1:016x}", grace=8, lease=10, now=at(0))


def open_line(one: Node, session: str = "laptop", user: str = "alice", **more: Any) -> None:
    one.open(OWN, Who(session, user, 1, **more), 1, at(0))


def test_all_that_is_known_of_a_session_is_written() -> None:
    one = node()
    open_line(one, about={"device": "phone"}, until=1_500)
    one.set_status(OWN, "laptop", 1, "away", at(2))
    stay = Stay(
        OWN, "laptop", "alice", 1, "away", 1_002, '{"device": "phone"}', None, 1_500, 1_000
    )
    assert one.take_record(at(2)) == Record([stay], set(), {}, [])
    assert one.take_record(at(2)) == NOTHING
    one.close(OWN, "laptop", 1, at(3))
    (closed,) = one.take_record(at(4.5)).here
    assert closed == stay._replace(resting=1.5)


def test_who_was_touched_and_is_not_here_is_gone() -> None:
    one = node()
    one.own.touch_all()
    one.extend(OWN, "laptop", 1_500)
    assert one.take_record(at(0)) == NOTHING
    open_line(one)
    one.take_record(at(0))
    one.close(OWN, "laptop", 1, at(0))
    one.tick(at(0))
    one.end("laptop", 1_000, at(0))
    for second in range(1, 4):
        one.tick(at(second))
    assert one.take_record(at(3)) == Record([], {(OWN, "laptop")}, {"alice": 1_000}, [])


def test_a_choice_is_written_as_it_is_now() -> None:
    one = node()
    one.choose(0, "alice", "away", at(0), account=3)
    one.choose(0, "alice", "invisible", at(1), text="mine", until=1_900)
    one.choose(7, "bob", "busy", at(1), text="lunch")
    chosen = sorted(one.take_record(at(1)).choices)
    assert chosen == [
        Chosen(0, "alice", 3, "invisible", "mine", 1_900, 1_001_000, since=1_001),
        Chosen(7, "bob", 0, "busy", "lunch", None, 1_001_000, since=1_001),
    ]
    assert one.take_record(at(1)) == NOTHING
    assert sorted(one.take_record(at(1), whole=True).choices) == chosen


def test_what_others_go_on_reading_of_somebody_invisible_is_written_too() -> None:
    one = node()
    open_line(one)
    one.choose(0, "alice", "busy", at(0), text="lunch", until=1_800)
    one.choose(0, "alice", "invisible", at(1), text="mine", until=1_900)
    (chosen,) = one.take_record(at(1)).choices
    assert (chosen.text, chosen.until) == ("mine", 1_900)
    assert (chosen.seen_text, chosen.seen_until) == ("lunch", 1_800)
    # They stay so when they choose to be invisible once more.
    one.choose(0, "alice", "invisible", at(2))
    (chosen,) = one.take_record(at(2)).choices
    assert (chosen.text, chosen.seen_text, chosen.seen_until) == ("", "lunch", 1_800)
    one.choose(0, "alice", "away", at(3))
    (chosen,) = one.take_record(at(3)).choices
    assert (chosen.seen_text, chosen.seen_until) == ("", None)


def test_who_hides_was_seen_last_when_they_chose_to() -> None:
    one = node()
    open_line(one)
    one.choose(0, "alice", "invisible", at(5))
    assert one.take_record(at(5)).last_seen == {"alice": 1_005}
    one.end("laptop", 1_009, at(9))
    for second in range(10, 14):
        one.tick(at(second))
    assert not one.own.are_in(OWN, "laptop") and one.take_record(at(13)).last_seen == {}


def test_whoever_is_not_here_was_not_seen_when_they_choose() -> None:
    one = node()
    one.choose(0, "alice", "invisible", at(5))
    one.open("7/doc", Who("7:bob", "bob"), 1, at(5))
    one.choose(7, "bob", "invisible", at(5))
    assert one.take_record(at(5)).last_seen == {}


# Reading


def test_choices_that_were_written_hold_and_unknown_ones_are_none() -> None:
    one = node()
    written = [
        Chosen(0, "alice", 3, "invisible", "mine", 1_900, 1_000_500, "lunch", 1_800),
        Chosen(7, "bob", 0, "dancing", "words", None, 1_000_500),
        Chosen(7, "carol", 0, None, "", None, 1_000_500),
    ]
    one.heed(Notes({}, None, written), 1.0, at(1))
    assert one.choices.holding(0, "alice") == Choice(
        3, 1_000_500, "invisible", "mine", 1_900, "lunch", 1_800, 1_000, is_dated=False
    )
    bob = one.choices.holding(7, "bob")
    assert bob is not None and (bob.status, bob.text) == (None, "words")
    assert one.choices.holding(7, "carol") is None
    assert one.choices.newest(7, "carol") == Choice(0, 1_000_500, since=1_000, is_dated=False)


def test_a_stay_is_shown_as_it_was_written() -> None:
    scene = Scene(ONE)
    scene.fall_deaf()
    open_stay = Stay(OWN, "laptop", "alice", 1, "away", EPOCH - 5, '{"a": 1}', came=EPOCH - 9)
    resting = open_stay._replace(session="phone", resting=2.5)
    in_app = open_stay._replace(room="7/doc", session="7:alice", account=0)
    for _ in range(3):
        scene.second += 0.5
        scene.read_notes({ONE: [open_stay, resting, in_app]})
    entries = {
        source.tag: entry for source, entry in scene.node.rooms.own.roster.entries("alice").items()
    }
    laptop, phone = entries["laptop"], entries["phone"]
    assert (laptop.account, laptop.status, laptop.since) == (1, "away", EPOCH - 5)
    assert (laptop.left, laptop.left_second, laptop.came) == (None, 0, EPOCH - 9)
    assert laptop.about == {"a": 1}
    assert phone.left is not None and phone.left_second == EPOCH + 1 - 2
    assert scene.second - phone.left == 2.5
    entries = {
        source.tag: entry
        for source, entry in scene.node.rooms.open("7/doc").roster.entries("alice").items()
    }
    assert set(entries) == {":alice"}


def test_notes_of_nodes_that_are_heard_do_not_matter() -> None:
    scene = Scene(ONE)
    scene.wait(1, beats=True)
    assert scene.node.heeding.well_heard(scene.now) == {ONE}
    assert not scene.node.heeding.is_unheard(scene.now)
    for _ in range(3):
        scene.second += 0.5
        scene.do(scene.node.tick(scene.now))
        scene.read_notes({ONE: [Stay(OWN, "laptop", "alice", 1, "online", EPOCH)]})
    assert not scene.is_here()
    scene.others = ()
    scene.wait(2)
    assert scene.node.heeding.well_heard(scene.now) == frozenset()
    assert scene.node.heeding.is_unheard(scene.now)


def test_a_node_that_is_alone_has_nobody_to_read_of() -> None:
    scene = Scene()
    scene.wait(1)
    assert not scene.node.heeding.is_unheard(scene.now)
    scene.fall_deaf()
    assert scene.node.heeding.is_unheard(scene.now)
