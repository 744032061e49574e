"""What sessions at this node do, and what is shown, said and written down of it: each value."""

from collections.abc import Iterable

import pytest

from presence_server.presence.commands import Command, Send, TickSoon
from presence_server.presence.entries import Entry, Source
from presence_server.presence.letters import Batch, Beat, Letter, Part, People, Said
from presence_server.presence.members import Who
from presence_server.presence.moment import Moment
from presence_server.presence.node import Node
from presence_server.presence.reading import parse_letter
from presence_server.presence.pending import Departure, Why
from presence_server.presence.records import OWN, Record, Stay
from presence_server.presence.states import Status
from presence_server.presence.writing import encode_letter

ME, OTHER = f"{1:016x}", f"{2:016x}"
DOC, LOBBY = "7/doc", "7/lobby"
LINE, CLAIM = "7:alice", "7.alice"
GRACE = 8.0


class Seat:
    """A node that hears itself."""

    def __init__(self) -> None:
        self.second = 0.0
        self.node = Node(ME, grace=GRACE, lease=10.0, now=self.now)
        self.number = 0

    @property
    def now(self) -> Moment:
        return Moment(self.second, 1_000 + int(self.second))

    def do(self, commands: Iterable[Command]) -> None:
        for command in commands:
            if isinstance(command, Send) and command.to is None:
                self.do(self.node.receive(command.text, self.now))

    def wait(self, seconds: float) -> None:
        for _ in range(round(2 * seconds)):
            self.second += 0.5
            self.do(self.node.tick(self.now))

    def open(
        self,
        room: str = OWN,
        session: str = "laptop",
        connection: int = 1,
        status: Status | None = None,
        user: str = "alice",
    ) -> None:
        self.do(self.node.open(room, Who(session, user, 1), connection, self.now, status))

    def close(self, room: str = OWN, session: str = "laptop", connection: int = 1) -> None:
        self.do(self.node.close(room, session, connection, self.now))

    def hear(self, room: str, tag: str, said: Said) -> None:
        """This is all that another node has."""
        self.number += 1
        people = People({room: {tag: said}}, {})
        letter = Part(OTHER, 0, self.number, 0, 1, self.now.unix, people)
        self.do(self.node.receive(encode_letter(letter), self.now))

    def entry(self, tag: str = "laptop", room: str = OWN, node: str = ME) -> Entry | None:
        entries = self.node.rooms.open(room).roster.entries("alice")
        return entries.get(Source(node, room, tag))

    def shown(self, room: str = OWN) -> str:
        person = self.node.rooms.open(room).roster.here.get("alice")
        return "offline" if person is None else person.status

    def letters(self, commands: Iterable[Command]) -> list[Letter]:
        return [parse_letter(one.text) for one in commands if isinstance(one, Send)]

    def record(self) -> Record:
        return self.node.take_record(self.now)


# How a line begins


def test_a_further_line_is_activity_and_another_session_begins_online() -> None:
    seat = Seat()
    seat.open(status="away")
    assert seat.shown() == "away"
    seat.open(connection=2)
    assert seat.shown() == "online"
    seat.close(connection=2)
    assert seat.shown() == "away"
    seat.open(session="phone")
    assert seat.shown() == "online"


def test_a_session_goes_on_as_it_is_known_from_elsewhere_in_this_room_alone() -> None:
    seat = Seat()
    seat.hear(OWN, "laptop", Said("alice", 1, "away", 990))
    seat.open()
    entry = seat.entry()
    assert entry is not None and (entry.status, entry.since) == ("away", 990)
    seat.open(session="phone")
    assert seat.shown() == "online"
    apps = Seat()
    apps.hear(DOC, ":alice", Said("alice", 0, "away", 990))
    apps.open(LOBBY, LINE)
    assert apps.shown(LOBBY) == "online" and apps.shown(DOC) == "away"


def test_after_a_grace_it_goes_on_as_it_was() -> None:
    seat = Seat()
    seat.open(status="busy")
    seat.close()
    seat.wait(2)
    seat.open(connection=2)
    seat.wait(GRACE + 2)
    assert seat.shown() == "busy"


# What is shown and written down


def test_of_an_open_line_and_of_one_that_was_closed() -> None:
    seat = Seat()
    seat.open()
    assert seat.entry() == Entry("alice", 1, "online", 1_000, came=1_000)
    assert seat.record().here == [Stay(OWN, "laptop", "alice", 1, "online", 1_000, came=1_000)]
    seat.wait(3)
    seat.close()
    closed = Entry("alice", 1, "online", 1_000, 3.0, 1_003, came=1_000)
    assert seat.entry() == closed and seat.record().here[0].resting == 0.0
    seat.close()
    seat.close(session="phone")
    assert seat.entry() == closed and seat.record() == Record([], set(), {}, [])
    seat.wait(GRACE - 0.5)
    assert seat.shown() == "online"
    seat.wait(0.5)
    assert seat.shown() == "offline"
    assert seat.record() == Record([], {(OWN, "laptop")}, {"alice": 1_003}, [])
    assert len(seat.node.own) == 0 and not seat.node.own.are_in(OWN, "laptop")


def test_who_goes_in_one_room_is_still_in_another() -> None:
    seat = Seat()
    for room in (DOC, LOBBY):
        seat.open(room, LINE)
    assert len(seat.node.own) == 1
    seat.do(seat.node.leave(DOC, LINE, seat.now))
    assert not seat.node.own.are_in(DOC, LINE) and seat.node.own.are_in(LOBBY, LINE)
    assert seat.record().gone == {(DOC, LINE)}
    whole = seat.node.take_record(seat.now, whole=True)
    assert [stay.room for stay in whole.here] == [LOBBY] and not whole.gone
    # Only own accounts are remembered as last seen.
    assert not whole.last_seen


def test_a_connection_says_how_its_user_is_if_it_is_open() -> None:
    seat = Seat()
    seat.open()
    seat.wait(2)
    for room, session, connection in ((OWN, "laptop", 2), (OWN, "phone", 1), (DOC, "laptop", 1)):
        seat.do(seat.node.set_status(room, session, connection, "away", seat.now))
    assert seat.shown() == "online"
    seat.do(seat.node.set_status(OWN, "laptop", 1, "away", seat.now))
    entry = seat.entry()
    assert entry == Entry("alice", 1, "away", 1_002, came=1_000)


def test_what_is_beside_a_status_is_shown_as_the_newest() -> None:
    seat = Seat()
    seat.open()
    seat.wait(1)
    seat.do(seat.node.describe(OWN, "laptop", {"data": 1}, seat.now))
    entry = seat.entry()
    assert entry is not None and (entry.order, entry.about) == (1_001, {"data": 1})
    assert seat.record().here[0].about == '{"data": 1}'
    seat.do(seat.node.describe(OWN, "laptop", {"data": 1}, seat.now))
    assert seat.entry() == entry and not seat.record().here
    seat.do(seat.node.describe(OWN, "laptop", {}, seat.now))
    entry = seat.entry()
    assert entry is not None and (entry.order, entry.about) == (1_002, {})
    seat.do(seat.node.describe(OWN, "phone", {"data": 2}, seat.now))
    assert seat.entry("phone") is None


def test_what_brings_a_session_here_holds_longer() -> None:
    seat = Seat()
    until = [1_030, 1_020]
    for connection, end in enumerate(until):
        who = Who(LINE, "alice", until=end)
        seat.do(seat.node.open(DOC, who, connection, seat.now))
    assert seat.record().here[0].until == 1_030
    seat.do(seat.node.extend(DOC, LINE, 1_040))
    assert seat.record().here[0].until == 1_040
    seat.do(seat.node.extend(DOC, LINE, 1_035))
    assert seat.record().here[0].until == 1_040
    seat.do(seat.node.extend(LOBBY, LINE, 1_050))
    assert not seat.record().here
    seat.do(seat.node.open(DOC, Who(LINE, "alice"), 2, seat.now))
    seat.do(seat.node.extend(DOC, LINE, 1_060))
    assert seat.record().here[0].until is None, "one of its lines has no end"


def test_of_the_key_of_a_session_so_much_is_told_as_tells_it_from_others() -> None:
    seat, key = Seat(), "0123456789" * 4
    who, tag = Who(key, "alice", 1, until=1_010), key[:20]
    seat.do(seat.node.arrive(OWN, who, seat.now))
    entry = seat.entry(tag)
    assert entry is not None and entry.is_arriving
    seat.do(seat.node.claim(OWN, who, seat.now, status="busy"))
    assert seat.entry(tag) == Entry("alice", 1, "busy", 1_000, 0.0, 1_000, came=1_000)
    seat.do(seat.node.open(OWN, who, 1, seat.now))
    seat.do(seat.node.set_status(OWN, key, 1, "away", seat.now))
    seat.do(seat.node.describe(OWN, key, {"a": 1}, seat.now))
    seat.do(seat.node.extend(OWN, key, 1_050))
    assert seat.entry(tag) == Entry(
        "alice", 1, "away", 1_000, order=1_000, about={"a": 1}, came=1_000
    )
    assert seat.record().here[0].until == 1_050
    seat.wait(1)
    seat.close(session=key)
    entry = seat.entry(tag)
    assert entry is not None and entry.left == 1.0
    seat.do(seat.node.leave(OWN, key, seat.now))
    assert seat.shown() == "offline" and seat.record().gone == {(OWN, key)}
    seat.do(seat.node.adopt([Stay(OWN, key, "alice", 1, "away", 1_000)], seat.now))
    assert list(seat.node.rooms.own.members) == [tag]


# Arriving


def test_whoever_arrives_is_as_others_say_and_stays_for_a_grace() -> None:
    seat = Seat()
    seat.hear(OWN, "laptop", Said("alice", 1, "away", 990))
    seat.do(seat.node.arrive(OWN, Who("laptop", "alice", 1), seat.now))
    entry = seat.entry()
    assert entry is not None and (entry.status, entry.since) == ("away", 990)
    assert seat.record().here[0].resting is None
    seat.wait(GRACE - 0.5)
    assert seat.node.own.are_in(OWN, "laptop")
    # Their line has not been opened.
    seat.do(seat.node.arrive(OWN, Who("laptop", "alice", 1), seat.now))
    seat.wait(GRACE - 0.5)
    assert seat.node.own.are_in(OWN, "laptop")
    seat.hear(DOC, ":carol", Said("carol", 0, "online", 1_000))
    seat.wait(0.5)
    assert not seat.node.own.are_in(OWN, "laptop")


def test_who_arrives_has_the_time_for_it_where_a_grace_is_short() -> None:
    seat = Seat()
    seat.node.timing.set_graces({7: 0.5})
    seat.do(seat.node.arrive(DOC, Who(LINE, "alice"), seat.now))
    seat.wait(1.5)
    assert seat.shown(DOC) == "online"
    seat.wait(0.5)
    assert seat.shown(DOC) == "offline"


def test_who_has_a_line_here_has_arrived_and_who_rests_goes_on_resting() -> None:
    seat = Seat()
    seat.open(status="away")
    seat.open(session="phone", status="busy")
    seat.close(session="phone")
    before = seat.entry(), seat.entry("phone")
    seat.wait(1)
    for session in ("laptop", "phone"):
        seat.do(seat.node.arrive(OWN, Who(session, "alice", 1), seat.now))
    assert (seat.entry(), seat.entry("phone")) == before
    seat.wait(GRACE + 1)
    assert seat.node.own.are_in(OWN, "laptop") and not seat.node.own.are_in(OWN, "phone")


# After a pause


def test_a_line_from_before_a_pause_was_closed_as_long_ago_as_others_may_have_seen() -> None:
    seat = Seat()
    seat.open()
    seat.wait(1)
    pause = 13
    seat.second += pause
    seat.open(session="phone")
    for session in ("laptop", "phone", "tablet"):
        seat.close(session=session)
    laptop, phone = seat.entry(), seat.entry("phone")
    assert laptop is not None and phone is not None
    held = 10.0 + GRACE - pause
    assert (laptop.left, phone.left) == (14 - (GRACE - held), 14)


# Giving way


def gives_way(seat: Seat, known_until: float, source: Source) -> tuple[bool, bool]:
    own = seat.node.own
    return known_until >= own.gives_way_from(source), own.give_way(source, seat.now)


def test_what_rests_gives_way_to_a_line_that_was_surely_open_since() -> None:
    seat = Seat()
    there = Source(OTHER, OWN, "laptop")
    for source in (there, Source(OTHER, DOC, ":alice")):
        assert gives_way(seat, -1.0, source) == (True, False), "nobody is here"
    seat.open()
    seat.wait(2)
    assert gives_way(seat, -1.0, there) == (True, False), "there is a line here, too"
    seat.close()
    assert gives_way(seat, 1.9, there) == (False, False), "there is none elsewhere"
    seat.hear(OWN, "laptop", Said("alice", 1, "online", 1_000, 1.0, 1_000))
    assert gives_way(seat, 2.0, there) == (True, False), "that rests, too"
    seat.hear(OWN, "laptop", Said("alice", 1, "online", 1_000))
    assert seat.node.own.are_in(OWN, "laptop") and seat.node.own.gives_way_from(there) == 2.0
    seat.node._departures.add(there, Departure(Why.TOLD, 2.0, 1_000))
    assert gives_way(seat, 2.0, there) == (True, False), "that is said to be closed"
    seat.node._departures.cancel(there)
    assert gives_way(seat, 2.0, there) == (True, True)
    assert seat.entry() is None and seat.record().gone == {(OWN, "laptop")}
    assert seat.shown() == "online"
    seat.wait(GRACE + 1)
    assert seat.shown() == "online" and not seat.record().last_seen


def test_what_has_ended_gives_way_to_nobody() -> None:
    seat = Seat()
    seat.open()
    seat.close()
    seat.hear(OWN, "laptop", Said("alice", 1, "online", 1_000))
    seat.do(seat.node.end("laptop", 1_000, seat.now))
    assert gives_way(seat, 1.0, Source(OTHER, OWN, "laptop")) == (True, False)


# Following


def test_of_what_others_say_only_the_seconds_of_the_same_status_are_followed() -> None:
    seat = Seat()
    seat.open()
    seat.open(session="phone", status="away")
    seat.wait(3)
    seat.hear(OWN, "tablet", Said("alice", 1, "online", 1_002, came=1_001))
    laptop, phone = seat.entry(), seat.entry("phone")
    assert laptop == Entry("alice", 1, "online", 1_002, came=1_001)
    assert phone == Entry("alice", 1, "away", 1_000, came=1_001)
    seat.do(seat.node.choose(0, "alice", "invisible", seat.now))
    seat.do(seat.node.set_status(OWN, "laptop", 1, "away", seat.now))
    said = seat.node.rooms.own.said("laptop")
    assert said == Entry("alice", 1, "away", 1_003, came=1_001)


def test_who_becomes_visible_says_since_then_of_their_lines_too() -> None:
    seat = Seat()
    seat.open()
    seat.do(seat.node.choose(0, "alice", "invisible", seat.now))
    seat.wait(3)
    seat.do(seat.node.choose(0, "alice", None, seat.now))
    assert seat.node.rooms.own.roster.here["alice"].here == 1_003
    assert seat.entry() == Entry("alice", 1, "online", 1_003, came=1_003)


def test_a_choice_that_changes_nothing_may_have_been_shown_otherwise_elsewhere() -> None:
    seat = Seat()
    seat.open(status="busy")
    version = seat.node.versions.newest
    seat.do(seat.node.choose(0, "alice", "busy", seat.now))
    changes = seat.node.rooms.own.roster.changes_since(version, elsewhere=True)
    assert changes is not None and [user for user, _ in changes] == ["alice"]
    assert seat.node.versions.newest == version


def test_when_others_let_somebody_go_the_second_is_followed_in_which_that_was_seen() -> None:
    seat = Seat()
    seat.open(status="away")
    seat.hear(OWN, "tablet", Said("alice", 1, "online", 1_000))
    seat.wait(3)
    assert seat.shown() == "online"
    seat.hear(OWN, "phone", Said("bob", 1, "online", 1_000))
    assert seat.shown() == "away"
    assert seat.entry() == Entry("alice", 1, "away", 1_003, came=1_000)


# Claims


def test_a_claim_has_its_own_end_and_is_shown_as_the_newest() -> None:
    seat = Seat()
    who = Who(CLAIM, "alice", about={"a": 1}, until=1_030)
    seat.do(seat.node.claim(DOC, who, seat.now, status="busy", ttl=30))
    # As if its last line were to close when a grace is left.
    left = 30 - GRACE
    said = Entry("alice", 0, "busy", 1_000, left, 1_030, 1_000, {"a": 1}, 1_000)
    assert seat.entry(".alice", DOC) == said
    stay = Stay(DOC, CLAIM, "alice", 0, "busy", 1_000, '{"a": 1}', -left, 1_030, 1_000)
    assert seat.record().here == [stay]
    seat.do(seat.node.claim(DOC, who, seat.now, status="busy", ttl=20))
    entry = seat.entry(".alice", DOC)
    assert entry is not None and (entry.order, entry.left) == (1_001, 20 - GRACE)
    seat.wait(19.5)
    assert seat.shown(DOC) == "busy"
    seat.wait(0.5)
    assert seat.shown(DOC) == "offline"


def test_one_without_an_end_lasts_for_a_grace() -> None:
    seat = Seat()
    seat.do(seat.node.claim(OWN, Who("laptop", "alice", 1), seat.now))
    assert seat.entry() == Entry("alice", 1, "online", 1_000, 0.0, 1_000, came=1_000)
    seat.wait(GRACE - 0.5)
    assert seat.shown() == "online"
    seat.wait(0.5)
    assert seat.shown() == "offline"


def test_one_that_lasts_for_nothing_is_none_and_so_is_one_beside_a_line() -> None:
    seat = Seat()
    seat.do(seat.node.claim(DOC, Who(CLAIM, "alice"), seat.now, ttl=0))
    assert seat.shown(DOC) == "offline" and not seat.node.own.are_in(DOC, CLAIM)
    seat.node.timing.set_graces({7: 0.0})
    seat.do(seat.node.claim(DOC, Who(CLAIM, "alice"), seat.now))
    assert seat.shown(DOC) == "offline"
    seat.do(seat.node.claim(DOC, Who(CLAIM, "alice"), seat.now, ttl=0.5))
    assert seat.shown(DOC) == "online"
    seat.open()
    seat.do(seat.node.claim(OWN, Who("laptop", "alice", 1), seat.now, status="away"))
    entry = seat.entry()
    assert entry is not None and (entry.status, entry.left) == ("online", None)


# Taking over


def test_what_was_at_another_node_goes_on_as_it_was_written() -> None:
    seat = Seat()
    seat.wait(20)
    stay = Stay(OWN, "laptop", "alice", 3, "away", 1_005, '{"a": 1}', 2.5, 1_500, 1_001)
    seat.do(seat.node.adopt([stay], seat.now))
    assert seat.entry() == Entry(
        "alice", 3, "away", 1_005, 17.5, 1_018, 0, {"a": 1}, came=1_001
    )
    assert seat.record().here == [stay]
    # Who is here already stays as they are.
    seat.do(seat.node.adopt([stay._replace(status="busy", resting=0.0)], seat.now))
    assert seat.shown() == "away"
    seat.wait(GRACE - 3)
    assert seat.shown() == "away"
    seat.wait(0.5)
    assert seat.shown() == "offline" and seat.record().last_seen == {"alice": 1_018}


@pytest.mark.parametrize(
    ("resting", "left", "second"), [(None, 20.0, 1_020), (-3.0, 23.0, 1_020)]
)
def test_of_a_line_that_was_open_a_grace_begins_now(
    resting: float | None, left: float, second: int
) -> None:
    seat = Seat()
    seat.wait(20)
    stay = Stay(OWN, "laptop", "alice", 3, "online", 1_500, resting=resting)
    seat.do(seat.node.adopt([stay], seat.now))
    entry = seat.entry()
    assert entry is not None and (entry.left, entry.left_second) == (left, second)
    # A clock that was ahead has written a second that is yet to come.
    assert (entry.since, entry.came) == (1_020, 1_020)


def test_who_does_not_come_back_was_seen_last_before_no_node_ran() -> None:
    seat = Seat()
    seat.wait(20)
    stays = [
        Stay(OWN, user, user, 3, "online", 900, resting=resting, unseen=100.0 + resting)
        for user, resting in (("alice", 0.0), ("bob", 3.0), ("carol", GRACE))
    ]
    seat.do(seat.node.adopt(stays, seat.now))
    seat.wait(GRACE + 1)
    assert seat.record().last_seen == {"alice": 920, "bob": 917, "carol": 912}


def test_a_claim_that_is_taken_over_ends_in_its_second() -> None:
    seat = Seat()
    seat.wait(20)
    stay = Stay(DOC, CLAIM, "alice", 0, "busy", 1_000, resting=-2.0, until=1_030, unseen=-2.0)
    seat.do(seat.node.adopt([stay], seat.now))
    seat.wait(GRACE + 2.5)
    gone = seat.node.rooms.open(DOC).roster.gone("alice")
    assert gone is not None and gone.since == 1_030


def test_whose_grace_is_over_is_not_here_and_no_longer_written_down() -> None:
    seat = Seat()
    seat.wait(20)
    stay = Stay(OWN, "laptop", "alice", 3, "online", 1_000, resting=GRACE)
    seat.do(seat.node.adopt([stay], seat.now))
    assert seat.shown() == "offline"
    assert seat.record() == Record([], {(OWN, "laptop")}, {"alice": 1_012}, [])
    seat.do(seat.node.end("laptop", 1_020, seat.now))
    seat.do(seat.node.adopt([stay._replace(resting=0.0)], seat.now))
    assert seat.shown() == "offline", "that session has ended"


# Ends


def test_a_session_that_ends_is_gone_at_once_since_that_second() -> None:
    seat = Seat()
    seat.open()
    seat.open(session="phone")
    seat.wait(5)
    version = seat.node.versions.newest
    seat.do(seat.node.end("phone", 1_003, seat.now))
    changes = seat.node.rooms.own.roster.changes_since(version, elsewhere=True)
    assert changes is not None and [user for user, _ in changes] == ["alice"]
    assert seat.node.versions.newest == version
    seat.do(seat.node.end("laptop", 1_004, seat.now))
    assert seat.node.rooms.own.roster.left("alice") == 1_004
    assert seat.record().last_seen == {"alice": 1_004}


def test_what_ends_is_told_soon_if_it_is_here() -> None:
    seat = Seat()
    assert seat.node.end("phone", 1_000, seat.now) == []
    seat.open()
    seat.wait(1)
    # Of another node it is not known yet what it knows.
    seat.hear(DOC, ":bob", Said("bob", 0, "online", 1_000))
    assert seat.node.end("laptop", 1_000, seat.now) == [TickSoon()]
    assert seat.shown() == "online"


def test_one_of_two_lines_that_closes_begins_no_grace() -> None:
    seat = Seat()
    seat.open()
    seat.open(connection=2)
    seat.close()
    seat.wait(GRACE + 1)
    assert seat.shown() == "online"


def test_of_who_went_after_a_grace_it_is_said_that_all_had_confirmed_that() -> None:
    for ends in (False, True):
        seat = Seat()
        seat.open()
        seat.close()
        seat.hear(DOC, ":bob", Said("bob", 0, "online", 1_000))
        if ends:
            seat.do(seat.node.end("laptop", 1_000, seat.now))
        said: list[Letter] = []
        for _ in range(18):
            seat.second += 0.5
            commands = seat.node.tick(seat.now)
            said += seat.letters(commands)
            seat.do(commands)
            newest = max(one.mark for one in said if isinstance(one, Beat))
            heard = Beat(OTHER, 0, 1, seat.now.unix, False, {ME: newest})
            seat.do(seat.node.receive(encode_letter(heard), seat.now))
        last = [one.mark for one in said if isinstance(one, Batch)][-1]
        assert seat.shown() == "offline" and (last == 0) is ends


def test_no_end_is_yet_to_come() -> None:
    seat = Seat()
    seat.open()
    seat.do(seat.node.end("laptop", 5_000, seat.now))
    assert seat.node.rooms.own.roster.left("alice") == 1_000


def test_choosing_to_be_online_ends_what_was_said_until_then() -> None:
    seat = Seat()
    seat.open(status="away")
    seat.open(session="phone", status="away")
    seat.close(session="phone")
    seat.wait(1)
    seat.do(seat.node.choose(0, "alice", "busy", seat.now))
    seat.do(seat.node.choose(0, "alice", "online", seat.now))
    assert seat.shown() == "online"
    laptop, phone = seat.entry(), seat.entry("phone")
    assert laptop is not None and phone is not None
    assert (laptop.status, phone.status) == ("online", "online")
    assert (laptop.left, phone.left) == (None, 0.0)


def test_nothing_is_left_of_sessions_that_are_gone() -> None:
    seat = Seat()
    for number in range(50):
        seat.open(session=f"s{number}", user=f"u{number}")
        seat.close(session=f"s{number}")
    seat.wait(GRACE + 1)
    own, departures = seat.node.own, seat.node._departures
    assert len(own) == len(departures) == len(departures._graces) == 0
    assert len(seat.record().gone) == 50
