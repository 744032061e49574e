"""What is made of letters of other nodes: seconds, ends, claims, what is left of who is gone."""

import math
from collections.abc import Mapping
from typing import Any, TypeVar

import pytest

from presence_server.presence import others as others_module
from presence_server.presence.entries import Entry, Source
from presence_server.presence.letters import Batch, Beat, Goodbye, Part, People, Said
from presence_server.presence.members import Who
from presence_server.presence.opened import Opened
from presence_server.presence.peer import Life, Peer
from presence_server.presence.pending import Departure, Why
from presence_server.presence.records import OWN, Changes, Notes, Stay
from tests.presence.test_conclusions import EPOCH, GRACE, LEASE, ME, ONE, TWO, Scene, stay, steady

S = TypeVar("S", Said, Said | int)

DOC = "7/doc"
ALICE = Said("alice", 1, "online", EPOCH)
CLAIM = Said("alice", 0, "online", EPOCH, 1.0, EPOCH + 7, 5)


class Talk(Scene):
    """Others speak of any room, by clocks of their own."""

    def all_of(self, other: str, room: str = OWN, behind: int = 0, **states: Said) -> None:
        """All that a node has; its clock is so many seconds behind."""
        named = _by_tag(states)
        people, unix = People({room: dict(named)}, {}), self.now.unix - behind
        self.sequences[other] = self.sequences.get(other, 0) + 1
        number, heard = self.sequences[other], {ME: self.newest_mark}
        self.hear(Part(other, number, number, 0, 1, unix, people, heard))

    def batch(self, other: str, room: str = OWN, behind: int = 0, **states: Said | int) -> None:
        named = _by_tag(states)
        people, unix = People({room: dict(named)}, {}), self.now.unix - behind
        self.sequences[other] += 1
        self.hear(Batch(other, self.sequences[other], 0, unix, people))

    def peer(self, other: str) -> Peer:
        found = self.node.peers.get(other)
        assert found is not None
        return found

    def entry(self, tag: str = "laptop", room: str = OWN, node: str = ONE) -> Entry:
        return self.node.rooms.open(room).roster.entries("alice")[Source(node, room, tag)]

    def pass_by(self, seconds: int, *speaking: str) -> None:
        """In steps that are no pause yet."""
        for _ in range(seconds):
            self.second += 1
            self.do(self.node.tick(self.now))
            for other in speaking:
                self.confirm(other)

    def otherwise(self, version: int) -> list[str]:
        """Who is told, of what may be shown otherwise, to one who was told elsewhere until then."""
        changes = self.node.rooms.own.roster.changes_since(version, elsewhere=True)
        assert changes is not None
        return [user for user, _ in changes]

    def left(self) -> int | None:
        return self.node.rooms.own.roster.left("alice")


def _by_tag(states: Mapping[str, S]) -> dict[str, S]:
    """In apps lines are named so: line_alice, and claims so: _alice."""
    return {name.replace("line_", ":").replace("_", "."): said for name, said in states.items()}


# Seconds


def test_the_seconds_of_a_clock_that_is_behind_are_moved() -> None:
    talk = Talk()
    talk.pass_by(20)
    said = ALICE._replace(came=EPOCH - 10)
    phone = said._replace(resting=2.0, left=EPOCH + 12, came=0)
    talk.all_of(ONE, behind=5, laptop=said, phone=phone)
    assert talk.entry() == Entry(
        "alice", 1, "online", EPOCH + 5, None, 0, 0, {}, came=EPOCH - 5
    )
    there = talk.entry("phone")
    assert (there.left, there.left_second, there.came) == (18.0, EPOCH + 17, 0)
    talk.batch(ONE, behind=5, laptop=EPOCH + 14, phone=EPOCH + 14)
    assert talk.left() == EPOCH + 19


def test_what_lies_ahead_is_now() -> None:
    talk = Talk()
    ahead = ALICE._replace(since=EPOCH + 9, came=EPOCH + 8)
    talk.all_of(ONE, laptop=ahead, phone=ahead._replace(resting=0.0, left=EPOCH + 9))
    assert (talk.entry().since, talk.entry().came) == (EPOCH + 1, EPOCH + 1)
    assert talk.entry("phone").left_second == EPOCH
    talk.all_of(ONE, laptop=ahead._replace(since=EPOCH + 1, came=0))
    assert (talk.entry().since, talk.entry().came) == (EPOCH + 1, 0)


def test_of_a_claim_the_second_of_its_end_stays_and_it_ends_when_its_backend_said() -> None:
    talk = Talk()
    talk.pass_by(10)
    talk.all_of(ONE, DOC, _alice=CLAIM, laptop=CLAIM)
    assert talk.entry(".alice", DOC)[4:6] == (9.0, EPOCH + 7)
    later = CLAIM._replace(left=EPOCH + 70)
    talk.batch(ONE, DOC, behind=3, _alice=later, laptop=later)
    # This letter was three seconds on its way, of which two are not sure.
    assert talk.entry(".alice", DOC)[4:6] == (8.0, EPOCH + 70)
    assert talk.entry("laptop", DOC)[4:6] == (9.0, EPOCH + 10)
    talk.all_of(ONE, DOC, behind=4, _alice=later)
    assert talk.entry(".alice", DOC).left == 7.0


def test_so_it_is_with_what_is_read_of_one() -> None:
    talk = Talk(ONE)
    session = "0123456789" * 3
    claim = Stay(DOC, "7.alice", "alice", 0, "online", EPOCH, resting=-4.0, until=EPOCH + 12)
    line = Stay(OWN, session, "alice", 1, "online", EPOCH)
    talk.fall_deaf()
    for number in range(3):
        talk.second += 0.5
        talk.read_notes({ONE: [claim, line]} if number == 0 else {})
    assert talk.entry(".alice", DOC).left == 5.5 and talk.entry(session[:20]).left is None
    talk.second += 0.5
    later = Changes([claim._replace(resting=-7.0)], {(OWN, session)})
    talk.read_notes({}, {ONE: later})
    assert talk.entry(".alice", DOC).left == 9.0
    assert talk.is_here(), "she may have come to another"
    for _ in range(2):
        talk.second += 0.5
        talk.read_notes()
    assert not talk.is_here()


def test_clocks_are_read_only_of_letters_that_are_surely_new() -> None:
    talk = Talk(ONE)
    talk.all_of(ONE, laptop=ALICE)
    talk.fall_deaf()
    for _ in range(9):
        talk.hear(Beat(ONE, 1, 1, EPOCH - 50, False, {}))
    assert talk.peer(ONE).clock.offset == 0


def test_what_was_read_before_a_clock_was_known_is_told_anew_by_it() -> None:
    talk = Talk(ONE)
    talk.pass_by(9, ONE)
    talk.fall_deaf()
    line = Stay(OWN, "laptop", "alice", 1, "online", EPOCH + 605)
    for number in range(3):
        talk.second += 0.5
        talk.read_notes({ONE: [line]} if number == 0 else {})
    assert talk.entry().since >= EPOCH + 10, "the present, at most"
    talk.relay = True
    talk.do(talk.node.subscribed(talk.now))
    for _ in range(4):
        talk.pass_by(1)
        talk.all_of(ONE, behind=-600, laptop=ALICE._replace(since=EPOCH + 605))
    assert talk.entry().since == EPOCH + 5
    talk.pass_by(5)
    assert talk.node.rooms.own.roster.here["alice"].since == EPOCH + 5


def test_by_a_clock_that_is_not_known_yet_nothing_better_is_said_than_others_say() -> None:
    talk = Talk(ONE)
    talk.pass_by(20, ONE)
    talk.open()
    talk.fall_deaf()
    talk.relay = True
    talk.do(talk.node.subscribed(talk.now))
    talk.all_of(TWO, phone=ALICE._replace(since=EPOCH + 610, came=EPOCH + 605))
    alice = talk.node.rooms.own.roster.here["alice"]
    assert (alice.since, alice.here) == (EPOCH + 20, EPOCH + 20)
    assert talk.peer(TWO).clock.is_misdated


def test_who_came_is_known_by_what_nodes_say_in_the_end() -> None:
    talk = Talk(ONE)
    talk.pass_by(20, ONE)
    talk.all_of(ONE, laptop=ALICE._replace(since=EPOCH + 9, came=EPOCH + 8))
    talk.pass_by(1, ONE)
    talk.all_of(ONE, laptop=ALICE._replace(since=EPOCH + 9, came=EPOCH + 7))
    talk.pass_by(5, ONE)
    assert talk.node.rooms.own.roster.here["alice"].here == EPOCH + 7


def test_before_anybody_is_let_in_what_is_read_last_holds() -> None:
    talk = Talk()
    talk.pass_by(9)
    talk.node.begin_untold()
    talk.all_of(ONE, laptop=ALICE._replace(status="away", since=EPOCH + 8))
    talk.all_of(ONE, laptop=ALICE._replace(since=EPOCH + 3))
    person = talk.node.rooms.own.roster.here["alice"]
    assert (person.status, person.since) == ("online", EPOCH + 3)


def test_ones_own_word_comes_back_from_another_clock_as_it_was() -> None:
    """Else two nodes would say a later second again and again."""
    talk = Talk(ONE)
    talk.pass_by(20, ONE)
    talk.open()
    for since, shown in ((EPOCH + 21, 20), (EPOCH + 22, 20), (EPOCH + 19, 20), (EPOCH + 23, 23)):
        talk.pass_by(2)
        talk.all_of(ONE, behind=-600, phone=ALICE._replace(since=since + 600))
        assert talk.node.rooms.own.roster.here["alice"].since == EPOCH + shown


def test_a_beat_that_has_heard_nothing_confirms_nothing() -> None:
    talk = Talk(ONE)
    talk.pass_by(2)
    talk.beat(ONE)
    assert talk.peer(ONE).confirmed_at == -math.inf
    talk.confirm(ONE)
    assert talk.peer(ONE).confirmed_at >= 0


# All that a node has


def test_who_is_no_longer_among_all_of_a_node_has_left_it() -> None:
    talk = Talk(ONE)
    talk.pass_by(9, ONE)
    resting = ALICE._replace(resting=3.0, left=EPOCH + 6)
    talk.all_of(ONE, laptop=resting)
    assert not talk.peer(ONE).had_lines
    talk.all_of(ONE)
    assert talk.left() == EPOCH + 6
    talk.all_of(ONE, laptop=ALICE)
    assert talk.peer(ONE).had_lines
    talk.all_of(ONE)
    assert talk.left() == EPOCH + 9


@pytest.mark.parametrize(
    ("has_heard", "goes"), [("nothing", False), ("the old", False), ("the newest", True)]
)
def test_an_answer_that_is_older_than_what_was_read_lets_nobody_go_before_its_node_confirms(
    has_heard: str, goes: bool
) -> None:
    talk = Talk(ONE)
    talk.pass_by(1, ONE)
    old = talk.newest_mark
    for _ in range(6):
        talk.pass_by(1)
        talk.read_notes({ONE: [stay()]})
    assert talk.is_here() and talk.peer(ONE).believed_at > 0
    talk.sequences[ONE] += 1
    number = talk.sequences[ONE]
    talk.pass_by(2)
    marks = {"nothing": {}, "the old": {ME: old}, "the newest": {ME: talk.newest_mark}}
    people, heard = People({}, {}), marks[has_heard]
    talk.hear(Part(ONE, number, number, 0, 1, talk.now.unix, people, heard))
    assert talk.is_here() is not goes
    talk.pass_by(1, ONE)
    assert not talk.is_here()


def test_of_one_node_its_own_word_is_enough() -> None:
    talk = Talk(ONE)
    talk.all_of(ONE, laptop=ALICE)
    talk.pass_by(1)
    talk.all_of(ONE)
    assert not talk.is_here()


def test_who_has_a_claim_or_is_about_to_come_was_there_as_with_a_line() -> None:
    for said in (CLAIM, ALICE._replace(resting=-1e9, left=EPOCH)):
        talk = Talk(ONE)
        talk.all_of(ONE, DOC, _alice=said)
        assert talk.peer(ONE).had_lines
    talk = Talk(ONE)
    talk.all_of(ONE, laptop=ALICE._replace(resting=-1e9, left=EPOCH))
    assert talk.peer(ONE).had_lines


def test_of_several_nodes_the_others_have_to_be_heard_first() -> None:
    talk = Talk(ONE, TWO)
    talk.all_of(ONE, laptop=ALICE)
    talk.pass_by(1)
    talk.all_of(ONE)
    assert talk.is_here()
    talk.pass_by(1, ONE)
    assert talk.is_here(), "she may be at the other"
    talk.pass_by(2, ONE, TWO)
    assert not talk.is_here() and talk.left() == EPOCH + 1


def test_a_new_node_spoils_no_cursor_and_one_that_was_missed_does() -> None:
    scene = steady(ONE)
    mark = scene.marks[ONE]
    people = People({}, {})
    scene.hear(Part(TWO, 0, 1, 0, 1, scene.now.unix, people, {}))
    assert scene.resumes(mark, 0)
    scene.hear(Part(TWO, 0, 2, 0, 1, scene.now.unix, people, {}))
    assert not scene.resumes(mark, 0)


# Who is gone


def test_who_was_at_a_silent_node_left_when_it_was_heard_last() -> None:
    talk = Talk(ONE, TWO)
    talk.all_of(ONE, laptop=ALICE)
    talk.pass_by(3, ONE, TWO)
    talk.pass_by(int(LEASE) + 1, TWO)
    assert talk.life(ONE) is Life.SILENT and talk.is_here()
    assert talk.entry().left_second == EPOCH + 3
    talk.pass_by(int(GRACE) + 1, TWO)
    assert talk.left() == EPOCH + 3


def test_of_one_that_said_goodbye_they_left_then() -> None:
    talk = Talk(ONE, TWO)
    talk.all_of(ONE, laptop=ALICE, phone=ALICE._replace(resting=6.0, left=EPOCH - 6))
    talk.hear(Goodbye(ONE))
    assert (talk.entry().left, talk.entry().left_second) == (0.0, EPOCH)
    assert (talk.entry("phone").left, talk.entry("phone").left_second) == (-6.0, EPOCH - 6)
    talk.pass_by(int(GRACE) - 1, TWO)
    assert talk.is_here()
    talk.pass_by(2, TWO)
    assert talk.left() == EPOCH


def test_who_was_about_to_go_when_their_node_stopped_goes_once() -> None:
    talk = Talk(ONE, TWO)
    talk.all_of(ONE, laptop=ALICE)
    talk.say(ONE, EPOCH, mark=6)
    talk.hear(Goodbye(ONE))
    assert talk.is_here(), "she may be at the other"
    talk.pass_by(2, TWO)
    assert not talk.is_here()
    talk.pass_by(int(GRACE), TWO)
    assert talk.left() == EPOCH


def test_a_node_is_known_until_its_people_are_gone_and_a_lease_is_over() -> None:
    talk = Talk(ONE, TWO)
    talk.all_of(TWO, laptop=ALICE)
    talk.hear(Goodbye(TWO))
    talk.pass_by(4, ONE)
    assert talk.node.others.take_dropped() == set() and talk.peer(TWO).is_empty is False
    talk.pass_by(5, ONE)
    assert not talk.is_here()
    talk.pass_by(1, ONE)
    assert talk.node.others.take_dropped() == {TWO}
    talk.pass_by(2, ONE)
    assert talk.node.peers.names == {ONE} and talk.node.others.take_dropped() == set()
    assert TWO not in talk.node._opened._lines


def test_one_that_had_nobody_stays_known_for_a_lease() -> None:
    talk = Talk(ONE, TWO)
    talk.hear(Goodbye(TWO))
    talk.pass_by(int(LEASE) - 1, ONE)
    assert talk.node.peers.names == {ONE, TWO} and talk.node.others.take_dropped() == {TWO}
    talk.pass_by(1, ONE)
    assert talk.node.peers.names == {ONE} and talk.node.others.take_dropped() == set()


def test_whom_nobody_knows_here_is_not_forgotten_in_the_database() -> None:
    talk, three = Talk(ONE), f"{4:016x}"
    # It stands still since before this node began, which reads first that it no longer writes.
    notes = Notes({ONE: 1, TWO: 1}, None, [], ages={TWO: LEASE})
    talk.do(talk.node.heed(notes, talk.second, talk.now))
    talk.hear(Goodbye(three))
    talk.pass_by(1, ONE)
    assert talk.life(TWO) is Life.SILENT and talk.life(three) is Life.LEFT
    talk.pass_by(int(LEASE), ONE)
    assert talk.node.peers.names == {ONE} and talk.node.others.take_dropped() == set()


def test_whoever_was_known_by_what_they_wrote_alone_is_forgotten_there() -> None:
    talk = Talk(ONE)
    talk.do(talk.node.heed(Notes({TWO: 1}, {TWO: []}, []), talk.second, talk.now))
    talk.pass_by(int(LEASE) + 3, ONE)
    assert talk.life(TWO) is Life.SILENT and talk.node.others.take_dropped() == {TWO}


def test_nothing_is_asked_again_of_a_node_that_is_forgotten() -> None:
    talk = Talk(ONE, TWO)
    talk.all_of(ONE, laptop=ALICE)
    talk.all_of(TWO, laptop=ALICE)
    for other in (ONE, TWO):
        talk.hear(Goodbye(other))
    assert talk.node._opened._lines
    talk.pass_by(int(GRACE + LEASE) + 2)
    assert not talk.node.peers.names and not talk.node._opened._lines


def test_a_dead_node_that_speaks_again_is_waited_for_before_others_let_people_go() -> None:
    """Somebody may be there, and the node that they came from know that already."""
    talk = Talk(ONE, TWO)
    talk.all_of(ONE, laptop=ALICE)
    talk.pass_by(int(LEASE) + 1, ONE)
    assert talk.life(TWO) is Life.SILENT
    talk.beat(TWO)
    talk.batch(ONE, laptop=EPOCH)
    assert talk.life(TWO) is Life.SILENT and talk.is_here()
    # It is asked, and answers.
    talk.second += 0.2
    talk.do(talk.node.tick(talk.now))
    talk.all_of(TWO, laptop=ALICE)
    talk.pass_by(2, ONE, TWO)
    assert talk.is_here() and ONE not in talk.node.rooms.own.views


def test_it_is_not_waited_for_without_end() -> None:
    talk = Talk(ONE, TWO)
    talk.all_of(ONE, laptop=ALICE)
    talk.pass_by(int(LEASE) + 1, ONE)
    talk.beat(TWO)
    talk.batch(ONE, laptop=EPOCH)
    assert talk.is_here()
    talk.second += 0.4
    talk.beat(TWO)
    assert talk.is_here()
    talk.second += 0.2
    talk.beat(TWO)
    assert not talk.is_here()


# Giving way


def test_a_line_lets_go_what_rests_at_nodes_that_are_gone_once_it_was_surely_open() -> None:
    late, early, resting, other = (f"{number:016x}" for number in (5, 6, 7, 8))
    talk = Talk(late, early, resting, other, ONE)
    for name in (late, early, other):
        talk.all_of(name, laptop=ALICE)
    talk.all_of(resting, laptop=ALICE._replace(resting=0.0, left=EPOCH))
    talk.second = 1
    talk.hear(Goodbye(early))
    talk.second = 2
    talk.hear(Goodbye(late))
    talk.all_of(ONE, laptop=ALICE)
    line, give_way = Source(ONE, OWN, "laptop"), talk.node.others.give_way
    everybody = {late, early, resting, other, ONE}
    talk.node._departures.add(line, Departure(Why.TOLD, 2.0, EPOCH))
    assert give_way(line, 2.0) == -math.inf
    assert {source.node for source in talk.node.rooms.own.roster.entries("alice")} == everybody
    talk.node._departures.cancel(line)
    for known_until, more_at, there in (
        (0.9, 1.0, everybody),
        (1.0, 2.0, everybody - {early}),
        (2.0, -math.inf, {resting, other, ONE}),
    ):
        assert give_way(line, known_until) == more_at
        assert {source.node for source in talk.node.rooms.own.roster.entries("alice")} == there
    talk.pass_by(int(GRACE) + 1, resting, other, ONE)
    assert talk.is_here()


def test_a_line_is_asked_for_again_only_when_more_is_known_of_its_node() -> None:
    """Of a dead node's thousands each waits for that: who asked for all at each letter would be
    at it for minutes."""
    talk = Talk(ONE)
    talk.all_of(ONE, laptop=ALICE)
    opened, line = Opened(), Source(ONE, OWN, "laptop")
    peer = talk.peer(ONE)
    opened.note(line, 1.0)
    for known_until, asked in ((0.9, []), (1.0, [line]), (2.0, [])):
        peer.confirmed_at = known_until
        opened.note_told(ONE, peer)
        assert [source for source, _ in opened.take()] == asked


def test_nothing_gives_way_to_what_is_no_line() -> None:
    talk = Talk(ONE, TWO)
    resting = ALICE._replace(resting=1.0, left=EPOCH)
    talk.all_of(TWO, laptop=ALICE)
    talk.hear(Goodbye(TWO))
    talk.all_of(ONE, laptop=resting)
    for tag, room in (("laptop", OWN), ("phone", OWN), (":bob", DOC)):
        assert talk.node.others.give_way(Source(ONE, room, tag), 0.0) == -math.inf
    assert len(talk.node.rooms.own.roster.entries("alice")) == 2


# Sessions that end


def test_who_is_said_to_be_here_by_a_session_that_ended_is_refused() -> None:
    talk = Talk()
    talk.pass_by(9)
    talk.do(talk.node.end("laptop", talk.now.unix, talk.now))
    version = talk.node.versions.newest
    talk.all_of(ONE, behind=5, laptop=ALICE)
    assert not talk.is_here() and talk.left() == EPOCH + 5
    assert talk.node.versions.newest == version and talk.otherwise(version) == ["alice"]


def test_the_end_of_one_session_is_news_to_those_who_saw_it_elsewhere() -> None:
    talk = Talk(ONE)
    talk.all_of(ONE, laptop=ALICE, phone=ALICE, tablet=ALICE)
    version = talk.node.versions.newest
    talk.batch(ONE, tablet=EPOCH)
    assert talk.otherwise(version) == []
    talk.do(talk.node.end("laptop", EPOCH, talk.now))
    talk.pass_by(2, ONE)
    assert talk.is_here() and len(talk.node.rooms.own.roster.entries("alice")) == 1
    assert talk.otherwise(version) == ["alice"] and talk.node.versions.newest == version


def test_so_many_ends_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(others_module, "_ENDED_REMEMBERED", 2)
    talk = Talk()
    for session in ("first", "second", "third"):
        talk.do(talk.node.end(session, EPOCH, talk.now))
    ended = [talk.node.others.has_ended(tag) for tag in ("first", "second", "third")]
    assert ended == [False, True, True]


def test_a_user_of_an_app_is_sent_away_by_the_nodes_that_live_and_here_from_those_that_do_not() -> (
    None
):
    talk = Talk(ONE, TWO)
    line = ALICE._replace(account=0)
    for other in (ONE, TWO):
        talk.all_of(other, DOC, line_alice=line)
    talk.hear(Goodbye(TWO))
    talk.do(talk.node.end_user(7, "alice", talk.now))
    talk.pass_by(2, ONE)
    sources = talk.node.rooms.open(DOC).roster.entries("alice")
    assert [source.node for source in sources] == [ONE]


@pytest.mark.parametrize(("order", "stays"), [(5, False), (6, True)])
def test_a_claim_that_was_revoked_ends_with_its_node_unless_another_was_made(
    order: int, stays: bool
) -> None:
    talk = Talk(ONE, TWO)
    bob = Said("bob", 0, "online", EPOCH)
    talk.all_of(ONE, DOC, _alice=CLAIM, _bob=bob._replace(resting=1.0, left=EPOCH))
    talk.do(talk.node.end_user(7, "alice", talk.now))
    talk.batch(ONE, DOC, _alice=CLAIM._replace(order=order))
    talk.hear(Goodbye(ONE))
    # That end waits only for a second for what others may know.
    talk.pass_by(2)
    here = talk.node.rooms.open(DOC).roster.here
    assert "bob" in here and ("alice" in here) is stays
    talk.pass_by(int(GRACE), TWO)
    assert not here and not talk.node.others._revoked


def test_a_claim_whose_node_ends_it_is_no_longer_revoked() -> None:
    talk = Talk(ONE)
    talk.all_of(ONE, DOC, _alice=CLAIM)
    talk.do(talk.node.end_user(7, "alice", talk.now))
    assert talk.node.others._revoked
    talk.batch(ONE, DOC, _alice=EPOCH)
    talk.pass_by(1, ONE)
    assert "alice" not in talk.node.rooms.open(DOC).roster.here
    assert not talk.node.others._revoked


def test_lines_at_two_nodes_of_which_is_read_at_once_let_two_graces_go() -> None:
    """But only once others have read of them, too: they would let go whom nobody speaks for."""
    talk = Talk(ONE, TWO)
    for session, user in (("laptop", "alice"), ("phone", "bob")):
        talk.do(talk.node.open(OWN, Who(session, user, 1), 1, talk.now))
        talk.do(talk.node.close(OWN, session, 1, talk.now))
    talk.fall_deaf()
    stays = {
        ONE: [Stay(OWN, "laptop", "alice", 1, "online", EPOCH)],
        TWO: [Stay(OWN, "phone", "bob", 1, "online", EPOCH)],
    }
    are_here = []
    for counter in range(1, 9):
        talk.second += 0.5
        notes = Notes(dict.fromkeys((ONE, TWO), counter), stays, [])
        talk.do(talk.node.heed(notes, talk.second, talk.now))
        are_here.append({talk.node.own.are_in(OWN, session) for session in ("laptop", "phone")})
    # What is read for the third time is newer than what was heard.
    assert are_here == [{True}] * 5 + [{False}] * 3
    here: Any = talk.node.rooms.own.roster.here
    assert set(here) == {"alice", "bob"}
