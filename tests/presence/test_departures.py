"""Who may go when: by what others have confirmed, by what they wrote down, by their silence."""

import math

from presence_server.presence.departures import Departures
from presence_server.presence.entries import Source
from presence_server.presence.hearing import Hearing
from presence_server.presence.letters import Beat, Part, People
from presence_server.presence.moment import Moment
from presence_server.presence.peer import Life, Peer
from presence_server.presence.peers import Peers
from presence_server.presence.pending import Departure, Why
from presence_server.presence.records import OWN
from presence_server.presence.timing import (
    ARRIVAL_WAITS,
    ASKING,
    ENDED_WAITS,
    ENDED_WAITS_UNHEARD,
    PATIENCE,
    READINGS_APART,
    SHORT_LIFE,
    WRITES_WITHIN,
    Timing,
)

ME, ONE, TWO = "me", "one", "two"
GRACE, LEASE, BEAT_EVERY = 8.0, 10.0, 2.0
MINE, THEIRS = Source(ME, OWN, "laptop"), Source(ONE, OWN, "laptop")
IN_APP = Source(ME, "7/doc", ":alice")


def at(elapsed: float) -> Moment:
    return Moment(elapsed, 1_000)


class Desk:
    """A node of which all parts are at hand; it hears itself up to `heard`."""

    def __init__(self, *others: str, began: float = 0.0) -> None:
        self.timing = Timing(GRACE, LEASE)
        self.hearing = Hearing(self.timing, at(began))
        self.hearing.notice(at(began), tick=True)
        self.peers = Peers(LEASE)
        self.departures = Departures(self.timing, self.hearing, self.peers, at(began))
        for other in others:
            peer = self.peers.find(other, at(began))
            assert peer is not None
            peer.hear_part(Part(other, 0, 1, 0, 1, 1_000, People({}, {})), ME)
            peer.had_lines = True

    def peer(self, name: str = ONE) -> Peer:
        found = self.peers.get(name)
        assert found is not None
        return found

    def hear_itself(self, second: float) -> None:
        self.hearing.echo(self.hearing.beat(0, at(second)), at(second))
        self.hearing.tick(at(second))

    def confirm(self, second: float, other: str = ONE) -> None:
        """All that the other knew by then is known."""
        self.peer(other).hear_beat(Beat(other, 0, 1, 1_000, False, {}), second)

    def go(self, second: float) -> list[Source]:
        return [source for source, _ in self.departures.take(at(second))]

    def overdue(self, second: float) -> list[Source]:
        return list(self.departures.take_overdue(at(second)))

    def grace_over(self, second: float, source: Source = MINE) -> None:
        self.departures.add(source, Departure(Why.GRACE, second, 1_000))


def test_of_thousands_who_go_at_once_it_is_asked_once_what_is_known() -> None:
    desk, asked = Desk(ONE), 0
    living = desk.peers.living

    def counted() -> list[tuple[str, Peer]]:
        nonlocal asked
        asked += 1
        return living()

    desk.peers.living = counted  # type: ignore[method-assign]  # to count
    crowd = [MINE._replace(tag=str(number)) for number in range(1_000)]
    for source in crowd:
        desk.grace_over(1, source)
    assert desk.go(1.5) == [] and 0 < asked < 5
    desk.confirm(1)
    assert desk.go(1.6) == crowd and len(desk.departures) == 0


def test_who_is_alone_lets_go_at_once() -> None:
    desk = Desk()
    desk.grace_over(1)
    assert desk.go(1) == [MINE] and desk.go(1) == []


def test_a_grace_waits_for_all_others_to_confirm() -> None:
    desk = Desk(ONE, TWO)
    desk.grace_over(1)
    desk.confirm(1, ONE)
    assert desk.go(1.5) == []
    desk.confirm(0.9, TWO)
    assert desk.go(1.5) == []
    desk.confirm(1, TWO)
    assert desk.go(1.5) == [MINE]


def test_who_was_heard_for_a_whole_lease_would_have_said_so() -> None:
    desk = Desk(ONE)
    desk.grace_over(1)
    for second in range(1, 11):
        desk.hear_itself(second)
        assert desk.go(second) == []
    desk.hear_itself(11)
    assert desk.go(11) == [MINE]


def test_the_time_in_which_nothing_was_heard_does_not_count() -> None:
    desk = Desk(ONE)
    desk.grace_over(1)
    desk.hearing.lost()
    desk.hear_itself(6)
    for second in range(7, 16):
        desk.hear_itself(second)
        assert desk.go(second) == []
    desk.hear_itself(16)
    assert desk.go(16) == [MINE]


def test_nobody_goes_while_what_came_in_during_a_pause_is_yet_to_be_seen_to() -> None:
    desk = Desk()
    desk.grace_over(1)
    desk.departures.rest(THEIRS, 1.0)
    desk.hearing.notice(at(5))
    assert desk.go(5) == [] and desk.overdue(5) == []
    desk.hearing.woke()
    assert desk.overdue(5) == [THEIRS] and desk.go(5) == [MINE]


def test_nobody_goes_by_a_grace_who_may_be_waiting_to_be_let_in() -> None:
    desk = Desk()
    desk.departures.note_crowd(2)
    desk.grace_over(1, MINE)
    desk.grace_over(2, THEIRS)
    assert desk.go(2) == [MINE], "who came before is in"
    desk.departures.add(MINE, Departure(Why.ENDED, 3, 1_000))
    assert desk.go(3) == [MINE], "a session that has ended is not let in"
    assert desk.go(2 + LEASE - 0.1) == []
    assert desk.go(2 + LEASE) == [THEIRS], "a crowd may have no end"
    desk.grace_over(20)
    assert desk.go(21) == []
    desk.departures.note_crowd(None)
    assert desk.go(21) == [MINE]


def test_nobody_goes_who_may_be_waiting_at_another_node() -> None:
    desk = Desk(ONE, TWO)
    crowded = Beat(ONE, 0, 1, 1_000, False, {}, crowd=1.5)
    desk.peer(ONE).heard = 3.0
    desk.peer(ONE).hear_beat(crowded, 3)
    desk.grace_over(1, MINE)
    desk.grace_over(2, THEIRS)
    desk.confirm(3, TWO)
    assert desk.go(3) == [MINE], "who came before is in"
    assert desk.go(2 + LEASE - 0.1) == []
    assert desk.go(2 + LEASE) == [THEIRS], "a crowd may have no end"
    desk.grace_over(2, THEIRS)
    assert desk.go(4) == []
    desk.confirm(4, ONE)
    assert desk.go(4) == [THEIRS], "it says that all are in"
    desk.peer(ONE).hear_beat(crowded, 4)
    desk.grace_over(2, THEIRS)
    desk.peer(ONE).life = Life.SILENT
    assert desk.go(4) == [THEIRS], "nobody waits at a node that is no more"


def test_it_is_said_for_how_long_people_wait() -> None:
    desk = Desk()
    assert desk.departures.crowd_for(at(3)) is None
    desk.departures.note_crowd(2)
    assert desk.departures.crowd_for(at(3)) == 1
    assert desk.departures.crowd_for(at(1)) == 0


def test_what_a_node_says_of_its_own_holds_once_others_had_confirmed_before() -> None:
    desk = Desk(ONE, TWO)
    told = Departure(Why.TOLD, 1, 1_000, 7)
    desk.departures.add(THEIRS, told)
    assert desk.go(1) == []
    desk.peer(TWO).marks_heard = {ONE: 6}
    assert desk.go(1) == []
    desk.departures.add(IN_APP, told._replace(mark=1))
    assert desk.go(1) == []
    desk.peer(TWO).marks_heard = {ONE: 7}
    assert desk.go(1) == [THEIRS]
    desk.peer(TWO).life = Life.BEHIND
    desk.departures.add(THEIRS, told)
    assert desk.go(1) == []
    desk.peer(TWO).life = Life.CURRENT
    desk.hearing.lost()
    assert desk.go(1) == []
    alone = Desk(ONE)
    alone.departures.add(THEIRS, told._replace(mark=math.inf))
    assert alone.go(1) == [THEIRS], "nobody else could know better"


def test_that_is_not_sure_before_all_is_read_that_came_in_during_a_pause() -> None:
    desk = Desk(ONE)
    desk.hearing.notice(at(5))
    desk.hearing.woke()
    desk.departures.add(THEIRS, Departure(Why.TOLD, 5, 1_000, 7))
    assert desk.go(5) == []
    desk.hear_itself(5)
    assert desk.go(5) == [THEIRS]


def test_the_end_of_a_session_is_waited_for_no_longer_than_so() -> None:
    desk = Desk(ONE)
    for source, why in ((MINE, Why.ENDED), (THEIRS, Why.GRACE)):
        desk.departures.add(source, Departure(why, 1, 1_000))
    desk.hear_itself(1)
    assert desk.go(1 + ENDED_WAITS - 0.1) == []
    assert desk.go(1 + ENDED_WAITS) == [MINE]
    deaf = Desk(ONE)
    deaf.hear_itself(0.9)
    deaf.departures.add(MINE, Departure(Why.ENDED, 1, 1_000))
    assert deaf.go(1 + ENDED_WAITS_UNHEARD - 0.1) == []
    assert deaf.go(1 + ENDED_WAITS_UNHEARD) == [MINE]


def test_an_end_takes_the_place_of_a_grace_and_nothing_takes_its_place() -> None:
    desk = Desk(ONE)
    desk.departures.rest(MINE, 5.0)
    desk.grace_over(1)
    assert desk.overdue(5) == [] and len(desk.departures) == 1
    desk.departures.add(MINE, Departure(Why.TOLD, 2, 1_002))
    assert not desk.departures.has_ended(MINE)
    desk.departures.add(MINE, Departure(Why.ENDED, 3, 1_003))
    desk.departures.add(MINE, Departure(Why.ENDED, 4, 1_004))
    desk.grace_over(5)
    assert desk.departures.has_ended(MINE) and not desk.departures.has_ended(THEIRS)
    ((_, departure),) = desk.departures.take(at(9))
    assert departure == Departure(Why.ENDED, 3, 1_003)


def test_who_is_here_after_all_stays_but_for_an_own_account_whose_session_ended() -> None:
    desk = Desk(ONE)
    for source in (MINE, IN_APP):
        desk.departures.rest(source, 5.0)
        desk.departures.cancel(source)
        assert desk.overdue(5) == []
        desk.departures.add(source, Departure(Why.ENDED, 1, 1_000))
        desk.departures.cancel(source)
    assert desk.departures.has_ended(MINE) and not desk.departures.has_ended(IN_APP)
    desk.grace_over(1, THEIRS)
    desk.departures.cancel(THEIRS)
    assert len(desk.departures) == 1
    desk.departures.rest(MINE, 5.0)
    desk.departures.forget(MINE)
    assert desk.overdue(5) == [] and len(desk.departures) == 0


def test_graces_go_on_after_a_pause_as_far_as_others_still_show_whom_it_had() -> None:
    for pause, due in ((5.0, 9.0), (13.0, 17.0), (16.0, 18.0), (30.0, 30.0)):
        desk = Desk()
        desk.departures.rest(MINE, 4.0)
        desk.departures.move_graces(pause, at(pause))
        before = math.nextafter(due, 0)
        assert desk.overdue(before) == []
        assert desk.overdue(due) == [MINE]
    desk.timing.set_graces({7: 1.0})
    desk.departures.rest(IN_APP, 4.0)
    desk.departures.move_graces(10.5, at(10.5))
    assert desk.overdue(10.9) == []
    assert desk.overdue(11.0) == [IN_APP]


# Which mark had been confirmed


def test_who_hears_of_it_can_see_that_all_had_confirmed() -> None:
    desk = Desk()
    desk.hear_itself(1)
    desk.grace_over(0.5)
    desk.go(1)
    assert desk.departures.confirmed_mark == 1
    desk.departures.add(MINE, Departure(Why.ENDED, 1.5, 1_000))
    desk.hear_itself(2)
    desk.go(2)
    assert desk.departures.confirmed_mark == 1, "an end is not waited for"
    desk.grace_over(1.5)
    desk.grace_over(0.5, IN_APP)
    desk.go(2)
    assert desk.departures.confirmed_mark == 2


# Asking


def test_others_are_asked_for_what_waits_and_again_when_that_may_have_been_lost() -> None:
    desk = Desk(ONE)
    assert not desk.departures.begin_to_ask(at(1))
    first = Desk(ONE)
    first.grace_over(0)
    assert first.departures.begin_to_ask(at(0))
    desk.grace_over(1)
    assert desk.departures.begin_to_ask(at(1))
    assert not desk.departures.begin_to_ask(at(1 + PATIENCE - 0.1))
    assert desk.departures.begin_to_ask(at(1 + PATIENCE))
    desk.grace_over(2.05, THEIRS)
    assert not desk.departures.begin_to_ask(at(2.05))
    assert desk.departures.begin_to_ask(at(2 + ASKING))
    assert not desk.departures.begin_to_ask(at(2.5))
    desk.departures.ask_again()
    assert desk.departures.begin_to_ask(at(2.5))
    assert not desk.departures.begin_to_ask(at(2.5 + ASKING))
    desk.departures.forget(MINE)
    desk.departures.forget(THEIRS)
    assert not desk.departures.begin_to_ask(at(9))


def test_who_is_alone_asks_nobody() -> None:
    desk = Desk()
    desk.grace_over(1)
    assert not desk.departures.begin_to_ask(at(1))


def test_of_those_who_come_others_are_asked_for_a_while() -> None:
    desk = Desk(ONE)
    desk.departures.inquire(at(1))
    assert desk.departures.begin_to_ask(at(1))
    late = at(1 + ARRIVAL_WAITS)
    assert not desk.departures.begin_to_ask(late), "they are not waited for any longer"
    desk.departures.inquire(at(5))
    desk.departures.begin_to_ask(at(5))
    desk.grace_over(4)
    assert not desk.departures.begin_to_ask(at(5.5))
    desk.departures.inquire(at(5.6))
    assert desk.departures.begin_to_ask(at(5.7))


# Whom it takes to know


def test_a_node_that_came_later_and_said_so_is_not_waited_for() -> None:
    desk = Desk()
    desk.grace_over(1)
    peer = desk.peers.find(ONE, at(2))
    assert peer is not None
    assert desk.go(2) == [MINE]
    desk.grace_over(2)
    assert desk.go(2) == [], "it may have let somebody in by then"
    peer.introduced_itself = False
    desk.grace_over(1)
    peer.had_lines = True
    assert desk.go(2) == []


def short_lived(desk: Desk) -> Peer:
    """A node that fell silent as soon as it had begun, of which nobody was ever heard."""
    peer = desk.peer()
    peer.had_lines = False
    peer.count(1, 0.5, with_stays=False)
    return peer


def test_one_that_fell_silent_as_soon_as_it_began_had_nobody() -> None:
    for began in (0.0, 50.0):
        for lasts, goes in ((SHORT_LIFE, True), (SHORT_LIFE + 0.1, False)):
            desk = Desk(ONE, began=began)
            short_lived(desk).heard = began + lasts
            for second in range(1, 9):
                desk.hear_itself(began + second)
                desk.departures.note_reading(began + second, with_stays=False)
            desk.grace_over(began + 8.5)
            assert (desk.go(began + 8.5) == [MINE]) is goes


def test_it_may_have_written_from_when_its_counter_was_read_first() -> None:
    """Just so long later it has not, and just so long after a reading nothing is known of it."""
    for counted_at, now, goes in (
        (0.0, WRITES_WITHIN, True),
        (0.1, WRITES_WITHIN, False),
        (0.0, 2 * WRITES_WITHIN - 0.1, True),
        (0.0, 2 * WRITES_WITHIN, False),
    ):
        desk = Desk(ONE)
        peer = desk.peer()
        peer.had_lines, peer.heard = False, -1.5 * BEAT_EVERY
        peer.count(-9, counted_at, with_stays=False)
        for second in (-1.0, 0.0, WRITES_WITHIN):
            desk.departures.note_reading(second, with_stays=False)
        desk.grace_over(0.0)
        assert (desk.go(now) == [MINE]) is goes


def test_it_is_waited_for_while_it_is_heard_or_may_write() -> None:
    heard = Desk(ONE)
    short_lived(heard)
    for second in (1.0, 1.5, 2.0, 2.5, 2.9):
        heard.hear_itself(second)
        heard.departures.note_reading(second, with_stays=False)
    heard.grace_over(2.9)
    assert heard.go(2.9) == []
    heard.hear_itself(1.5 * BEAT_EVERY)
    assert heard.go(1.5 * BEAT_EVERY) == [MINE]
    writes = Desk(ONE)
    short_lived(writes).wrote = 5.0
    for second in (1, 2, 3, 4, 5, 6):
        writes.hear_itself(second)
        writes.departures.note_reading(second, with_stays=False)
    writes.peer().wrote = 2.9
    writes.grace_over(6)
    assert writes.go(6) == [MINE]
    writes.grace_over(6)
    writes.peer().wrote = 6 - WRITES_WITHIN + 0.1
    writes.peer().began = 3.0
    assert writes.go(6) == []


def test_so_it_is_while_nothing_could_be_read() -> None:
    desk = Desk(ONE)
    short_lived(desk)
    for second in range(1, 9):
        desk.hear_itself(second)
    desk.departures.note_reading(8 - READINGS_APART - WRITES_WITHIN, with_stays=False)
    desk.grace_over(8)
    assert desk.go(8) == [], "that was too long ago"
    desk.departures.note_reading(8.0, with_stays=False)
    assert desk.go(8) == [], "something may have been missed in between"
    for tenth in range(80, 98):
        desk.departures.note_reading(tenth / 10, with_stays=False)
    desk.hear_itself(9.7)
    assert desk.go(9.7) == [MINE]


def test_who_hears_nothing_goes_by_what_others_wrote() -> None:
    desk = Desk(ONE)
    desk.hearing.lost()
    desk.grace_over(1)
    desk.departures.note_reading(0.9, with_stays=True)
    assert desk.go(1) == []
    desk.departures.note_reading(1, with_stays=False)
    assert desk.go(1) == []
    desk.departures.note_reading(1, with_stays=True)
    assert desk.go(1) == []
    desk.peer().believed_at = 1.0
    assert desk.go(1) == [MINE]


def test_one_that_has_not_written_for_a_lease_is_not_waited_for() -> None:
    desk = Desk(ONE)
    desk.hearing.lost()
    desk.grace_over(1)
    for second in range(1, 11, 2):
        desk.departures.note_reading(second, with_stays=True)
        assert desk.go(second) == []
    desk.departures.note_reading(11, with_stays=True)
    assert desk.go(11) == [MINE]
    # Readings that lie too far apart say nothing of what was between them.
    other = Desk(ONE)
    other.hearing.lost()
    other.grace_over(1)
    other.departures.note_reading(5, with_stays=True)
    other.departures.note_reading(5 + READINGS_APART + 5, with_stays=True)
    other.departures.note_reading(14.9, with_stays=True)
    assert other.go(15) == []
