"""The rooms of one node: which there are, in which order, and how long each stays."""

from collections.abc import Iterable

import pytest

from presence_server.presence import rooms as rooms_module
from presence_server.presence.commands import Command, Send, Tell
from presence_server.presence.entries import Source
from presence_server.presence.letters import Batch, Part, People, Said
from presence_server.presence.members import Who
from presence_server.presence.moment import Moment
from presence_server.presence.names import app_of, is_claim, lobby_of, session_of, tag_of
from presence_server.presence.node import Node
from presence_server.presence.own_part import said_of
from presence_server.presence.profiles import Profile
from presence_server.presence.records import OWN
from presence_server.presence.roster import Roster
from presence_server.presence.writing import encode_letter

ME, OTHER = "0" * 16, "1" * 16


class Hall:
    """A node alone, and a voice of another."""

    def __init__(self) -> None:
        self.second = 0.0
        self.node = Node(ME, grace=8, lease=10, now=self.now)
        self.told: list[frozenset[str]] = []
        self.sequence = 0

    @property
    def now(self) -> Moment:
        return Moment(self.second, 1_000 + int(self.second))

    def do(self, commands: Iterable[Command]) -> None:
        for command in commands:
            if isinstance(command, Tell):
                self.told.append(command.rooms)
            elif isinstance(command, Send) and command.to is None:
                self.do(self.node.receive(command.text, self.now))

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds * 2)):
            self.second += 0.5
            self.do(self.node.tick(self.now))

    def open(self, room: str, user: str = "alice", connection: int = 1) -> None:
        who = Who(session_of(app_of(room), user), user)
        self.do(self.node.open(room, who, connection, self.now))

    def leave(self, room: str, user: str = "alice") -> None:
        self.do(self.node.close(room, session_of(app_of(room), user), 1, self.now))
        self.do(self.node.leave(room, session_of(app_of(room), user), self.now))

    def hear(self, room: str, *users: str) -> None:
        """The other node tells all that it has."""
        said = {f":{user}": Said(user, 0, "online", 1_000) for user in users}
        people, self.sequence = People({room: dict(said)}, {}), self.sequence + 1
        letter = Part(OTHER, 0, self.sequence, 0, 1, self.now.unix, people)
        self.do(self.node.receive(encode_letter(letter), self.now))

    def names(self, prefix: str = "", after: str = "") -> list[str]:
        return [room.key for room in self.node.rooms.beginning(prefix, after)]


def test_what_a_key_says() -> None:
    assert app_of(OWN) == 0 and app_of("7/doc") == 7 and app_of("70/a/b") == 70
    assert lobby_of(OWN) is None and lobby_of("7/lobby") is None
    assert lobby_of("7/doc") == "7/lobby" and lobby_of("7/a/b") == "7/lobby"
    assert session_of(7, "alice") == "7:alice" and tag_of("7/doc", "7:alice") == ":alice"
    assert tag_of("7/doc", "7.2alice") == ".2alice"
    assert tag_of(OWN, "x" * 20 + "y") == "x" * 20 and tag_of(OWN, "12") == "12"
    assert is_claim(".alice") and not is_claim(":alice")


def test_rooms_are_found_by_how_their_keys_begin() -> None:
    hall = Hall()
    for room in ("7/c", "7/a", "7/b", "70/a", "8/a"):
        hall.node.watch(room)
    assert hall.names("7/") == ["7/a", "7/b", "7/c", "7/lobby"]
    assert hall.names("7/", after="7/a") == ["7/b", "7/c", "7/lobby"]
    assert hall.names("7/", after="7/aa") == ["7/b", "7/c", "7/lobby"]
    assert hall.names("7/", after="7/lobby") == [] == hall.names("9/")
    assert hall.names("7/b") == ["7/b"] and hall.names("8/", after="7/") == ["8/a", "8/lobby"]
    assert len(hall.node.rooms) == 9 and {room.key for room in hall.node.rooms} >= {OWN, "8/a"}
    assert hall.node.rooms.get("8/a") is not None and hall.node.rooms.get("9/a") is None


def test_a_room_at_which_nobody_looks_any_more_goes_with_its_lobby() -> None:
    hall = Hall()
    hall.node.watch("7/a")
    hall.node.watch("7/a")
    hall.wait(1)
    assert hall.names("7/") == ["7/a", "7/lobby"]
    hall.node.unwatch("7/a")
    hall.wait(1)
    assert hall.names("7/") == ["7/a", "7/lobby"]
    hall.node.unwatch("7/a")
    hall.wait(1)
    assert hall.names("7/") == [] and len(hall.node.rooms) == 1


def test_a_lobby_stays_while_there_is_any_room_whose_people_it_shows() -> None:
    hall = Hall()
    rooms = [f"7/{number:02}" for number in range(20)]
    for room in rooms:
        hall.node.watch(room)
    hall.wait(0.5)
    for room in rooms[1:]:
        hall.node.unwatch(room)
    hall.node.rooms.open("8/a")
    hall.wait(1)
    assert hall.names() == ["7/00", "7/lobby"]
    assert [room.key for room in hall.node.rooms.beginning("7/")] == ["7/00", "7/lobby"]
    hall.node.watch("7/01")
    hall.node.unwatch("7/00")
    hall.wait(1)
    assert hall.names() == ["7/01", "7/lobby"]


def test_one_that_somebody_left_stays_for_a_minute() -> None:
    hall = Hall()

    def names(second: float) -> list[str]:
        for _ in range(2):
            hall.node.rooms.close_idle(Moment(second, 1_000 + int(second)))
        return hall.names("7/")

    hall.open("7/a")
    hall.leave("7/a")
    hall.wait(0.5)
    assert names(60.4) == ["7/a", "7/lobby"]
    hall.open("7/a")
    hall.wait(0.5)
    assert names(61) == ["7/a", "7/lobby"], "somebody has come back"
    hall.leave("7/a")
    hall.wait(0.5)
    assert names(61.4) == ["7/a", "7/lobby"]
    # As its lobby does after it.
    assert names(61.5) == ["7/lobby"] == names(121.4)
    assert names(121.5) == []


def test_who_was_told_of_a_room_comes_back_with_a_cursor_of_its() -> None:
    hall = Hall()
    hall.open("7/a")
    hall.wait(1)
    room = hall.node.rooms.open("7/a")
    cursor = room.cursor(room.roster.version)
    assert cursor.startswith(f"{ME}.1.") and room.cursor(0) == f"{ME}.0"
    assert room.resume(cursor, hall.now) == 1 and room.resume(f"{ME}.3", hall.now) is None
    assert not room.is_of_elsewhere(cursor) and room.is_of_elsewhere(f"{OTHER}.1")


def test_those_of_another_node_are_shown_in_their_room_and_in_its_lobby() -> None:
    hall = Hall()
    hall.hear("7/a", "bob", "carol")
    rooms = hall.node.rooms
    for name in ("7/a", "7/lobby"):
        assert set(rooms.open(name).roster.here) == {"bob", "carol"}
    assert hall.told == [{"7/a", "7/lobby"}]
    assert rooms.with_tag("7/a", ":bob") == [Source(OTHER, "7/a", ":bob")]
    assert rooms.with_tag("7/a", ":dave") == [] == rooms.with_tag("7/z", ":bob")
    assert {source.tag for source, _ in rooms.view(OTHER)} == {":bob", ":carol"}
    assert list(rooms.view(ME)) == []
    hall.open("7/b", "bob")
    assert {room.key for room in rooms.of_user(7, "bob")} == {"7/a", "7/b", "7/lobby"}
    assert [room.key for room in rooms.of_user(7, "nobody")] == ["7/lobby"]
    assert rooms.of_user(8, "bob") == [] and rooms.of_user(0, "x") == [rooms.own]


def test_what_holds_of_somebody_in_a_room_is_of_its_app() -> None:
    hall = Hall()
    hall.do(hall.node.introduce("alice", Profile("Alice"), hall.now))
    hall.do(hall.node.choose(7, "alice", "busy", hall.now))
    for room in ("7/a", "8/a"):
        hall.open(room)
        claimed = Who(f"{room[0]}.bob", "bob")
        hall.do(hall.node.claim(room, claimed, hall.now, ttl=30))
    for ttl in (30, 40):
        hall.do(hall.node.claim("7/b", Who("7.bob", "bob"), hall.now, ttl=ttl))
    for room, app, status in (("7/a", 7, "busy"), ("8/a", 8, "online")):
        found = hall.node.rooms.open(room)
        person, choice = found.roster.here["alice"], found.choice_of("alice")
        assert (found.app, person.status, person.about) == (app, status, {})
        assert (choice is not None) is (app == 7)
    assert [hall.node.own.claims_of(app) for app in (7, 8, 9)] == [2, 1, 0]
    hall.do(hall.node.leave("7/b", "7.bob", hall.now))
    assert hall.node.own.claims_of(7) == 1
    assert hall.node.rooms.open("9/a").said(":alice") is None


def test_of_whom_nodes_may_differ_in_a_room_they_may_in_its_lobby() -> None:
    hall = Hall()
    hall.open("7/a")
    hall.node.rooms.open("7/a").dispute("alice")
    version = hall.node.versions.newest
    for room in ("7/a", "7/lobby"):
        changes = hall.node.rooms.open(room).roster.changes_since(version, elsewhere=True)
        assert changes is not None and [user for user, _ in changes] == ["alice"]


def test_what_is_followed_in_any_room_is_written_down() -> None:
    hall = Hall()
    for room in ("7/a", "7/b"):
        hall.open(room)
    hall.wait(1)
    hall.node.take_record(hall.now)
    later = {":alice": Said("alice", 0, "online", 1_001, came=1_001)}
    people = People({"7/a": dict(later), "7/b": dict(later)}, {})
    letter = Part(OTHER, 0, 1, 0, 1, hall.now.unix, people)
    hall.do(hall.node.receive(encode_letter(letter), hall.now))
    written = hall.node.take_record(hall.now).here
    assert {(stay.room, stay.since, stay.came) for stay in written} == {
        ("7/a", 1_001, 1_001), ("7/b", 1_001, 1_001)
    }


def test_what_a_node_knows_of_who_is_in_its_rooms() -> None:
    hall, own = Hall(), Hall()
    hall.open("7/a")
    node = hall.node
    assert node.own.are_in("7/a", "7:alice") and not node.own.are_in("7/b", "7:alice")
    assert node.sessions_of(7, "alice") == ["7:alice"] and node.account_of("7/z", "alice") == 0
    assert list(node.rooms.open("7/a").own) == ["alice"] and not node.rooms.open("7/lobby").own
    for session, account in (("laptop", 3), ("phone", 4)):
        own.do(own.node.open(OWN, Who(session, "alice", account), 1, own.now))
    assert own.node.account_of(OWN, "alice") == 4 and own.node.account_of(OWN, "bob") == 0
    assert sorted(own.node.sessions_of(0, "alice")) == ["laptop", "phone"]


def test_names_are_in_an_order_that_asks_for_their_case_only_in_apps() -> None:
    hall = Hall()
    for user in ("bob", "Alice", "carol", "Bob2", "b_"):
        hall.do(hall.node.open(OWN, Who(user, user), 1, hall.now))
        hall.open("7/a", user)
    assert hall.node.rooms.own.ordered.page(9) == ["Alice", "b_", "bob", "Bob2", "carol"]
    in_app = hall.node.rooms.open("7/a").ordered
    assert in_app.page(9) == ["Alice", "Bob2", "b_", "bob", "carol"]
    assert hall.node.rooms.own.ordered is hall.node.rooms.own.ordered


def test_nothing_is_said_twice() -> None:
    hall = Hall()
    hall.open("7/a")
    assert any(room.has_unsaid for room in hall.node.rooms)
    room = hall.node.rooms.open("7/a")
    assert [found.key for found in hall.node.rooms.take_unsaid()] == ["7/a"]
    assert [(key, tag) for key, tag, _ in room.take_unsaid(hall.now)] == [("7/a", ":alice")]
    assert not hall.node.rooms.has_unsaid and not room.has_unsaid
    assert list(hall.node.rooms.open("7/b").take_unsaid(hall.now)) == []
    assert list(room.take_unsaid(hall.now)) == [] and hall.node.rooms.take_unsaid() == []
    assert [(key, tag) for key, tag, _ in room.all_said()] == [("7/a", ":alice")]


def test_a_batch_says_when_somebody_came_and_for_how_long_they_rest() -> None:
    hall = Hall()
    hall.open("7/a")
    hall.wait(2)
    hall.do(hall.node.set_status("7/a", "7:alice", 1, "away", hall.now))
    hall.do(hall.node.close("7/a", "7:alice", 1, hall.now))
    hall.second += 3
    ((key, tag, entry),) = hall.node.rooms.open("7/a").all_said()
    assert said_of(entry, hall.now) == Said("alice", 0, "away", 1_002, 3.0, 1_002, 0, {}, 1_000)


def test_of_a_batch_without_an_answer_nothing_is_believed() -> None:
    hall = Hall()
    batch = Batch(OTHER, 1, 0, 1_000, People({"7/a": {":bob": Said("bob", 0, "online", 1)}}, {}))
    hall.do(hall.node.receive(encode_letter(batch), hall.now))
    assert len(hall.node.rooms) == 1 and hall.told == []


def test_thousands_do_not_go_back_to_another_second_in_one_tick(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    back: list[str] = []
    monkeypatch.setattr(rooms_module, "_BACK_AT_ONCE", 2)
    monkeypatch.setattr(Roster, "go_back", lambda roster, user: back.append(user))
    rooms = Hall().node.rooms
    rooms.own.roster.ahead = {"alice", "bob", "carol"}
    rooms.touch(rooms.own)
    seen = []
    for second in (0, 2, 4, 5, 6):
        rooms.go_back(Moment(second, 1_000 + second))
        seen.append(len(back))
    assert seen == [0, 0, 2, 3, 3] and set(back) == {"alice", "bob", "carol"}
