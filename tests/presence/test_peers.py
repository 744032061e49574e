"""How far each other node has been heard, and what follows from it."""

import math
from typing import Any

import pytest

from presence_server.presence import peers as peers_module
from presence_server.presence.answer import Answer
from presence_server.presence.letters import Batch, Beat, Part, People, Said
from presence_server.presence.moment import Moment
from presence_server.presence.peer import Life, Peer
from presence_server.presence.peer_notes import Noted
from presence_server.presence.peers import Peers
from presence_server.presence.records import Changes, Stay
from presence_server.presence.timing import DEAF, NOTES, PATIENCE, WRITES_WITHIN

ME, ONE, TWO = "me", "one", "two"
LEASE = 10.0
NOBODY = People({}, {})


def at(elapsed: float) -> Moment:
    return Moment(elapsed, 1_000 + int(elapsed))


def beat(sequence: int = 0, mark: int = 1, asks: bool = False, **heard: int) -> Beat:
    return Beat(ONE, sequence, mark, 1_000, asks, heard)


def batch(sequence: int) -> Batch:
    return Batch(ONE, sequence, 0, 1_000, NOBODY)


def part(
    sequence: int = 0, number: int = 1, part: int = 0, parts: int = 1, **more: Any
) -> Part:
    people, after, heard = more.pop("people", NOBODY), more.pop("after", None), more
    return Part(ONE, sequence, number, part, parts, 1_000, people, heard, after)


def current(peers: Peers, name: str, second: float = 0.0, sequence: int = 0) -> Peer:
    """A node that has told all that it knows."""
    peer = peers.find(name, at(second))
    assert peer is not None and peer.hear_part(part(sequence), ME) is not None
    return peer


def life(peer: Peer) -> Life:
    return peer.life


def asked(peer: Peer) -> tuple[float | None, int, bool]:
    return peer.asked, peer.asked_mark, peer.unconfirmed


def noted(peer: Peer) -> tuple[Noted | None, int | None]:
    return peer.notes.waiting, peer.notes.read_to


def known(peers: Peers) -> tuple[bool, bool]:
    return peers.are_current, peers.are_known


# What one has said


def test_a_node_is_known_once_it_has_told_all() -> None:
    peer = Peer(Life.NEW, at(5))
    assert peer.lives and peer.introduced_itself and peer.heard == peer.last_sign == 5
    assert (peer.wrote, peer.ended, peer.notes.read_to) == (-math.inf, -math.inf, None)
    said = peer.asks, peer.had_lines, peer.unconfirmed, peer.is_empty
    assert said == (False, False, False, False)
    assert not peer.hear_batch(batch(0)), "it may be older than what is to come"
    peer.hear_beat(beat(3), None)
    assert life(peer) is Life.NEW and peer.known_until == -math.inf
    answer = peer.hear_part(part(3), ME)
    assert answer is not None and answer.is_whole and answer.replaces is False
    assert life(peer) is Life.CURRENT and peer.sequence == 3
    peer.hear_beat(beat(3, mark=2), 4.5)
    assert life(peer) is Life.CURRENT and peer.known_until == 4.5
    answer = peer.hear_part(part(3), ME)
    assert answer is not None and answer.replaces is True


def test_one_that_is_known_by_its_notes_has_not_introduced_itself() -> None:
    peer = Peer(Life.NOTED, at(5))
    assert peer.lives and not peer.introduced_itself
    assert (peer.heard, peer.wrote, peer.last_sign) == (-math.inf, 5, 5)


def test_a_batch_is_good_by_itself_and_one_that_is_missing_is_noticed() -> None:
    peer = current(Peers(LEASE), ONE, sequence=3)
    assert not peer.hear_batch(batch(3)) and not peer.hear_batch(batch(2))
    assert peer.hear_batch(batch(4)) and life(peer) is Life.CURRENT and peer.sequence == 4
    assert peer.hear_batch(batch(6)) and life(peer) is Life.BEHIND and peer.sequence == 6
    assert peer.hear_batch(batch(7)) and life(peer) is Life.BEHIND
    peer.life = Life.NOTED
    assert not peer.hear_batch(batch(8))


def test_so_is_it_by_a_beat() -> None:
    for sequence, then in ((3, Life.CURRENT), (4, Life.BEHIND), (2, Life.BEHIND)):
        peer = current(Peers(LEASE), ONE, sequence=3)
        peer.hear_beat(beat(sequence), None)
        assert life(peer) is then


def test_of_beats_the_newest_marks_and_every_question_count() -> None:
    peer = current(Peers(LEASE), ONE)
    peer.hear_beat(beat(mark=7, asks=True, two=3), 4.0)
    peer.hear_beat(beat(mark=6, two=4), 3.0)
    assert (peer.mark, peer.asks, peer.confirmed_at) == (7, True, 4.0)
    assert peer.marks_heard == {"two": 4}
    peer.hear_beat(beat(mark=8), 5.0)
    peer.hear_beat(beat(mark=9), None)
    assert peer.confirmed_at == 5.0


def test_an_answer_has_all_when_its_last_part_is_there() -> None:
    peer = Peer(Life.NEW, at(3))

    def tell(number: int, place: int, parts: int = 0, sequence: int = 5) -> bool | None:
        answer = peer.hear_part(part(sequence, number, place, parts), ME)
        return None if answer is None else answer.is_whole

    peer.asked = 1.0
    assert tell(1, 1) is None
    assert tell(1, 0) is False and tell(1, 1) is False
    # It lives, and is not asked again while its answer comes.
    assert life(peer) is Life.BEHIND and asked(peer)[0] == 3.0 and peer.sequence == 5
    # Another answer has begun; and of that one part is missing.
    assert tell(2, 0) is False and tell(1, 2, 3) is None and tell(2, 1, 2) is None
    assert tell(3, 0) is False and tell(3, 2, 3) is None
    assert tell(4, 0, sequence=4) is None, "there are newer batches"
    assert tell(4, 0) is False and tell(4, 1) is False and tell(4, 2, 3) is True
    assert life(peer) is Life.CURRENT and asked(peer) == (None, 0, False)
    # Once more, and nothing is new.
    assert tell(5, 0) is False and life(peer) is Life.CURRENT
    assert tell(6, 0, sequence=6) is False and life(peer) is Life.BEHIND


def test_what_has_come_between_two_parts_is_newer_than_both() -> None:
    said: dict[str, Said | int] = {
        user: Said(user, 1, "online", 1) for user in ("alice", "bob", "carol")
    }
    answer = Answer(1, replaces=True, unnamed={("", "alice"), ("", "bob"), ("7/doc", "bob")})
    assert answer.name({"": {"alice": said["alice"]}}) == {"": {"alice": said["alice"]}}
    answer.overtake({"7/doc": {"bob": 9}})
    assert answer.unnamed == {("", "bob")}
    parts = {"": {"bob": said["bob"]}, "7/doc": {"bob": said["bob"], "carol": said["carol"]}}
    assert answer.name(parts) == {
        "": {"bob": said["bob"]},
        "7/doc": {"carol": said["carol"]},
    }
    assert not answer.unnamed
    answer.overtake({"": {"bob": 10}})
    assert answer.name(parts) == {"": {}, "7/doc": {"carol": said["carol"]}}


def test_an_answer_from_before_the_question_or_the_newest_batch_is_none() -> None:
    peer = current(Peers(LEASE), ONE, sequence=3)
    assert peer.hear_part(part(2), ME) is None
    peer.asked, peer.asked_mark, peer.unconfirmed = 7.0, 5, True
    assert peer.hear_part(part(3, me=4), ME) is None and peer.hear_part(part(3), ME) is None
    assert peer.unconfirmed
    assert peer.hear_part(part(3, me=5), ME) is not None
    assert asked(peer) == (None, 0, False)


def test_who_missed_something_is_told_what_followed_on_what_it_knew() -> None:
    peers = Peers(LEASE)
    peer = current(peers, ONE, sequence=3)
    assert peer.hear_batch(batch(4)) and peers.told_to == {ONE: 4}
    assert peer.hear_batch(batch(6)) and peer.hear_batch(batch(7)) and peers.told_to == {ONE: 4}
    assert peer.hear_part(part(7, after=5), ME) is None, "of the batch 5 nothing would be known"
    answer = peer.hear_part(part(7, 2, after=4), ME)
    assert answer is not None and answer.is_whole and answer.is_brief
    assert life(peer) is Life.CURRENT and peers.told_to == {ONE: 7}
    assert peer.hear_batch(batch(8)) and peers.told_to == {ONE: 8}


def test_between_the_parts_of_all_there_is_nothing_on_which_more_could_follow() -> None:
    peers = Peers(LEASE)
    peer = current(peers, ONE, sequence=3)
    assert peer.hear_part(part(5, 2, 0, 0), ME) is not None and peers.told_to == {}
    assert peer.hear_part(part(5, 2, 1, 2), ME) is not None and peers.told_to == {ONE: 5}
    # Between those of the rest nothing is lost.
    assert peer.hear_part(part(6, 3, 0, 0, after=5), ME) is not None and peers.told_to == {ONE: 5}
    assert peer.hear_batch(batch(7)) and peers.told_to == {ONE: 5}
    assert peer.hear_part(part(6, 3, 1, 2, after=5), ME) is not None and peers.told_to == {ONE: 7}


def test_a_node_says_itself_what_notes_said_or_it_tells_all() -> None:
    said = People({"": {"alice": Said("alice", 1, "online", 1)}}, {})
    for number, names, told_to in ((2, {"alice"}, {ONE: 5}), (2, {"alice", "bob"}, {})):
        peers = Peers(LEASE)
        peer = current(peers, ONE, sequence=3)
        peer.noted_instead |= {("", name) for name in names}
        answer = peer.hear_part(part(4, number, after=3, people=said), ME)
        assert answer is not None and peers.told_to == {ONE: 4}
        is_known = names == {"alice"}
        assert (life(peer) is Life.CURRENT) is is_known and peer.asked is None
        assert peer.hear_part(part(5, number + 1, after=4), ME) is not None
        assert peers.told_to == told_to and (life(peer) is Life.CURRENT) is is_known
        assert peer.hear_part(part(5, number + 2), ME) is not None
        assert peers.told_to == {ONE: 5} and life(peer) is Life.CURRENT and not peer.noted_instead


def test_of_a_batch_it_is_known_whom_it_names() -> None:
    peer = current(Peers(LEASE), ONE, sequence=3)
    peer.noted_instead |= {("", "alice"), ("7/doc", "alice"), ("", "bob")}
    people = People({"": {"alice": 9}, "7/doc": {"bob": 9}}, {})
    assert peer.hear_batch(batch(4)._replace(people=people))
    assert peer.noted_instead == {("7/doc", "alice"), ("", "bob")}


def test_whose_clock_was_not_known_tells_all() -> None:
    peers = Peers(LEASE)
    peer = current(peers, ONE, sequence=3)
    peer.clock.misdate()
    assert peers.told_to == {}
    assert peer.hear_part(part(3, 2, after=3), ME) is not None and peer.clock.is_misdated
    assert peer.hear_part(part(3, 3), ME) is not None and not peer.clock.is_misdated


def test_what_is_read_is_good_once_its_node_has_written_twice() -> None:
    peer = Peer(Life.NOTED, at(0))
    for read_at, counter, moved, written, wrote in (
        (1.0, 5, False, -math.inf, 0.0),
        (2.0, 5, False, -math.inf, 0.0),
        (3.0, 6, True, -math.inf, 2.0),
        (4.0, 7, True, 2.0, 3.0),
        (5.0, 9, True, 4.0, 4.0),
        (6.0, 9, False, 4.0, 4.0),
    ):
        assert peer.count(counter, read_at, with_stays=True) is moved
        assert (peer.written_at, peer.wrote) == (written, wrote)
    assert peer.count(20, 7.0, with_stays=False) and peer.written_at == 4.0, "read without stays"
    assert len(peer.counters) == 7
    peer.count(20, 8.0, with_stays=False)
    peer.count(20, 9.0, with_stays=False)
    assert len(peer.counters) == 8


def test_what_is_written_by_a_node_that_is_heard_is_known_once_it_confirms_what_it_knew_then() -> (
    None
):
    peer = current(Peers(LEASE), ONE)
    # When its counter was read, what it has confirmed by then, and up to which all is known.
    for read_at, counter, confirmed, noted_to in (
        (10.0, 5, None, None),
        (11.0, 6, 9.9, None),
        (12.0, 7, 10.0, 5),
        (13.0, 8, 11.9, 5),
        (14.0, 9, 12.0, 7),
        (15.0, 10, 13.9, 7),
    ):
        peer.hear_beat(beat(), confirmed)
        peer.notes.hear_instead(counter, read_at, peer.heard_until)
        assert peer.notes.read_to == noted_to
    peer.life, peer.confirmed_at = Life.BEHIND, 99.0
    peer.notes.hear_instead(11, 16.0, peer.heard_until)
    assert peer.notes.read_to == 7
    peer.life = Life.CURRENT
    peer.notes.hear_instead(12, 17.0, peer.heard_until)
    assert peer.notes.read_to == 9


def test_what_is_read_is_put_together_until_it_is_believed() -> None:
    peer = Peer(Life.NOTED, at(0))
    laptop, phone = (Stay("", session, "alice", 1, "online", 1) for session in ("a", "b"))
    peer.notes.read_changes(4, Changes([laptop], ()))
    assert noted(peer) == (None, None), "it is not known what was before"
    peer.notes.read_all(5, [laptop])
    assert noted(peer) == (Noted({("", "a"): laptop}, whole=True), 5)
    peer.notes.read_changes(6, None)
    peer.notes.read_changes(7, Changes([phone], [("", "a")]))
    assert noted(peer) == (Noted({("", "a"): None, ("", "b"): phone}, whole=True), 7)
    peer.notes.take()
    for counter, changes in ((8, Changes([laptop], ())), (9, Changes([phone], ()))):
        peer.notes.read_changes(counter, changes)
    assert noted(peer) == (Noted({("", "a"): laptop, ("", "b"): phone}, whole=False), 9)
    peer.notes.hear_instead(10, 3.0, peer.heard_until)
    assert noted(peer) == (None, 7), "what was believed is known still"


# All of them


def test_those_that_left_are_never_believed_again() -> None:
    peers = Peers(LEASE)
    peer = current(peers, ONE)
    peer.unconfirmed = True
    peers.leave(ONE, peer)
    assert life(peer) is Life.LEFT and not peer.lives and not asked(peer)[2]
    assert peers.find(ONE, at(1)) is None and peers.living() == [] and len(peers) == 1
    assert peers.names == {ONE}


def test_one_that_was_given_up_is_heard_again_or_read_once_it_goes_on_writing() -> None:
    peers = Peers(LEASE)
    for name in (ONE, TWO):
        current(peers, name)
        peers.forget(name)
    assert peers.get(ONE) is None and len(peers) == 0
    assert peers.find_noted(ONE, 7, at(1)) is None and peers.find_noted(ONE, 7, at(2)) is None
    noted = peers.find_noted(ONE, 8, at(3))
    assert noted is not None and life(noted) is Life.NOTED
    heard = peers.find(TWO, at(4))
    assert heard is not None and life(heard) is Life.NEW
    assert peers.find_noted(TWO, 7, at(5)) is heard, "it is no longer given up"


def test_of_invented_nodes_so_many_are_known_and_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(peers_module, "MOST_PEERS", 2)
    peers = Peers(LEASE)
    found = [peers.find(name, at(0)) for name in "abc"]
    assert found[2] is None and peers.names == {"a", "b"}
    for name, peer in zip("ab", found):
        assert peer is not None
        peers.leave(name, peer)
        peers.forget(name)
    third = peers.find("c", at(1))
    assert third is not None
    peers.leave("c", third)
    peers.forget("c")
    assert peers.find("a", at(2)) is not None and peers.find("b", at(2)) is None
    assert list(peers._given_up) == ["b", "c"]


def test_after_an_outage_each_has_to_speak_again() -> None:
    peers = Peers(LEASE)
    one, noted = current(peers, ONE), peers.find(TWO, at(0), Life.NOTED)
    assert noted is not None and peers.heard == {ONE}
    assert not any(peer.unconfirmed for _, peer in peers)
    peers.lost()
    assert asked(one)[2] and not asked(noted)[2] and peers.unconfirmed is True
    one.note_version(1, 2, at(0))
    peers.renew(at(30))
    assert life(one) is Life.BEHIND and life(noted) is Life.NOTED and not one.versions
    assert one.heard == 30 and noted.heard == 30


def test_whether_all_is_known() -> None:
    peers = Peers(LEASE)
    assert known(peers) == (True, True)
    current(peers, ONE)
    noted = peers.find(TWO, at(0), Life.NOTED)
    assert noted is not None and known(peers) == (False, False)
    noted.believed_at = 1.0
    assert known(peers) == (False, True)
    noted.life = Life.SILENT
    assert known(peers) == (True, True)
    behind = peers.get(ONE)
    assert behind is not None
    behind.life, behind.believed_at = Life.BEHIND, 1.0
    assert known(peers) == (False, False)


def test_who_is_not_heard_for_a_lease_is_read_and_then_silent() -> None:
    peers = Peers(LEASE)
    one = current(peers, ONE)
    one.wrote, one.asked, one.asked_mark, one.unconfirmed = 5.0, 1.0, 3, True
    assert not peers.is_overdue(LEASE - 0.1) and peers.is_overdue(LEASE)
    one.heard = 5.0
    assert not peers.is_overdue(LEASE) and peers.is_overdue(LEASE + 5)
    one.heard = 0.0
    assert list(peers.fall_silent(LEASE - 0.1, math.inf)) == [] and life(one) is Life.CURRENT
    assert list(peers.fall_silent(LEASE, math.inf)) == [] and life(one) is Life.NOTED
    assert asked(one)[0] is None and not asked(one)[2] and not peers.is_overdue(99.0)
    assert one.hear_part(part(9, me=2**52), ME) is None, "an answer to an older question"
    assert list(peers.fall_silent(LEASE + 4.9, math.inf)) == []
    assert list(peers.fall_silent(LEASE + 5, math.inf)) == [ONE] and life(one) is Life.SILENT
    assert list(peers.fall_silent(LEASE + 99, math.inf)) == []


def test_who_wrote_just_before_a_standstill_is_not_silent_before_that_could_be_read() -> None:
    peers = Peers(LEASE)
    one = peers.find(ONE, at(0), Life.NOTED)
    assert one is not None
    one.counters.append((5.0, 1))
    one.wrote = 5.0
    assert list(peers.fall_silent(LEASE + 5, 5 + WRITES_WITHIN - 0.1)) == []
    assert list(peers.fall_silent(LEASE + 5, 5.1 + WRITES_WITHIN)) == [ONE]


def test_those_who_have_not_told_all_are_asked_now_and_again() -> None:
    peers = Peers(LEASE)
    new, gone = peers.find(ONE, at(0)), peers.find(TWO, at(0))
    current(peers, "three")
    assert new is not None and gone is not None
    peers.leave(TWO, gone)
    assert list(peers.take_asks(at(1))) == [ONE] and peers.resyncs == 1
    peers.expect([ONE], 5)
    assert list(peers.take_asks(at(1 + PATIENCE - 0.1))) == []
    assert list(peers.take_asks(at(1 + PATIENCE))) == [ONE] and peers.resyncs == 2
    peers.expect([ONE], 6)
    assert new.asked_mark == 5, "an answer to the first question will do"
    assert list(peers.take_asks(at(2.1))) == []
    new.ask_again()
    assert list(peers.take_asks(at(2.2))) == [], "one that was never silent heard it"
    new.life = Life.NOTED
    new.ask_again()
    assert list(peers.take_asks(at(2.2))) == [ONE] and new.asked_mark == 5
    assert list(peers.take_asks(at(2.3))) == []
    assert list(peers.take_asks(at(LEASE - 0.1))) == [ONE]
    assert list(peers.take_asks(at(LEASE + 5))) == [], "nobody is there to answer"
    new.asked = None
    new.heard = LEASE + 5
    assert list(peers.take_asks(at(LEASE + 5))) == [ONE] and new.asked_mark == 0


def test_nobody_is_asked_who_was_not_heard_for_a_lease() -> None:
    for second, asks in ((LEASE - 0.1, [ONE]), (LEASE, [])):
        peers = Peers(LEASE)
        peers.find(ONE, at(0))
        assert list(peers.take_asks(at(second))) == asks


def test_it_tells_all_once_more_whose_clock_was_not_known_before() -> None:
    peers = Peers(LEASE)
    peer = current(peers, ONE)
    assert (peers.date(ONE), peer.clock.is_known) == (None, False)
    for unix, asked in ((1_000, []), (1_002, []), (1_600, [ONE]), (1_601, [])):
        peer.clock.note(unix, None, at(0))
        assert (list(peers.take_asks(at(0))), life(peer)) == (asked, Life.CURRENT)
    assert peers.date(ONE) == peer.clock.offset == -601
    peer.asked = None
    assert peer.hear_part(part(parts=0, number=2), ME) is not None
    assert list(peers.take_asks(at(0))) == [ONE] and peer.clock.is_misdated
    assert peer.hear_part(part(part=1, parts=2, number=2), ME) is not None
    assert list(peers.take_asks(at(9))) == [] and not peer.clock.is_misdated


def test_an_answer_that_began_before_the_clock_was_known_does_not_do() -> None:
    peers = Peers(LEASE)
    peer = current(peers, ONE)
    peers.date(ONE)
    assert peer.hear_part(part(parts=0, number=2), ME) is not None
    peer.clock.note(1_600, None, at(0))
    assert peer.hear_part(part(part=1, parts=2, number=2), ME) is not None
    assert list(peers.take_asks(at(0))) == [ONE]
    peers.leave(ONE, peer)
    assert list(peers.take_asks(at(LEASE - 1))) == []


def test_an_answer_has_heard_the_question() -> None:
    peer = Peer(Life.NEW, at(0))
    peer.asked_mark = 1
    assert peer.hear_part(part(0), ME) is None
    assert peer.hear_part(part(0, me=1), ME) is not None


def test_of_those_that_speak_and_do_not_write_it_is_known_for_how_long_they_are_silent() -> None:
    peers = Peers(LEASE)
    one, two = current(peers, ONE), current(peers, TWO)
    silent = WRITES_WITHIN - NOTES
    one.wrote, one.spoke = 0.0, silent
    assert peers.speaking(at(5)) == {}, "of neither a counter was read"
    for peer in (one, two):
        peer.count(1, 0.0, with_stays=False)
    two.wrote, two.spoke = 1.0, 1.0 + silent / 2
    peers.renew(at(4))
    assert peers.speaking(at(5)) == {ONE: 5 - silent}
    one.spoke = silent - 0.1
    assert peers.speaking(at(5)) == {}


def test_the_newest_marks_of_those_that_were_heard() -> None:
    peers = Peers(LEASE)
    current(peers, ONE).hear_beat(beat(mark=7), None)
    current(peers, TWO)
    assert peers.marks == {ONE: 7}
    assert peers.date(ONE) is peers.date("nobody") is None


# Cursors of other nodes


def versions_of(peer: Peer, *some: tuple[int, int, float]) -> None:
    for mark, version, second in some:
        peer.note_version(mark, version, at(second))


def test_a_mark_says_which_version_was_known_everywhere() -> None:
    peers = Peers(LEASE)
    one = current(peers, ONE, sequence=3)
    versions_of(one, (5, 50, 1), (6, 60, 1.4), (7, 70, 1.5), (9, 90, 2))
    assert [version for _, version, _ in one.versions] == [50, 70, 90]
    one.heard = 10.0
    found = [peers.version_at(ONE, mark, 3, at(10)) for mark in (4, 5, 6, 7, 8, 9, 99)]
    assert found == [None, 50, 50, 70, 70, 90, 90]
    assert peers.version_at(ONE, 9, 4, at(10)) is None, "a batch has not come yet"
    assert peers.version_at(ONE, 9, 3, at(9.9)) is None, "it is known for less than a lease"
    assert peers.version_at(TWO, 9, 3, at(10)) is None
    later = current(peers, TWO, 5.0)
    later.heard = one.heard = LEASE + 5
    versions_of(later, (5, 50, 6))
    assert peers.version_at(TWO, 5, 0, at(LEASE + 4.9)) is None
    assert peers.version_at(TWO, 5, 0, at(LEASE + 5)) == 50
    peers.forget_versions()
    assert peers.version_at(ONE, 9, 3, at(10)) is None


def test_it_says_nothing_while_it_is_in_doubt_who_is_at_another() -> None:
    peers = Peers(LEASE)
    one, two = current(peers, ONE), current(peers, TWO)
    versions_of(one, (5, 50, 1))
    two.heard = 10 - DEAF * LEASE + 0.1
    assert peers.version_at(ONE, 5, 0, at(10)) == 50
    two.heard = 10 - DEAF * LEASE
    assert peers.version_at(ONE, 5, 0, at(10)) is None
    two.heard, two.life = 10, Life.BEHIND
    assert peers.version_at(ONE, 5, 0, at(10)) is None
    peers.leave(TWO, two)
    assert peers.version_at(ONE, 5, 0, at(10)) is None
    two.is_empty = True
    assert peers.version_at(ONE, 5, 0, at(10)) == 50


def test_so_many_marks_are_remembered() -> None:
    one = Peer(Life.NEW, at(0))
    versions_of(one, *((number, number, number) for number in range(200)))
    assert len(one.versions) == 120 and one.versions[0][0] == 80
