"""The rules of presence on one node, by their numbers in the design."""

from presence_server.presence.letters import (
    PEOPLE_PER_LETTER,
    Ask,
    Batch,
    Beat,
    Goodbye,
    Part,
    encode_letter,
    parse_letter,
)
from presence_server.presence.moment import Moment
from presence_server.presence.node import Entry, Node
from tests.presence.judge import Observer

GRACE = 8.0
OTHER = f"{2:016x}"


class Desk:
    """A node whose clock is in the hands of the test, and somebody who watches its list."""

    def __init__(self, grace: float = GRACE) -> None:
        self.second = 0.0
        self.node = Node(f"{1:016x}", grace=grace, lease=10.0, now=self.now)
        self.observer = Observer(self.node.roster)

    @property
    def now(self) -> Moment:
        return Moment(self.second, 1000 + int(self.second))

    def open(self, number: int, session: str = "laptop", username: str = "alice") -> None:
        self.node.open(session, username, number, self.now)
        self.observer.flush()

    def close(self, number: int, session: str = "laptop") -> None:
        self.node.close(session, number, self.now)
        self.observer.flush()

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            self.second = round(self.second + 0.1, 1)
            self.node.tick(self.now)
            self.observer.flush()
            self.letters()

    def letters(self) -> list[tuple[object, str | None]]:
        """What it says; it hears itself at once, as in a process that is alone."""
        letters = self.node.take_letters()
        for text, to in letters:
            if to in (None, self.node.name):
                self.node.receive(text, self.now)
        return [(parse_letter(text), to) for text, to in letters]

    def told(self, username: str = "alice") -> list[str]:
        self.observer.flush()
        self.observer.check()
        return self.observer.told.get(username, [])


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
    desk.node.claim("laptop", "alice", desk.now)
    assert desk.told() == ["online"]
    desk.wait(4)
    desk.node.claim("laptop", "alice", desk.now)
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
    desk.node.set_status("laptop", 1, "away", desk.now)
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
    assert desk.node.roster.left("alice") == 1005


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
    desk.node.end("laptop", desk.now)
    assert desk.told() == ["online", "offline"]
    desk.close(1)
    desk.close(2)
    desk.wait(20)
    assert desk.told() == ["online", "offline"]


def test_rule_4_nor_has_it_for_those_in_their_grace() -> None:
    desk = Desk()
    desk.open(1)
    desk.close(1)
    desk.node.end("laptop", desk.now)
    assert desk.told() == ["online", "offline"]


def test_rule_4_another_session_keeps_the_user_here_even_in_its_grace() -> None:
    desk = Desk()
    desk.open(1)
    desk.open(2, session="phone")
    desk.close(2, session="phone")
    desk.node.end("laptop", desk.now)
    desk.wait(7.9)
    assert desk.told() == ["online"]
    desk.wait(0.2)
    assert desk.told() == ["online", "offline"]


def test_rule_7_a_repeated_status_is_newer() -> None:
    """The observer flushes only at the ends, within one second: rule 7 is in its eyes."""
    desk = Desk()
    desk.open(1)
    desk.node.end("laptop", desk.now)
    desk.node.open("laptop again", "alice", 2, desk.now)
    assert desk.told() == ["online", "online"]
    assert desk.observer.people["alice"].since == 1002


def test_r24_the_status_of_a_connection_and_that_of_its_user() -> None:
    desk = Desk()
    desk.open(1)
    desk.open(2)
    desk.node.set_status("laptop", 2, "away", desk.now)
    assert desk.told() == ["online"]
    desk.node.choose("alice", "away", desk.now)
    desk.node.set_status("laptop", 1, "online", desk.now)
    desk.open(3)
    assert desk.told() == ["online", "away"]
    desk.node.choose("alice", "online", desk.now)
    assert desk.told() == ["online", "away", "online"]
    desk.close(1)
    desk.close(3)
    assert desk.told() == ["online", "away", "online"], "online for all reached the second tab"


def test_two_clicks_within_a_second_hold_in_their_order() -> None:
    desk = Desk()
    desk.open(1)
    for status in ("away", "online", "away", "online", "away"):
        desk.node.choose("alice", status, desk.now)
    assert desk.told()[-1] == "away"


def test_one_who_is_not_here_chooses_nothing() -> None:
    desk = Desk()
    desk.node.choose("alice", "away", desk.now)
    desk.node.set_status("laptop", 1, "away", desk.now)
    desk.open(1)
    assert desk.told() == ["online"]


def test_a_choice_ends_when_its_user_is_gone() -> None:
    desk = Desk()
    desk.open(1)
    desk.node.choose("alice", "away", desk.now)
    desk.close(1)
    desk.wait(20)
    desk.open(2)
    assert desk.told() == ["online", "away", "offline", "online"]


def test_r20_a_deleted_account_and_a_new_one_of_its_name() -> None:
    desk = Desk()
    desk.open(1)
    desk.node.end("laptop", desk.now)
    desk.node.delete("alice", desk.now.unix)
    assert desk.told()[-1] == "deleted"
    desk.open(2, session="laptop again")
    assert desk.told()[-1] == "online"
    desk.node.delete("alice", desk.now.unix)
    assert "alice" in desk.node.roster.here, "her own node knows that the new account is here"


# What is written down


def test_rule_9_what_is_written_down_brings_them_back_for_one_grace() -> None:
    desk = Desk()
    desk.open(1)
    desk.open(2, session="phone", username="bob")
    desk.node.set_status("phone", 2, "away", desk.now)
    record = desk.node.take_record()
    assert record.here == {"laptop": Entry("online", 1000), "phone": Entry("away", 1001)}
    anew = Desk()
    anew.second = 5.0
    for session, username in (("laptop", "alice"), ("phone", "bob")):
        anew.node.adopt(session, username, record.here[session], 1004, anew.now)
    assert anew.told("alice") == ["online"] and anew.told("bob") == ["away"]
    assert anew.observer.people["alice"].since == 1000
    anew.open(1)
    anew.wait(20)
    assert anew.told("alice") == ["online"] and anew.told("bob") == ["away", "offline"]
    assert anew.node.roster.left("bob") == 1004


def test_a_record_tells_what_changed_since_the_last() -> None:
    desk = Desk()
    desk.open(1)
    desk.open(2, session="phone", username="bob")
    desk.node.take_record()
    assert desk.node.take_record() == ({}, set(), {})
    desk.node.end("laptop", desk.now)
    assert desk.node.take_record() == ({}, {"laptop"}, {"alice": 1000})
    assert desk.node.take_record(whole=True).here.keys() == {"phone"}


def test_a_further_tab_and_a_reload_are_not_written_down_again() -> None:
    desk = Desk()
    desk.open(1)
    desk.node.take_record()
    desk.open(2)
    assert desk.node.take_record() == ({}, set(), {})
    desk.close(1)
    desk.close(2)
    assert desk.node.take_record().here == {"laptop": Entry("online", 1000)}
    desk.open(3)
    assert desk.node.take_record() == ({}, set(), {})


def test_last_seen_never_goes_back() -> None:
    desk = Desk()
    desk.open(1)
    desk.open(2, session="phone")
    desk.close(2, session="phone")
    desk.wait(5)
    desk.node.end("laptop", desk.now)
    desk.wait(10)
    assert desk.told() == ["online", "offline"]
    assert desk.node.take_record().last_seen == {"alice": 1005}


# Letters


def test_what_changed_is_said_in_one_batch_with_the_next_number() -> None:
    desk = Desk()
    desk.letters()
    desk.open(1)
    desk.open(2, session="phone", username="bob")
    desk.node.tick(desk.now)
    batches = [letter for letter, _ in desk.letters() if isinstance(letter, Batch)]
    assert [batch.sequence for batch in batches] == [1]
    assert batches[0].people.here.keys() == {"alice", "bob"}
    desk.node.end("laptop", desk.now)
    desk.node.tick(desk.now)
    (batch,) = (letter for letter, _ in desk.letters() if isinstance(letter, Batch))
    assert batch.sequence == 2 and batch.people.gone.keys() == {"alice"}


def test_many_changes_take_several_letters_and_an_answer_several_parts() -> None:
    desk = Desk()
    for number in range(2 * PEOPLE_PER_LETTER + 1):
        desk.open(number, session=f"s{number}", username=f"user{number}")
    desk.node.receive(encode_letter(Ask(OTHER)), desk.now)
    desk.node.tick(desk.now)
    letters = desk.letters()
    batches = [letter for letter, _ in letters if isinstance(letter, Batch)]
    parts = [letter for letter, to in letters if isinstance(letter, Part) and to == OTHER]
    assert [batch.sequence for batch in batches] == [1, 2, 3]
    assert {(part.part, part.parts, part.sequence) for part in parts} == {
        (number, 3, 3) for number in range(3)
    }
    assert sum(len(part.people.here) for part in parts) == 2 * PEOPLE_PER_LETTER + 1


def test_a_node_without_people_answers_too() -> None:
    desk = Desk()
    desk.node.receive(encode_letter(Ask(OTHER)), desk.now)
    desk.node.tick(desk.now)
    assert [letter.part for letter, _ in desk.letters() if isinstance(letter, Part)] == [0]


def test_many_asks_within_one_tick_get_one_answer() -> None:
    desk = Desk()
    for _ in range(10):
        desk.node.receive(encode_letter(Ask(OTHER)), desk.now)
    desk.node.tick(desk.now)
    assert sum(isinstance(letter, Part) for letter, _ in desk.letters()) == 1


def test_a_goodbye_is_the_last_of_what_there_is_to_say() -> None:
    desk = Desk()
    desk.open(1)
    desk.node.say_goodbye()
    assert [type(letter) for letter, _ in desk.letters()] == [Batch, Goodbye]


def test_a_beat_goes_out_a_few_times_per_lease() -> None:
    desk = Desk()
    beats = 0
    for _ in range(100):
        desk.second += 0.1
        desk.node.tick(desk.now)
        beats += sum(isinstance(letter, Beat) for letter, _ in desk.letters())
    assert beats == 5


def test_a_node_that_is_alone_is_never_degraded() -> None:
    desk = Desk()
    desk.node.cluster.subscribed(desk.now)
    for _ in range(200):
        desk.wait(0.1)
        assert not desk.node.cluster.degraded and not desk.node.cluster.needs_subscription


def test_i12_nothing_grows_while_the_relay_is_down() -> None:
    desk = Desk()
    desk.node.cluster.lost()
    for number in range(300):
        desk.second += 0.1
        desk.node.open(f"s{number}", f"user{number % 5}", number, desk.now)
        desk.node.end(f"s{number}", desk.now)
        desk.node.tick(desk.now)
        assert len(desk.node.take_letters()) <= 3
    node = desk.node
    voice = node._voice
    assert not (voice._own or voice._unsaid or voice._letters or voice._askers)
    assert len(node._last_seen) == 5 and len(node.take_record().gone) == 300
    assert not node._touched


# Pauses of this process


def test_a_pause_takes_nobodys_grace_away() -> None:
    desk = Desk()
    desk.wait(1)
    desk.open(1)
    desk.close(1)
    desk.second += 60
    desk.node.tick(desk.now)
    desk.open(2)
    desk.wait(20)
    assert desk.told() == ["online"]


def test_closes_that_are_read_after_a_pause_are_noticed_as_such_without_a_tick() -> None:
    desk = Desk()
    desk.open(1)
    desk.wait(1)
    desk.second += 60
    desk.close(1)
    desk.wait(1)
    assert desk.told() == ["online", "offline"], "the grace passed during the pause"


def test_a_short_pause_leaves_the_grace_as_it_is() -> None:
    desk = Desk()
    desk.open(1)
    desk.wait(1)
    desk.second += 5
    desk.close(1)
    desk.wait(7.8)
    assert desk.told() == ["online"]
    desk.wait(0.4)
    assert desk.told() == ["online", "offline"]
