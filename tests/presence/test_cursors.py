"""What an observer comes back with, and what it is good for: at this node and at another."""

from presence_server.presence.cursors import Cursors, Uncovered
from presence_server.presence.hearing import Hearing
from presence_server.presence.letters import Part, People
from presence_server.presence.moment import Moment
from presence_server.presence.peer import Peer
from presence_server.presence.peers import Peers
from presence_server.presence.people import Versions
from presence_server.presence.timing import Timing

ME, ONE = "me", "one"
GRACE, LEASE = 8.0, 10.0


class Counted(Uncovered):
    """Says how often it was asked."""

    asked = 0

    def cover(self, one: int, other: int) -> str:
        self.asked += 1
        return super().cover(one, other)


class Desk:
    def __init__(self) -> None:
        timing = Timing(GRACE, LEASE)
        self.hearing = Hearing(timing, at(0))
        self.hearing.notice(at(0), tick=True)
        self.versions = Versions()
        self.peers = Peers(LEASE)
        self.sequence = 0
        self.cover = Counted()
        self.cursors = Cursors(
            ME,
            self.versions,
            self.hearing,
            self.peers,
            timing,
            lambda: self.sequence,
            self.cover,
        )

    def echo(self, second: float) -> None:
        self.hearing.echo(self.hearing.beat(self.versions.newest, at(second)), at(second))
        self.cursors.note_echo()

    def other(self, *versions: int) -> Peer:
        """Another node, whose marks from 1 on stand for these versions; a lease later."""
        peer = self.peers.find(ONE, at(0))
        assert peer is not None
        peer.hear_part(Part(ONE, 0, 1, 0, 1, 1_000, People({}, {})), ME)
        for mark, version in enumerate(versions, 1):
            peer.note_version(mark, version, at(float(mark)))
        peer.heard = LEASE
        return peer

    def conclude(self, second: float, version: int) -> None:
        self.versions.newest = version
        self.cursors.note_conclusion(at(second))


def at(elapsed: float) -> Moment:
    return Moment(elapsed, 1_000)


def test_it_names_the_node_and_a_version_and_where_that_is_sure_a_mark_and_a_batch() -> None:
    desk = Desk()
    assert desk.cursors.cursor(7, up_to_date=True) == "me.7", "no beat has come back yet"
    desk.echo(1)
    desk.sequence = 4
    assert desk.cursors.cursor(7, up_to_date=True) == "me.7.1-4"
    assert desk.cursors.cursor(7, up_to_date=False) == "me.7"
    desk.hearing.lost()
    assert desk.cursors.cursor(7, up_to_date=True) == "me.7"


def test_so_it_is_while_some_node_has_not_told_all_or_something_is_yet_to_be_read() -> None:
    desk = Desk()
    desk.echo(1)
    peer = desk.peers.find(ONE, at(1))
    assert peer is not None and desk.cursors.cursor(7, up_to_date=True) == "me.7"
    desk.other()
    assert desk.cursors.cursor(7, up_to_date=True) == "me.7.1-0"
    desk.hearing.notice(at(10))
    assert desk.cursors.cursor(7, up_to_date=True) == "me.7"


def test_what_many_have_is_covered_once() -> None:
    desk = Desk()
    desk.echo(1)
    for _ in range(3):
        assert desk.cursors.cursor(7, up_to_date=True) == "me.7.1-0"
    assert desk.cover.asked == 1
    desk.sequence = 1
    assert desk.cursors.cursor(7, up_to_date=True) == "me.7.1-1"
    desk.echo(2)
    assert desk.cursors.cursor(7, up_to_date=True) == "me.7.2-1"
    assert desk.cover.asked == 3


def test_at_its_own_node_the_version_is_enough() -> None:
    cursors = Desk().cursors
    assert cursors.resume("me.7", at(0)) == 7 and cursors.resume("me.7.1-0", at(0)) == 7
    assert cursors.resume("me.7.anything", at(0)) == 7
    assert cursors.is_own("me.7") and not cursors.is_own("men.7") and not cursors.is_own("one.7")
    for text in ("", "me", "me.", "me.x", "me.-1", "me.1.5"[:3], "me." + "9" * 16, "me.\u0663"):
        assert cursors.resume(text, at(0)) is None
    assert cursors.resume("me." + "9" * 15, at(0)) == int("9" * 15)


def test_at_another_its_mark_says_from_which_version_on() -> None:
    desk = Desk()
    peer = desk.other(50, 60)
    assert desk.cursors.resume("one.7.1-0", at(LEASE)) == 50
    assert desk.cursors.resume("one.7.2-0", at(LEASE)) == 60
    assert desk.cursors.resume("one.7.9-0", at(LEASE)) == 60
    for text in ("one.7", "one.7.", "one.7.1", "one.7.x-0", "one.7.1-x", "one.7.2-1", "two.7.2-0"):
        assert desk.cursors.resume(text, at(LEASE)) is None
    peer.sequence = 1
    assert desk.cursors.resume("one.7.2-1", at(LEASE)) == 60
    desk.hearing.lost()
    assert desk.cursors.resume("one.7.2-1", at(LEASE)) is None


def test_what_this_node_concluded_lately_is_told_anew() -> None:
    """The other may have concluded it later, by as much as it was out of touch."""
    desk = Desk()
    desk.other(50, 60)
    desk.conclude(1.0, 40)
    desk.conclude(5.0, 55)
    desk.conclude(6.0, 70)
    last = 2 * (LEASE + GRACE) + 10

    def resumed(second: float) -> int | None:
        for peer in (desk.peers.get(ONE),):
            assert peer is not None
            peer.heard = second
        return desk.cursors.resume("one.7.2-0", at(second))

    assert resumed(LEASE) == 40
    assert resumed(1 + last) == 40
    assert resumed(1.1 + last) == 55
    assert resumed(5.1 + last) == 60


def test_of_conclusions_so_many_are_remembered() -> None:
    desk = Desk()
    for number in range(1_500):
        desk.conclude(1.0, number)
    assert len(desk.cursors._concluded) == 1_000
