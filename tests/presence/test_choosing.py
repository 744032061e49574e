"""What follows in rooms from what users choose, here and at other nodes."""

from presence_server.presence.choices import Choice, ChosenStatus
from presence_server.presence.commands import TellChoice
from presence_server.presence.entries import Entry
from presence_server.presence.letters import Batch, Part, People, Said
from presence_server.presence.members import Who
from presence_server.presence.records import OWN, Chosen, Notes
from presence_server.presence.states import Status
from presence_server.presence.writing import encode_letter
from tests.presence.test_own_sessions import LINE, ME, OTHER, Seat

AT = 1_000_000


class Chooser(Seat):
    """Alice is here, and says what she likes."""

    def __init__(self, status: Status = "online") -> None:
        super().__init__()
        self.open(status=status)

    def choose(
        self, status: Status | ChosenStatus | None, text: str = "", until: int | None = None
    ) -> None:
        self.do(self.node.choose(0, "alice", status, self.now, text=text, until=until, account=1))

    def hear_choice(self, choice: Choice, app: int = 0, behind: int = 0) -> None:
        self.number += 1
        people = People({}, {app: {"alice": choice}})
        heard = {ME: self.node.hearing.next_mark - 1}
        letter = Part(OTHER, 0, self.number, 0, 1, self.now.unix - behind, people, heard)
        self.do(self.node.receive(encode_letter(letter), self.now))

    def said_and_written(self) -> tuple[list[str | None], list[str | None]]:
        """What is said and written next of choices."""
        self.second += 0.5
        letters = self.letters(self.node.tick(self.now))
        said = [one.people.choices for one in letters if isinstance(one, Batch)]
        chosen = [choice.status for each in said for choice in each.get(0, {}).values()]
        return list(chosen), [choice.status for choice in self.record().choices]

    def otherwise(self, version: int) -> list[str]:
        changes = self.node.rooms.own.roster.changes_since(version, elsewhere=True)
        assert changes is not None
        return [user for user, _ in changes]

    @property
    def shown_since(self) -> int:
        return self.node.rooms.own.roster.here["alice"].since

    @property
    def version(self) -> int:
        return self.node.versions.newest


def test_it_holds_since_it_was_chosen_by_the_clock_of_who_has_it() -> None:
    seat = Chooser()
    seat.wait(10)
    seat.hear_choice(Choice(1, AT, "busy", since=1_000), behind=5)
    person = seat.node.rooms.own.roster.here["alice"]
    assert (person.status, person.since) == ("busy", 1_005)
    seat.hear_choice(Choice(1, AT + 1, "away", since=1_090), behind=5)
    assert seat.node.rooms.own.roster.here["alice"].since == 1_010


def test_what_an_answer_says_that_no_other_may_know_is_said_to_all_and_written_down() -> None:
    seat = Chooser()
    seat.wait(1)
    seat.record()
    seat.hear_choice(Choice(1, AT, "busy", since=1_000))
    assert seat.said_and_written() == (["busy"], ["busy"])
    seat.hear_choice(Choice(1, AT, "busy", since=1_000))
    assert seat.said_and_written() == ([], []), "it is no news"


def test_a_node_that_starts_repeats_nothing_of_what_it_is_told() -> None:
    seat = Chooser()
    seat.wait(1)
    seat.record()
    seat.node.begin_untold()
    seat.hear_choice(Choice(1, AT, "busy", since=1_000))
    assert seat.said_and_written() == ([], []) and seat.shown() == "busy"


def test_what_was_read_holds_since_when_it_says_by_the_clock_of_the_database() -> None:
    seat = Chooser()
    seat.wait(10)
    written = Chosen(0, "alice", 1, "busy", "", None, AT, since=1_605)
    seat.do(seat.node.heed(Notes({}, None, [written], clock=-600), seat.second, seat.now))
    assert seat.shown_since == 1_005
    seat.hear_choice(Choice(1, AT, "busy", since=1_003), behind=5)
    assert seat.shown_since == 1_005


def test_what_says_no_second_holds_since_when_one_says_whose_clock_is_known() -> None:
    seat = Chooser()
    seat.wait(10)
    written = Chosen(0, "alice", 1, "busy", "", None, AT)
    seat.do(seat.node.heed(Notes({}, None, [written]), seat.second, seat.now))
    assert seat.shown_since == 1_000
    told = seat.version
    unknown, known = Choice(1, AT, "busy"), Choice(1, AT, "busy", since=1_000)
    for choice, since in ((unknown, 1_000), (known, 1_005), (known._replace(since=1_002), 1_005)):
        seat.hear_choice(choice, behind=5)
        seat.wait(4)
        assert seat.shown_since == since
    assert seat.version == told, "nobody who knows what holds need know"
    holding = seat.node.choices.holding(0, "alice")
    assert holding is not None and (holding.since, holding.is_dated) == (1_005, True)


def test_who_is_as_they_choose_goes_on_being_so_since_then() -> None:
    seat = Chooser("away")
    choices: list[tuple[ChosenStatus, str, int]] = [
        ("away", "", 1_000),
        ("busy", "", 1_006),
        ("busy", "lunch", 1_006),
        ("invisible", "", 1_012),
        ("busy", "", 1_015),
    ]
    for status, text, since in choices:
        seat.wait(3)
        seat.choose(status, text)
        assert [choice.since for choice in seat.record().choices] == [since]
        shown = seat.node.rooms.own.roster.here.get("alice")
        assert shown is None or shown.since == since


def test_a_choice_of_what_was_so_may_have_been_seen_otherwise_elsewhere() -> None:
    seat = Chooser("away")
    version = seat.version
    seat.choose("away")
    assert seat.version == version and seat.otherwise(version) == ["alice"]


def test_of_who_is_invisible_before_and_after_nobody_is_told_anything() -> None:
    seat = Chooser()
    seat.choose("invisible")
    version = seat.version
    seat.choose("invisible", text="for me alone")
    assert seat.otherwise(version) == []
    seat.choose("online")
    assert seat.otherwise(version) == ["alice"] and seat.shown() == "online"


def test_what_ends_by_itself_is_told_and_is_a_conclusion_of_this_node() -> None:
    seat = Chooser()
    seat.choose("busy", until=1_005)
    before = seat.version
    seat.wait(4.5)
    assert seat.shown() == "busy"
    seat.second = 5.0
    commands = seat.node.tick(seat.now)
    assert TellChoice(0, "alice") in commands and seat.shown() == "online"
    assert [version for _, version in seat.node._cursors._concluded] == [before]
    assert seat.node.rooms.own.roster.here["alice"].since == 1_005


def test_words_alone_leave_a_status_and_an_end_of_both_makes_all_online() -> None:
    seat = Chooser("away")
    seat.choose(None, text="words")
    assert seat.shown() == "away"
    seat.choose(None)
    assert seat.shown() == "online"
    entry = seat.entry()
    assert entry == Entry("alice", 1, "online", 1_000, came=1_000)


def test_what_was_said_after_it_ended_elsewhere_stays() -> None:
    seat = Chooser("away")
    seat.wait(5)
    seat.hear_choice(Choice(1, AT - 1_000, None, since=999))
    assert seat.shown() == "away"
    seat.hear_choice(Choice(1, AT, None, since=1_000))
    assert seat.shown() == "online"


def test_an_end_of_both_reaches_those_without_a_line_and_those_in_rooms_of_an_app() -> None:
    seat = Seat()
    who = Who("phone", "alice", 1)
    seat.do(seat.node.claim(OWN, who, seat.now, status="away"))
    seat.open("7/doc", LINE, status="away")
    seat.wait(5)
    for app, room in ((0, OWN), (7, "7/doc")):
        assert seat.shown(room) == "away"
        seat.do(seat.node.choose(app, "alice", None, seat.now))
        assert seat.shown(room) == "online"


def test_what_is_read_was_so_since_the_second_in_which_it_was_chosen() -> None:
    seat = Chooser()
    seat.wait(10)
    hidden = Chosen(0, "alice", 1, "invisible", "", None, AT + 5_600)
    seat.do(seat.node.heed(Notes({}, None, [hidden]), 0.0, seat.now))
    assert seat.shown() == "offline" and seat.node.rooms.own.roster.left("alice") == 1_005
    assert seat.record().last_seen == {"alice": 1_005}


def test_who_is_no_longer_invisible_may_have_been_seen_otherwise_even_while_away() -> None:
    seat = Chooser()
    seat.close()
    seat.wait(10)
    seat.choose("invisible")
    version = seat.version
    seat.choose("online")
    assert seat.version == version and seat.otherwise(version) == ["alice"]


def test_so_may_one_whose_choice_of_what_was_so_is_over() -> None:
    seat = Chooser("away")
    seat.choose("away", until=1_003)
    version = seat.version
    seat.wait(3)
    assert seat.version > version and seat.otherwise(version) == ["alice"]
    seat.close()
    seat.choose("busy", until=1_020)
    seat.wait(15)
    version = seat.version
    seat.wait(3)
    assert seat.otherwise(version) == [], "all show them as offline, before and after"


def test_a_later_account_chooses_with_its_own_number() -> None:
    seat = Chooser()
    seat.hear_choice(Choice(7, AT, "busy"))
    seat.choose("away")
    holding = seat.node.choices.holding(0, "alice")
    assert holding is not None and (holding.account, holding.status) == (7, "away")
    assert holding.at == AT + 1


def test_a_choice_holds_in_the_rooms_of_its_app_alone() -> None:
    seat = Chooser()
    for room in ("7/doc", "8/doc"):
        seat.do(seat.node.open(room, Who(f"{room[0]}:alice", "alice"), 1, seat.now))
    seat.hear_choice(Choice(0, AT, "busy"), app=7)
    rooms = ("", "7/doc", "7/lobby", "8/doc")
    assert [seat.shown(room) for room in rooms] == ["online", "busy", "busy", "online"]


def test_what_is_chosen_here_is_said_to_the_others_with_the_next_batch() -> None:
    seat = Chooser()
    seat.do(seat.node.tick(seat.now))
    seat.choose("busy", text="lunch", until=1_500)
    batches = [
        letter for letter in seat.letters(seat.node.tick(seat.now)) if isinstance(letter, Batch)
    ]
    choice = Choice(1, AT, "busy", "lunch", 1_500, since=1_000)
    assert [batch.people.choices for batch in batches] == [{0: {"alice": choice}}]


# One second for all


def test_all_nodes_name_the_second_of_whoever_came_later() -> None:
    seat = Chooser()
    seat.record()
    seat.wait(5)
    seat.hear(OWN, "phone", Said("alice", 1, "online", 1_005))
    assert seat.entry() == Entry("alice", 1, "online", 1_005, came=1_005)
    (stay,) = seat.record().here
    assert (stay.since, stay.came) == (1_005, 1_005)
    (batch,) = (one for one in seat.letters(seat.node.tick(seat.now)) if isinstance(one, Batch))
    assert batch.people.states == {OWN: {"laptop": Said("alice", 1, "online", 1_005)}}
    assert not seat.record().here


def test_of_another_status_only_the_stay_is_named_so() -> None:
    seat = Chooser()
    seat.record()
    seat.wait(5)
    seat.hear(OWN, "phone", Said("alice", 1, "away", 1_005))
    assert seat.entry() == Entry("alice", 1, "online", 1_000, came=1_005)
    assert [stay.came for stay in seat.record().here] == [1_005]


def test_whoever_is_here_at_another_node_comes_in_their_second() -> None:
    seat = Seat()
    seat.wait(5)
    seat.hear(OWN, "phone", Said("alice", 1, "online", 1_002, came=1_001))
    seat.open()
    assert seat.entry() == Entry("alice", 1, "online", 1_002, came=1_001)


def test_in_a_room_of_an_app_and_its_lobby_alike() -> None:
    seat = Seat()
    seat.do(seat.node.open("7/doc", Who(LINE, "alice"), 1, seat.now))
    seat.wait(5)
    seat.hear("7/other", ":alice", Said("alice", 0, "online", 1_005))
    assert seat.node.rooms.open("7/lobby").roster.here["alice"].since == 1_005
    assert seat.node.rooms.open("7/doc").roster.here["alice"].since == 1_000
