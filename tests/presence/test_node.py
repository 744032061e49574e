"""The rules of presence on one node, by their numbers in the design."""

from presence_server.presence.choices import ChosenStatus
from presence_server.presence.commands import Breathe, Command, Resubscribe, Send, Tell
from presence_server.presence.letters import Ask, Batch, Beat, Goodbye, Letter, Part
from presence_server.presence.members import Who
from presence_server.presence.moment import Moment
from presence_server.presence.node import Node
from presence_server.presence.reading import parse_letter
from presence_server.presence.records import OWN, Chosen, Record, Stay
from presence_server.presence.states import Status
from presence_server.presence.writing import encode_letter
from tests.presence.judge import Observer

GRACE = 8.0
OTHER = f"{2:016x}"
NOTHING = Record([], set(), {}, [])


class Desk:
    """A node whose clock is in the hands of the test, and somebody who watches its list."""

    def __init__(self, grace: float = GRACE) -> None:
        self.second = 0.0
        self.node = Node(f"{1:016x}", grace=grace, lease=10.0, now=self.now)
        self.observer = Observer(self.node.rooms.own.roster)
        self.said: list[tuple[Letter, str | None]] = []
        self.commands: list[Command] = []

    @property
    def now(self) -> Moment:
        return Moment(self.second, 1000 + int(self.second))

    def do(self, commands: list[Command]) -> None:
        """Carry out what the node wants; it hears itself at once, as in a process that is alone."""
        self.commands += commands
        for command in commands:
            if isinstance(command, Send):
                self.said.append((parse_letter(command.text), command.to))
                if command.to in (None, self.node.name):
                    self.do(self.node.receive(command.text, self.now))
            elif isinstance(command, Breathe):
                self.do(self.node.woke(self.now))
        self.observer.flush()

    def open(
        self,
        number: int,
        session: str = "laptop",
        username: str = "alice",
        status: Status | None = None,
    ) -> None:
        who = Who(session, username)
        self.do(self.node.open(OWN, who, number, self.now, status))

    def close(self, number: int, session: str = "laptop") -> None:
        self.do(self.node.close(OWN, session, number, self.now))

    def claim(self, session: str = "laptop", username: str = "alice") -> None:
        self.do(self.node.claim(OWN, Who(session, username), self.now))

    def say(self, number: int, status: Status, session: str = "laptop") -> None:
        self.do(self.node.set_status(OWN, session, number, status, self.now))

    def choose(self, status: Status | ChosenStatus, username: str = "alice") -> None:
        self.do(self.node.choose(0, username, status, self.now))

    def end(self, session: str = "laptop") -> None:
        self.do(self.node.end(session, self.now.unix, self.now))

    def tick(self) -> None:
        self.do(self.node.tick(self.now))

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            self.second = round(self.second + 0.1, 1)
            self.tick()

    def record(self, *, whole: bool = False) -> Record:
        return self.node.take_record(self.now, whole=whole)

    def letters(self) -> list[tuple[Letter, str | None]]:
        """What it has said since it was asked last."""
        said, self.said = self.said, []
        return said

    def told(self, username: str = "alice") -> list[str]:
        self.observer.flush()
        self.observer.check()
        return self.observer.told.get(username, [])


def stay(session: str, username: str, status: Status, since: int, resting: float | None) -> Stay:
    return Stay(OWN, session, username, 0, status, since, resting=resting, came=since)


def test_rule_1_ten_tabs_are_one_user() -> None:
    desk = Desk()
    for number in range(10):
        desk.open(number, session=f"device {number % 3}")
    for number in range(9):
        desk.close(number, session=f"device {number % 3}")
    desk.wait(20)
    assert desk.told() == ["online"]
    desk.close(9, session="device 0")
    desk.wait(20)
    assert desk.told() == ["online", "offline"]


def test_rule_2_opening_the_list_counts_as_being_here_for_one_grace() -> None:
    desk = Desk()
    desk.claim()
    assert desk.told() == ["online"]
    desk.wait(4)
    desk.claim()
    desk.wait(7.9)
    assert desk.told() == ["online"]
    desk.wait(0.1)
    assert desk.told() == ["online", "offline"]


def test_rule_3_back_within_the_grace() -> None:
    desk = Desk()
    desk.open(1)
    desk.close(1)
    desk.wait(7.9)
    desk.open(2)
    desk.wait(20)
    assert desk.told() == ["online"]


def test_rule_3_the_status_stays_during_the_grace() -> None:
    desk = Desk()
    desk.open(1)
    desk.say(1, "away")
    desk.close(1)
    desk.wait(4)
    desk.open(2)
    assert desk.told() == ["online", "away"]


def test_rule_3_offline_since_the_last_connection_closed() -> None:
    desk = Desk()
    desk.open(1)
    desk.wait(5)
    desk.close(1)
    desk.wait(10)
    assert desk.node.rooms.own.roster.left("alice") == 1005


def test_r2_the_old_sockets_leave_comes_after_the_new_ones_join() -> None:
    desk = Desk(grace=0.0)
    desk.open(1)
    desk.open(2)
    desk.close(1)
    desk.wait(5)
    assert desk.told() == ["online"]


def test_rule_4_log_out_has_no_grace() -> None:
    desk = Desk()
    desk.open(1)
    desk.open(2)
    desk.end()
    assert desk.told() == ["online", "offline"]
    desk.close(1)
    desk.close(2)
    desk.wait(20)
    assert desk.told() == ["online", "offline"]


def test_rule_4_nor_has_it_for_those_in_their_grace() -> None:
    desk = Desk()
    desk.open(1)
    desk.close(1)
    desk.end()
    assert desk.told() == ["online", "offline"]


def test_rule_4_another_session_keeps_the_user_here_even_in_its_grace() -> None:
    desk = Desk()
    desk.open(1)
    desk.open(2, session="phone")
    desk.close(2, session="phone")
    desk.end()
    desk.wait(7.9)
    assert desk.told() == ["online"]
    desk.wait(0.2)
    assert desk.told() == ["online", "offline"]


def test_rule_7_who_leaves_and_comes_within_a_second_is_told_nothing_new() -> None:
    """The observer flushes only at the ends: what it had is still so."""
    desk = Desk()
    desk.open(1)
    desk.node.end("laptop", desk.now.unix, desk.now)
    desk.node.open(OWN, Who("laptop again", "alice"), 2, desk.now)
    assert desk.told() == ["online"]
    assert desk.observer.people["alice"].since == 1000


def test_r24_the_status_of_a_connection_and_that_of_its_user() -> None:
    desk = Desk()
    desk.open(1)
    desk.open(2)
    desk.say(2, "away")
    assert desk.told() == ["online"]
    desk.choose("away")
    desk.say(1, "online")
    desk.open(3)
    assert desk.told() == ["online", "away"]
    desk.choose("online")
    assert desk.told() == ["online", "away", "online"]
    desk.close(1)
    desk.close(3)
    assert desk.told() == ["online", "away", "online"], "online for all reached the second tab"


def test_two_clicks_within_a_second_hold_in_their_order() -> None:
    desk = Desk()
    desk.open(1)
    for status in ("away", "online", "away", "online", "away"):
        desk.choose(status)
    assert desk.told()[-1] == "away"


def test_one_who_is_not_here_says_nothing() -> None:
    desk = Desk()
    desk.say(1, "away")
    desk.open(1)
    assert desk.told() == ["online"]


def test_rule_12_a_choice_outlives_its_users_absence() -> None:
    desk = Desk()
    desk.open(1)
    desk.choose("away")
    desk.close(1)
    desk.wait(20)
    desk.open(2)
    assert desk.told() == ["online", "away", "offline", "away"]


def test_r20_a_deleted_account_and_a_new_one_of_its_name() -> None:
    desk = Desk()
    desk.open(1)
    desk.end()
    desk.do(desk.node.delete("alice", 1, desk.now.unix, desk.now))
    assert desk.told()[-1] == "deleted"
    desk.do(desk.node.open(OWN, Who("laptop again", "alice", 2), 2, desk.now))
    assert desk.told()[-1] == "online"


# What is written down


def test_rule_9_what_is_written_down_brings_them_back_for_one_grace() -> None:
    desk = Desk()
    desk.open(1)
    desk.open(2, session="phone", username="bob")
    desk.say(2, "away", "phone")
    record = desk.record()
    assert sorted(record.here) == [
        stay("laptop", "alice", "online", 1000, None),
        stay("phone", "bob", "away", 1000, None),
    ]
    anew = Desk()
    anew.second = 5.0
    anew.tick()
    anew.do(anew.node.adopt(record.here, anew.now))
    assert anew.told("alice") == ["online"] and anew.told("bob") == ["away"]
    assert anew.observer.people["alice"].since == 1000
    anew.open(1)
    anew.wait(7.9)
    assert anew.told("bob") == ["away"]
    anew.wait(10)
    assert anew.told("alice") == ["online"] and anew.told("bob") == ["away", "offline"]
    assert anew.node.rooms.own.roster.left("bob") == 1005


def test_no_start_prolongs_a_grace_however_long_it_takes() -> None:
    desk = Desk()
    desk.node.begin_untold()
    desk.do(desk.node.adopt([stay("laptop", "alice", "online", 900, 4.0)], desk.now))
    desk.second = 2.0
    desk.tick()
    desk.second = 3.5
    desk.tick()
    desk.node.let_in()
    desk.wait(0.4)
    assert list(desk.node.rooms.own.roster.here) == ["alice"]
    desk.wait(0.2)
    assert desk.told("alice") == ["online", "offline"]
    desk.open(1)
    desk.close(1)
    desk.second += 3.0
    desk.tick()
    desk.wait(7.9)
    assert desk.told("alice")[-1] == "online", "of one that runs a pause does not count"


def test_a_grace_goes_on_where_it_stood() -> None:
    desk = Desk()
    stays = [
        stay("laptop", "alice", "online", 900, 6.0),
        stay("phone", "bob", "online", 900, 9.0),
        stay("tablet", "carol", "online", 900, -4.0),
    ]
    desk.do(desk.node.adopt(stays, desk.now))
    assert desk.told("bob") == [], "it was over before"
    assert desk.record().last_seen == {"bob": 991}
    desk.wait(1.9)
    assert desk.told("alice") == ["online"]
    desk.wait(0.2)
    assert desk.told("alice") == ["online", "offline"]
    desk.wait(9.7)
    assert desk.told("carol") == ["online"], "of its node it was presumed that it lives"
    desk.wait(0.3)
    assert desk.told("carol") == ["online", "offline"]


def test_a_record_tells_what_changed_since_the_last() -> None:
    desk = Desk()
    desk.open(1)
    desk.open(2, session="phone", username="bob")
    desk.record()
    assert desk.record() == NOTHING
    desk.end()
    assert desk.record() == Record([], {(OWN, "laptop")}, {"alice": 1000}, [])
    assert [one.session for one in desk.record(whole=True).here] == ["phone"]


def test_a_grace_is_written_down_and_its_end_too() -> None:
    desk = Desk()
    desk.open(1)
    desk.record()
    desk.open(2)
    assert desk.record() == NOTHING, "a further tab changes nothing"
    desk.close(1)
    desk.close(2)
    desk.second += 0.5
    assert desk.record().here == [stay("laptop", "alice", "online", 1000, 0.5)]
    desk.open(3)
    assert desk.record().here == [stay("laptop", "alice", "online", 1000, None)]


def test_choices_are_written_down() -> None:
    desk = Desk()
    desk.do(desk.node.choose(0, "alice", "busy", desk.now, text="lunch", until=1010, account=7))
    assert desk.record().choices == [
        Chosen(0, "alice", 7, "busy", "lunch", 1010, 1_000_000, since=1_000)
    ]
    desk.choose("online")
    ended = Chosen(0, "alice", 7, None, "", None, 1_000_001, since=1_000)
    assert desk.record().choices == [ended]
    assert desk.record() == NOTHING
    assert len(desk.record(whole=True).choices) == 1


def test_last_seen_never_goes_back() -> None:
    desk = Desk()
    desk.open(1)
    desk.open(2, session="phone")
    desk.close(2, session="phone")
    desk.wait(5)
    desk.end()
    desk.wait(10)
    assert desk.told() == ["online", "offline"]
    assert desk.record().last_seen == {"alice": 1005}


# Rooms


def test_rooms_are_apart_and_their_lobby_has_all() -> None:
    desk = Desk()
    for room, user in (("7/a", "alice"), ("7/b", "bob"), ("8/a", "carol")):
        who = Who(f"{room[0]}:{user}", user)
        desk.do(desk.node.open(room, who, 1, desk.now))
    desk.do(desk.node.open("7/lobby", Who("7:dave", "dave"), 4, desk.now))

    def here(room: str) -> set[str]:
        found = desk.node.rooms.get(room)
        return set() if found is None else set(found.roster.here)

    assert here("7/a") == {"alice"} and here("7/b") == {"bob"} and here("8/a") == {"carol"}
    assert here("7/lobby") == {"alice", "bob", "dave"} and here("8/lobby") == {"carol"}
    assert here(OWN) == set() and desk.told("alice") == []


def test_a_choice_holds_in_all_rooms_of_its_app() -> None:
    desk = Desk()
    for number, room in enumerate(("7/a", "7/b", "8/a")):
        desk.do(desk.node.open(room, Who(f"{room[0]}:alice", "alice"), number, desk.now))
    desk.do(desk.node.choose(7, "alice", "busy", desk.now))

    def status(key: str) -> str:
        room = desk.node.rooms.get(key)
        assert room is not None
        return room.roster.here["alice"].status

    assert [status(room) for room in ("7/a", "7/b", "7/lobby", "8/a")] == [*3 * ["busy"], "online"]


def test_who_moves_between_rooms_is_always_in_the_lobby() -> None:
    desk = Desk()
    desk.node.watch("7/lobby")
    who = Who("7:alice", "alice")
    desk.do(desk.node.open("7/a", who, 1, desk.now))
    lobby = desk.node.rooms.open("7/lobby")
    version = lobby.roster.version
    desk.do(desk.node.open("7/b", who, 2, desk.now))
    desk.do(desk.node.close("7/a", who.session, 1, desk.now))
    desk.wait(20)
    assert lobby.roster.version == version
    desk.do(desk.node.leave("7/b", who.session, desk.now))
    assert not lobby.roster.here


def test_a_room_goes_when_nobody_is_in_it_and_nobody_looks() -> None:
    desk = Desk()
    room = desk.node.watch("7/a")
    desk.do(desk.node.open("7/a", Who("7:alice", "alice"), 1, desk.now))
    desk.do(desk.node.close("7/a", "7:alice", 1, desk.now))
    desk.wait(20)
    assert not room.roster.here and desk.node.rooms.get("7/a") is room, "somebody looks"
    cursor = room.cursor(room.roster.version)
    assert room.resume(cursor, desk.now) == room.roster.version
    desk.node.unwatch("7/a")
    desk.wait(59)
    assert list(room.roster.left_since(0)) == ["alice"], "it remembers for a minute who left"
    desk.wait(121)
    assert len(desk.node.rooms) == 1, "only the room of the own accounts is left"
    assert not desk.node.own.are_in("7/a", "7:alice") and not len(desk.node.own)
    desk.do(desk.node.open("7/a", Who("7:bob", "bob"), 2, desk.now))
    anew = desk.node.rooms.open("7/a")
    assert anew.resume(cursor, desk.now) is None, "of another life of the room"


def test_what_changed_is_told_by_room() -> None:
    desk = Desk()
    desk.do(desk.node.open("7/a", Who("7:alice", "alice"), 1, desk.now))
    told = [command.rooms for command in desk.commands if isinstance(command, Tell)]
    assert told == [{"7/a", "7/lobby"}]


def test_a_user_of_an_app_can_be_sent_away_and_come_back() -> None:
    desk = Desk()
    who = Who("7:alice", "alice")
    for number, key in enumerate(("7/a", "7/b")):
        desk.do(desk.node.open(key, who, number, desk.now))
    desk.do(desk.node.end_user(7, "alice", desk.now, room="7/a"))
    rooms = desk.node.rooms
    assert not rooms.open("7/a").roster.here and rooms.open("7/b").roster.here
    desk.do(desk.node.end_user(7, "alice", desk.now))
    assert not rooms.open("7/b").roster.here and not rooms.open("7/lobby").roster.here
    desk.do(desk.node.open("7/a", who, 3, desk.now))
    assert set(rooms.open("7/a").roster.here) == {"alice"}


def test_what_is_shown_beside_a_status_can_change() -> None:
    desk = Desk()
    who = Who("7:alice", "alice", 0, {"name": "Alice"})
    desk.do(desk.node.open("7/a", who, 1, desk.now))
    room = desk.node.rooms.open("7/a")
    assert room.roster.here["alice"].about == {"name": "Alice"}
    desk.do(desk.node.describe("7/a", "7:alice", {"name": "Alice", "data": {"x": 1}}, desk.now))
    assert room.roster.here["alice"].about == {"name": "Alice", "data": {"x": 1}}
    (written,) = desk.record().here
    assert written.about == '{"name": "Alice", "data": {"x": 1}}'


def test_a_claim_can_have_an_end_of_its_own() -> None:
    desk = Desk()
    desk.do(
        desk.node.claim("7/a", Who("7:bot", "bot"), desk.now, status="busy", ttl=30.0)
    )
    room = desk.node.rooms.open("7/a")
    desk.wait(29.9)
    assert room.roster.here["bot"].status == "busy"
    desk.wait(0.2)
    assert not room.roster.here


# Letters


def sessions_in(batch: Batch | Part) -> set[str]:
    return set(batch.people.states.get(OWN, {}))


def test_what_changed_is_said_in_one_batch_with_the_next_number() -> None:
    desk = Desk()
    desk.letters()
    desk.open(1)
    desk.open(2, session="phone", username="bob")
    desk.tick()
    batches = [letter for letter, _ in desk.letters() if isinstance(letter, Batch)]
    assert [batch.sequence for batch in batches] == [1]
    assert sessions_in(batches[0]) == {"laptop", "phone"}
    desk.end()
    desk.tick()
    (batch,) = (letter for letter, _ in desk.letters() if isinstance(letter, Batch))
    assert batch.sequence == 2 and batch.people.states == {OWN: {"laptop": 1000}}


def test_many_changes_take_several_letters_and_an_answer_several_parts() -> None:
    desk = Desk()
    for number in range(2000):
        desk.do(desk.node.open(OWN, Who(f"s{number}", f"user{number}"), number, desk.now))
    desk.do(desk.node.receive(encode_letter(Ask(OTHER)), desk.now))
    desk.tick()
    letters = desk.letters()
    batches = [letter for letter, _ in letters if isinstance(letter, Batch)]
    parts = [letter for letter, to in letters if isinstance(letter, Part) and to == OTHER]
    assert [batch.sequence for batch in batches] == list(range(1, len(batches) + 1))
    assert len(parts) > 1
    assert {(part.part, part.parts, part.sequence) for part in parts} == {
        (number, 0, len(batches)) for number in range(len(parts) - 1)
    } | {(len(parts) - 1, len(parts), len(batches))}
    assert sum(len(sessions_in(part)) for part in parts) == 2000


def test_a_node_without_people_answers_too() -> None:
    desk = Desk()
    desk.do(desk.node.receive(encode_letter(Ask(OTHER)), desk.now))
    desk.tick()
    assert [letter.part for letter, _ in desk.letters() if isinstance(letter, Part)] == [0]


def test_many_asks_within_one_tick_get_one_answer() -> None:
    desk = Desk()
    for _ in range(10):
        desk.do(desk.node.receive(encode_letter(Ask(OTHER)), desk.now))
    desk.tick()
    assert sum(isinstance(letter, Part) for letter, _ in desk.letters()) == 1


def test_a_goodbye_is_the_last_of_what_there_is_to_say() -> None:
    desk = Desk()
    desk.open(1)
    desk.letters()
    desk.do(desk.node.say_goodbye(desk.now))
    assert [type(letter) for letter, _ in desk.letters()] == [Batch, Goodbye]


def test_a_beat_goes_out_a_few_times_per_lease() -> None:
    desk = Desk()
    desk.wait(10)
    assert sum(isinstance(letter, Beat) for letter, _ in desk.letters()) == 5


def test_a_node_that_is_alone_is_never_degraded() -> None:
    desk = Desk()
    desk.do(desk.node.subscribed(desk.now))
    for _ in range(200):
        desk.wait(0.1)
        assert not desk.node.degraded
    assert Resubscribe() not in desk.commands


def test_nothing_grows_while_the_relay_is_down() -> None:
    desk = Desk()
    desk.node.lost()
    for number in range(300):
        desk.second += 0.1
        desk.node.open(OWN, Who(f"s{number}", f"user{number % 5}"), number, desk.now)
        desk.node.end(f"s{number}", desk.now.unix, desk.now)
        commands = desk.node.tick(desk.now)
        assert sum(isinstance(command, Send) for command in commands) <= 3
    for _ in range(30):
        desk.second += 0.1
        desk.node.tick(desk.now)
    node = desk.node
    assert not (node.rooms.own.roster.here or len(node.own) or len(node._departures))
    assert not (node._outbox._letters or node._outbox._askers)
    assert len(desk.record().gone) == 300 and desk.record() == NOTHING


# Pauses of this process


def test_a_pause_takes_nobodys_grace_away() -> None:
    desk = Desk()
    desk.wait(1)
    desk.open(1)
    desk.close(1)
    desk.second += 60
    desk.tick()
    desk.open(2)
    desk.wait(20)
    assert desk.told() == ["online"]


def test_a_pause_that_others_did_not_outwait_gives_the_whole_grace() -> None:
    desk = Desk()
    desk.open(1)
    desk.wait(1)
    desk.second += 9
    desk.close(1)
    desk.wait(7.8)
    assert desk.told() == ["online"]
    desk.wait(0.4)
    assert desk.told() == ["online", "offline"]


def test_a_longer_one_gives_what_is_left_of_lease_and_grace() -> None:
    desk = Desk()
    desk.open(1)
    desk.wait(1)
    desk.second += 13
    desk.close(1)
    desk.wait(4.8)
    assert desk.told() == ["online"]
    desk.wait(0.4)
    assert desk.told() == ["online", "offline"]


def test_what_closed_in_a_pause_that_others_outwaited_is_gone_at_once() -> None:
    desk = Desk()
    desk.open(1)
    desk.open(2, session="phone", username="bob")
    desk.wait(1)
    desk.second += 60
    desk.node.tick(desk.now)
    desk.node.close(OWN, "laptop", 1, desk.now)
    desk.do(desk.node.woke(desk.now))
    desk.close(2, session="phone")
    desk.wait(0.1)
    assert desk.told() == ["online", "offline"]
    desk.wait(7.8)
    assert desk.told("bob") == ["online"], "that was after it"


def test_who_is_shown_and_has_no_line_here_may_return() -> None:
    desk, alice = Desk(), Who("a" * 64, "alice", 1)
    node = desk.node
    assert not node.may_return(OWN, alice) and not node.may_return("7/doc", alice)
    desk.do(node.open(OWN, alice, 1, desk.now))
    assert not node.may_return(OWN, alice)
    desk.do(node.close(OWN, alice.session, 1, desk.now))
    assert node.may_return(OWN, alice)
    assert not node.may_return(OWN, alice._replace(session="b" * 64))
