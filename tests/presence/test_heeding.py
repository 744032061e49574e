"""What follows from what other nodes wrote down, beside what is heard of them: each value."""

import math

from presence_server.presence.commands import Send
from presence_server.presence.entries import Entry
from presence_server.presence.letters import Batch, Beat, Letter, Part, People
from presence_server.presence.moment import Moment
from presence_server.presence.node import Node
from presence_server.presence.peer import Life, Peer
from presence_server.presence.reading import parse_letter
from presence_server.presence.records import OWN, Notes, Stay
from presence_server.presence.writing import encode_letter

ME, ONE = f"{1:016x}", f"{2:016x}"
# As the keys of sessions are: longer than what they are called by between nodes.
KEY = "7c" * 32
LINE = Stay(OWN, KEY, "alice", 1, "away", 995)
CLAIM = Stay("7/doc", "7.bob", "bob", 0, "busy", 990, '{"n": 1}', -20.0, came=980)


def at(elapsed: float) -> Moment:
    return Moment(elapsed, 1_000 + int(elapsed))


def node() -> Node:
    return Node(ME, grace=8, lease=10, now=at(0))


def tell(one: Node, now: Moment, part: int = 0, parts: int = 0) -> None:
    one.receive(encode_letter(Part(ONE, 0, 1, part, parts, now.unix, People({}, {}), {ME: 9})), now)


def tell_all(one: Node, now: Moment) -> None:
    tell(one, now, parts=1)


def peer(one: Node) -> Peer:
    found = one.peers.get(ONE)
    assert found is not None
    return found


def test_what_is_read_is_shown_with_all_that_was_written() -> None:
    one = node()
    one.lost()
    one.heed(Notes({ONE: 1}, {ONE: [LINE, CLAIM]}, []), 0.5, at(0.5))
    assert one.rooms.own.views[ONE] == {KEY[:20]: Entry("alice", 1, "away", 995)}
    claim = Entry("bob", 0, "busy", 990, 20.5, 1_028, 0, {"n": 1}, 980)
    assert one.rooms.open("7/doc").views[ONE] == {".bob": claim}


def test_a_node_that_stopped_unheard_leaves_its_people_in_their_grace() -> None:
    one = node()
    one.lost()
    one.heed(Notes({}, {}, [], stopped={ONE: [LINE, CLAIM]}), 0.5, at(0.5))
    assert peer(one).life is Life.LEFT
    line = Entry("alice", 1, "away", 995, 0.5, 1_000)
    assert one.rooms.own.views[ONE] == {KEY[:20]: line}
    claim = Entry("bob", 0, "busy", 990, 20.5, 1_028, 0, {"n": 1}, 980)
    assert one.rooms.open("7/doc").views[ONE] == {".bob": claim}


def test_of_one_that_does_not_answer_is_shown_what_it_wrote() -> None:
    """It may have died as it was heard first: others know its people."""
    one = node()
    one.receive(encode_letter(Beat(ONE, 5, 7, 1_000, False, {})), at(0))
    one.tick(at(0.1))
    one.heed(Notes({ONE: 1}, {ONE: [LINE]}, []), 1.1, at(1.2))
    assert peer(one).life is Life.NEW and set(one.rooms.own.views.get(ONE, ())) == {KEY[:20]}
    assert peer(one).known_until == -math.inf
    tell_all(one, at(1.5))
    one.heed(Notes({ONE: 1}, {ONE: [LINE, CLAIM]}, []), 2, at(2))
    assert "7/doc" not in {room.key for room in one.rooms}, "what it says is newer"


def test_what_was_written_is_not_read_while_it_is_told() -> None:
    """Of a hundred thousand people it takes long to read what is just being said."""
    one = node()
    one.receive(encode_letter(Beat(ONE, 5, 7, 1_000, False, {})), at(0))
    assert one.heeding.well_heard(at(0)) == {ONE}, "it is asked at the next tick"
    one.tick(at(0.1))
    one.tick(at(1.1))
    assert one.heeding.well_heard(at(1.1)) == {ONE} and not one.heeding.is_unheard(at(1.1))
    assert not one.heeding.well_heard(at(1.2)), "it was asked again, and has not answered yet"
    for part in range(3):
        tell(one, at(1.5 + part), part)
        assert one.heeding.well_heard(at(2.5 + part)) == {ONE}, "the rest is on its way"
    assert not one.heeding.well_heard(at(4.6)), "it was broken off"
    tell(one, at(5), 3, parts=4)
    one.receive(encode_letter(Beat(ONE, 7, 8, 1_007, False, {})), at(7))
    assert peer(one).life is Life.BEHIND
    assert not one.heeding.well_heard(at(7)), "others wait for what is known of it"


def test_one_that_is_gone_from_what_is_read_is_not_waited_for() -> None:
    one = node()
    tell_all(one, at(0))
    one.heed(Notes({ONE: 1}, None, []), 0.2, at(0.2))
    one.lost()
    assert peer(one).unconfirmed
    one.heed(Notes({}, {}, []), 0.5, at(0.5))
    assert (peer(one).life, peer(one).unconfirmed) == (Life.SILENT, False)


def test_one_that_was_given_up_lives_when_it_is_seen_to_write() -> None:
    one = node()
    tell_all(one, at(0))
    one.peers.forget(ONE)
    for counter in (7, 7):
        one.heed(Notes({ONE: counter}, None, []), 0.5, at(0.5))
        assert one.peers.get(ONE) is None
    one.heed(Notes({ONE: 8}, None, []), 0.5, at(0.5))
    assert peer(one).life is Life.NOTED


def test_counters_alone_do_not_say_that_all_was_read() -> None:
    for stays, unread, known in (
        (None, [], -math.inf),
        ({}, [ONE], -math.inf),
        ({}, [], 0.5),
    ):
        one = node()
        for counter in (1, 2, 3):
            second = counter / 2
            notes = Notes({ONE: counter}, stays, [], unread=unread)
            one.heed(notes, second, at(second))
        assert peer(one).written_at == known


def test_notes_do_not_matter_of_a_node_that_has_been_heard_lately() -> None:
    one = node()
    tell_all(one, at(7))
    assert one.heeding.well_heard(at(10)) == {ONE} and not one.heeding.is_unheard(at(10))
    assert not one.heeding.well_heard(at(10.1)) and one.heeding.is_unheard(at(10.1))


def test_who_gave_way_to_nothing_has_confirmed_no_mark() -> None:
    one = node()
    one.heed(Notes({ONE: 1}, {ONE: [LINE]}, []), 0.1, at(0.1))
    one.choose(0, "alice", "busy", at(0.2))
    said: list[Letter] = []
    for command in one.tick(at(0.3)):
        if isinstance(command, Send):
            said.append(parse_letter(command.text))
    assert [letter.mark for letter in said if isinstance(letter, Batch)] == [0]
