"""Who is here, merged from what nodes say, and what observers are told of it."""

from collections.abc import Callable

import pytest

from presence_server.presence.choices import Choice
from presence_server.presence.entries import Entry, Source
from presence_server.presence.people import Versions
from presence_server.presence.roster import Roster
from presence_server.presence.states import Status
from tests.presence.judge import Observer

A, B = "node a", "node b"


class Table:
    """A roster into which a test says what nodes say."""

    def __init__(self, remembered: int = 20_000) -> None:
        self.choices: dict[str, Choice] = {}
        self.roster = Roster("", None, self.choices.get, remembered)

    def place(
        self,
        node: str,
        user: str,
        status: Status,
        since: int,
        *,
        session: str = "",
        account: int = 1,
        left: float | None = None,
        came: int = 0,
    ) -> None:
        entry = Entry(user, account, status, since, left, came=came)
        self.roster.place(Source(node, "", session or f"{user} at {node}"), entry)

    def remove(self, node: str, user: str, since: int, *, session: str = "") -> None:
        self.roster.remove(Source(node, "", session or f"{user} at {node}"), user, since)

    def choose(self, user: str, choice: Choice) -> None:
        self.choices[user] = choice
        self.roster.settle(user, choice.since)

    def status(self, user: str) -> str:
        return self.roster.here[user].status

    def told(
        self, version: int = 0, *, resumed: bool = False, elsewhere: bool = False
    ) -> dict[str, tuple[str, int]]:
        """What an observer who has a version is told."""
        how = {"resumed": resumed, "elsewhere": elsewhere}
        changes = self.roster.changes_since(version, **how)
        assert changes is not None
        everybody = ["alice", "bob", "carol", "dora"]
        of_some = self.roster.changes_of(everybody, version, **how)
        assert sorted(of_some or ()) == sorted(changes)
        return {user: (person.status, person.since) for user, person in changes}


def test_rule_1_a_user_is_here_while_any_node_says_so() -> None:
    table = Table()
    table.place(A, "alice", "online", 100)
    table.place(B, "alice", "online", 100)
    table.remove(A, "alice", 105)
    assert table.told() == {"alice": ("online", 100)}
    table.remove(B, "alice", 106)
    assert table.told() == {"alice": ("offline", 106)}


def test_who_is_let_go_by_a_node_that_knew_less_left_when_they_were_here_last() -> None:
    table = Table()
    table.place(A, "alice", "online", 100)
    table.place(B, "alice", "online", 100)
    table.remove(A, "alice", 106)
    table.remove(B, "alice", 102)
    assert table.told() == {"alice": ("offline", 106)}
    table.place(B, "alice", "online", 110)
    table.remove(B, "alice", 112)
    assert table.told() == {"alice": ("offline", 112)}


def test_r4_and_r5_only_what_is_merged_is_told() -> None:
    table = Table()
    table.place(A, "alice", "online", 100)
    version = table.roster.version
    table.place(B, "alice", "online", 100)
    assert table.roster.version == version and table.told(version) == {}


def test_a_user_is_away_when_all_sessions_are() -> None:
    table = Table()
    table.place(A, "alice", "online", 100)
    table.place(B, "alice", "away", 101)
    assert table.status("alice") == "online"
    table.place(A, "alice", "away", 102)
    assert table.told() == {"alice": ("away", 102)}


def test_rule_15_online_beats_busy_and_busy_beats_away() -> None:
    table = Table()
    table.place(A, "alice", "away", 100)
    table.place(B, "alice", "busy", 101)
    assert table.status("alice") == "busy"
    table.place(A, "alice", "online", 102)
    assert table.status("alice") == "online"


def test_of_one_session_only_the_open_lines_count() -> None:
    """What closed at one node is in no grace while the other has a line."""
    table = Table()
    table.place(A, "alice", "online", 100, session="s", left=5.0)
    table.place(B, "alice", "away", 101, session="s")
    assert table.status("alice") == "away"
    table.place(A, "alice", "online", 100, session="t", left=5.0)
    assert table.status("alice") == "online", "that is another session"


def test_a_session_without_lines_is_as_the_last_of_them_was() -> None:
    table = Table()
    table.place(A, "alice", "online", 100, session="s", left=5.0)
    table.place(B, "alice", "away", 101, session="s", left=6.0)
    assert table.status("alice") == "away"


def test_a_node_removes_only_what_it_said_itself() -> None:
    table = Table()
    table.place(A, "alice", "online", 100)
    table.remove(B, "alice", 101)
    table.remove(A, "bob", 101)
    assert table.told() == {"alice": ("online", 100)}


def test_each_change_is_told() -> None:
    table = Table()
    observer = Observer(table.roster)
    changes: list[Callable[[], None]] = [
        lambda: table.place(A, "alice", "online", 100),
        lambda: table.place(A, "bob", "away", 101),
        lambda: table.remove(A, "alice", 102),
        lambda: table.place(A, "bob", "online", 103),
        lambda: table.roster.delete("bob", 1, 104),
    ]
    for change in changes:
        change()
        observer.flush()
        observer.check()
    assert observer.told == {"alice": ["online", "offline"], "bob": ["away", "online", "deleted"]}


def test_changes_since_finds_all_who_changed() -> None:
    table = Table()
    for second, username in enumerate(("alice", "bob", "carol")):
        table.place(A, username, "online", second)
    version = table.roster.version
    table.place(A, "alice", "away", 10)
    table.remove(A, "carol", 11)
    assert table.told(version) == {"alice": ("away", 10), "carol": ("offline", 11)}
    assert table.told(version + 1) == {"carol": ("offline", 11)}
    assert table.told(version + 2) == {}


def test_each_user_is_told_once_with_the_newest_state() -> None:
    table = Table()
    for second in range(0, 100, 2):
        table.place(A, "alice", "online", second)
        table.remove(A, "alice", second + 1)
    changes = table.roster.changes_since(3)
    assert changes is not None and len(changes) == 1
    assert table.told(3) == {"alice": ("offline", 99)}


def test_rule_11_no_second_is_invented() -> None:
    table = Table()
    for status in ("online", "away", "online", "away"):
        table.place(A, "alice", status, 100)
    assert table.told() == {"alice": ("away", 100)}


def test_rule_7_who_turned_away_and_back_within_a_second_is_no_news() -> None:
    """It is to whoever was told in between."""
    table = Table()
    table.place(A, "alice", "online", 100)
    version = table.roster.version
    table.place(A, "alice", "away", 100)
    table.place(A, "alice", "online", 100)
    assert table.told(version) == {}
    assert table.told(version + 1) == {"alice": ("online", 100)}
    table.place(A, "alice", "away", 101)
    assert table.told(version) == {"alice": ("away", 101)}


def test_who_was_told_elsewhere_is_told_of_those_of_whom_nodes_differed() -> None:
    """There it may have been seen in another order, and never so here."""
    table = Table()
    for user in ("alice", "bob", "carol"):
        table.place(A, user, "online", 100)
    table.place(B, "alice", "away", 100)
    version = table.roster.version
    table.place(A, "bob", "away", 101)
    newest = table.roster.version
    # Alice moves with her lines, and is online all the while; so is carol, and nobody differs.
    table.place(B, "alice", "online", 102)
    table.place(A, "alice", "away", 102)
    table.place(B, "carol", "online", 102)
    table.remove(A, "carol", 103)
    assert table.told(version) == {"bob": ("away", 101)}
    table.roster.refuse("dora", 103)
    assert table.told(newest) == {}
    otherwise = {name: ("online", 102) for name in ("alice", "carol")} | {"dora": ("offline", 103)}
    assert table.told(newest, elsewhere=True) == otherwise
    table.roster.refuse("carol", 104)
    assert table.told(newest).keys() == set() and table.status("carol") == "online"
    table.remove(B, "carol", 105)
    assert "alice" not in table.told(table.roster.version, elsewhere=True)


def test_who_was_told_elsewhere_is_told_again_what_turned_and_turned_back() -> None:
    table = Table()
    table.place(A, "alice", "online", 100)
    version = table.roster.version
    for status in ("away", "online"):
        table.place(A, "alice", status, 100)
    assert table.told(version) == {}
    assert table.told(version, elsewhere=True) == {"alice": ("online", 100)}


def test_what_is_refused_elsewhere_is_told_to_who_comes_from_there() -> None:
    table = Table()
    table.place(A, "alice", "online", 100)
    table.roster.delete("alice", 1, 101)
    version = table.roster.version
    table.place(A, "bob", "online", 102)
    table.place(B, "alice", "online", 103)
    assert table.told(version + 1) == {}
    assert table.told(version + 1, elsewhere=True) == {"alice": ("deleted", 101)}
    table.choose("bob", Choice(1, 2, "busy", since=104))
    newest = table.roster.version
    table.choose("bob", Choice(1, 3, "busy", since=105))
    assert table.told(newest) == {}


def test_no_more_than_some_of_whom_nodes_differed_are_remembered() -> None:
    table = Table(remembered=2)
    table.place(A, "zoe", "online", 99)
    version = table.roster.version
    for user in ("alice", "bob", "carol"):
        table.roster.dispute(user)
        table.place(A, user, "online", 100)
    assert table.roster.changes_since(version - 1) is None
    assert table.roster.changes_since(version) is not None


def test_the_same_holds_for_coming_and_going() -> None:
    table = Table()
    table.place(A, "alice", "online", 100)
    version = table.roster.version
    table.remove(A, "alice", 100)
    table.place(A, "alice", "online", 100)
    assert table.told(version) == {} and table.told(version - 1) == {"alice": ("online", 100)}


def test_a_clock_that_goes_back_does_not_take_since_back() -> None:
    table = Table()
    table.place(A, "alice", "online", 100)
    table.remove(A, "alice", 90)
    assert table.told() == {"alice": ("offline", 100)}


def test_who_says_a_later_second_is_followed_without_a_word() -> None:
    """Two nodes that knew nothing of each other: all shall name one second."""
    table = Table()
    table.place(A, "alice", "online", 100)
    version = table.roster.version
    table.place(B, "alice", "online", 103)
    assert table.roster.here["alice"].since == 103 and table.told(version) == {}


def test_who_is_no_longer_online_is_away_since_a_line_said_so() -> None:
    table = Table()
    table.place(A, "alice", "online", 100, left=100.0)
    table.place(B, "alice", "away", 105)
    table.remove(A, "alice", 101)
    assert table.told() == {"alice": ("away", 105)}, "as at a node that never knew of the page"


def test_a_cursor_from_before_what_is_remembered_gets_no_changes() -> None:
    table = Table(remembered=2)
    for username in ("alice", "bob", "carol"):
        table.place(A, username, "online", 100)
    version = table.roster.version
    for username in ("alice", "bob", "carol"):
        table.remove(A, username, 101)
    assert table.roster.changes_since(version) is None and not table.roster.remembers(version)
    assert table.roster.changes_since(version + 1) is not None, "it has seen alice go"


def test_a_version_that_never_was_gets_no_changes() -> None:
    roster = Roster()
    assert roster.changes_since(0) == []
    assert roster.changes_since(1) is None and roster.changes_since(-1) is None


def test_versions_grow_over_all_rooms() -> None:
    """A room that is opened anew knows nothing of what was told in its former life."""
    versions = Versions()
    first = Roster("7/a", versions)
    first.place(Source(A, "7/a", "s"), Entry("alice", 0, "online", 100))
    second = Roster("7/b", versions)
    assert second.version == 1 and not second.remembers(0)
    second.place(Source(A, "7/b", "s"), Entry("alice", 0, "online", 100))
    assert (first.version, second.version) == (1, 2) and first.remembers(2)
    assert versions.take_changed() == {"7/a", "7/b"} and not versions.take_changed()


def test_no_more_than_some_who_left_are_remembered() -> None:
    table = Table(remembered=10)
    for number in range(1000):
        table.place(A, f"user{number}", "online", 100)
        table.remove(A, f"user{number}", 101)
        table.roster.delete(f"user{number}", 1, 102)
    roster = table.roster
    assert not roster.here and roster.is_empty
    past = roster._past
    assert len(past.gone) == 10 and len(past._deleted) <= 10 and len(past._told) <= 10


def test_coming_and_going_is_told_from_changes_of_status() -> None:
    """The tutorial's dialect knows only the former."""
    table = Table()
    table.place(A, "alice", "online", 100)
    came = table.roster.here["alice"].came
    table.place(A, "alice", "away", 101)
    assert table.roster.here["alice"].came == came
    table.remove(A, "alice", 102)
    table.place(A, "alice", "online", 103)
    assert table.roster.here["alice"].came > came


# What is beside a status


def about(table: Table) -> tuple[dict[str, object], int]:
    person = table.roster.here["alice"]
    return dict(person.about), person.about_version


def test_the_newest_about_of_all_sessions_is_shown() -> None:
    table = Table()
    for order, node in ((2, A), (1, B)):
        entry = Entry("alice", 0, "online", 100, None, 0, order, {"data": {"of": node}})
        table.roster.place(Source(node, "", "s"), entry)
    assert about(table) == ({"data": {"of": A}}, 1)
    version = table.roster.version
    entry = Entry("alice", 0, "online", 100, None, 0, 3, {"data": {}})
    table.roster.place(Source(B, "", "s"), entry)
    assert about(table) == ({"data": {}}, version + 1)
    assert table.told(version) == {"alice": ("online", 100)}


def test_who_comes_without_an_about_is_told_so_to_those_who_know_another() -> None:
    table = Table()
    table.place(A, "bob", "online", 100)
    assert table.roster.here["bob"].about_version == 0
    entry = Entry("alice", 0, "online", 100, None, 0, 1, {"text": "lunch"})
    table.roster.place(Source(A, "", "s"), entry)
    knew_her = table.roster.version
    table.roster.remove(Source(A, "", "s"), "alice", 101)
    saw_her_go = table.roster.version
    table.place(A, "alice", "online", 102)
    assert about(table)[0] == {} and knew_her < about(table)[1] <= saw_her_go


def test_a_change_of_status_leaves_the_about_as_it_was() -> None:
    table = Table()
    for status in ("online", "away"):
        entry = Entry("alice", 0, status, 100, None, 0, 1, {"name": "A"})
        table.roster.place(Source(A, "", "s"), entry)
    assert about(table) == ({"name": "A"}, 1) and table.roster.version == 2


# Choices


def test_a_node_that_starts_names_the_same_second_of_a_choice() -> None:
    # Whoever opens the list again has a line that is newer than the choice, and an older stay.
    known, new = Table(), Table()
    known.place(A, "alice", "online", 100)
    for table in known, new:
        table.choose("alice", Choice(1, 105_000, "busy", since=105))
        table.place(A, "alice", "online", 110, came=100)
        assert table.told() == {"alice": ("busy", 105)}
        # Whoever comes after it has been so since then.
        table.remove(A, "alice", 120)
        table.place(A, "alice", "online", 130, came=130)
        assert table.told() == {"alice": ("busy", 130)}


def test_lines_that_differ_from_a_choice_take_nothing_from_its_second() -> None:
    known, new = Table(), Table()
    known.place(A, "alice", "away", 100)
    for table in known, new:
        table.choose("alice", Choice(1, 105_000, "away", since=105))
        table.place(A, "alice", "online", 110, came=90)
        assert table.told() == {"alice": ("away", 105)}


def test_a_choice_holds_against_connections() -> None:
    table = Table()
    table.place(A, "alice", "online", 100)
    table.choose("alice", Choice(1, 105_000, "away", since=105))
    assert table.told() == {"alice": ("away", 105)}
    table.place(B, "alice", "online", 110)
    assert table.told() == {"alice": ("away", 105)}


def test_a_choice_says_since_when_only_if_lines_do_not() -> None:
    table = Table()
    table.choose("alice", Choice(1, 105_000, "away", since=105))
    table.choose("bob", Choice(1, 105_000, "busy", since=105))
    table.choose("carol", Choice(1, 105_000, None, "lunch", since=105))
    table.place(A, "alice", "online", 100)
    table.place(A, "bob", "busy", 100)
    table.place(A, "carol", "away", 100)
    table.place(A, "dora", "away", 100)
    assert table.told() == {
        "alice": ("away", 105), "bob": ("busy", 100), "carol": ("away", 100), "dora": ("away", 100)
    }


@pytest.mark.parametrize(("came", "since"), [(5, 10), (20, 20)])
def test_who_chose_is_so_since_then_or_since_they_came_whatever_lines_say(
    came: int, since: int
) -> None:
    table = Table()
    table.choices["alice"] = Choice(1, 1, "busy", since=10)
    table.roster.place(Source("one", "", "a"), Entry("alice", 1, "away", 30, came=came))
    assert table.told() == {"alice": ("busy", since)}


def test_who_becomes_visible_comes_then() -> None:
    table = Table()
    table.choose("alice", Choice(1, 105_000, "invisible", since=105))
    table.place(A, "alice", "online", 100)
    del table.choices["alice"]
    table.roster.settle("alice", 110, 110)
    assert table.roster.here["alice"].here == 110
    table.place(A, "bob", "online", 100)
    table.roster.settle("bob", 110, 110)
    assert table.roster.here["bob"].here == 100


def test_nobody_is_disputed_who_is_invisible() -> None:
    table = Table()
    table.choose("alice", Choice(1, 105_000, "invisible", since=105))
    table.place(A, "alice", "online", 106)
    version = table.roster.version
    for dispute in (table.roster.refuse, lambda user, _: table.roster.dispute(user)):
        dispute("alice", 110)
        dispute("bob", 110)
        assert table.told(version, elsewhere=True) == {"bob": ("offline", 110)}
        assert table.told(version) == {} and table.roster.gone("alice") is None


def test_who_hid_before_it_was_known_that_they_were_here_may_have_been_seen_elsewhere() -> None:
    table = Table()
    version = table.roster.version
    table.roster.note_dispute("alice")
    table.choose("alice", Choice(1, 105_000, "invisible", since=105))
    table.place(A, "alice", "online", 104)
    assert table.told(version, elsewhere=True) == {"alice": ("offline", 105)}
    assert table.told(version) == {}
    assert table.told(table.roster.version) == {}


def test_who_is_refused_elsewhere_and_here_by_another_session_is_not_gone() -> None:
    table = Table()
    table.place(A, "alice", "online", 100)
    version = table.roster.version
    table.roster.refuse("alice", 110)
    assert table.told(version, elsewhere=True) == {"alice": ("online", 100)}
    assert table.roster.gone("alice") is None


def test_what_was_said_of_a_session_that_goes_may_have_been_told_elsewhere() -> None:
    table = Table()
    table.place(A, "alice", "online", 100)
    table.place(B, "alice", "away", 100)
    for user in ("bob", "carol"):
        table.place(A, user, "online", 100)
        table.place(B, user, "online", 100)
    version = table.roster.version
    table.remove(B, "alice", 101)
    table.remove(B, "bob", 101)
    assert table.told(version) == {}
    assert table.told(version, elsewhere=True) == {"alice": ("online", 100)}


def test_it_is_known_whether_a_node_says_just_this() -> None:
    table = Table()
    table.place(A, "alice", "online", 100)
    said = Entry("alice", 1, "online", 100)
    there = Source(A, "", "alice at node a")
    assert table.roster.holds(there, said)
    assert not table.roster.holds(there, said._replace(since=101))
    assert not table.roster.holds(Source(B, "", "alice at node a"), said)


def test_a_choice_has_words_and_an_end() -> None:
    table = Table()
    table.place(A, "alice", "online", 100)
    table.choose("alice", Choice(1, 105_000, "busy", "lunch", 200, since=105))
    assert about(table)[0] == {"text": "lunch", "until": 200}
    table.choose("alice", Choice(1, 106_000, None, "back", since=106))
    assert about(table)[0] == {"text": "back"} and table.roster.here["alice"].status == "online"


def test_who_is_invisible_is_offline_and_comes_back() -> None:
    table = Table()
    table.place(A, "alice", "online", 100)
    table.choose("alice", Choice(1, 105_000, "invisible", since=105))
    assert table.told() == {"alice": ("offline", 105)} and not table.roster.is_empty
    table.place(B, "alice", "online", 107)
    table.remove(B, "alice", 108)
    assert table.told() == {"alice": ("offline", 105)}
    table.choose("alice", Choice(1, 110_000, since=110))
    assert table.told() == {"alice": ("online", 110)}


# Deleted accounts


def test_a_deleted_account_is_told_though_it_was_not_here() -> None:
    table = Table()
    table.roster.delete("alice", 1, 100)
    assert table.told() == {"alice": ("deleted", 100)}
    assert table.roster.left("alice") is None


def test_what_is_said_of_a_deleted_account_afterwards_is_not_believed() -> None:
    table = Table()
    table.place(A, "alice", "online", 90)
    table.roster.delete("alice", 1, 100)
    table.place(B, "alice", "online", 600)
    table.remove(A, "alice", 101)
    assert table.told() == {"alice": ("deleted", 100)}


def test_a_new_account_of_a_deleted_name_is_here_whatever_the_clocks_say() -> None:
    table = Table()
    table.place(A, "alice", "online", 700)
    table.roster.delete("alice", 1, 700)
    table.place(B, "alice", "online", 100, account=2)
    assert table.status("alice") == "online"


def test_nothing_of_an_account_that_was_deleted_is_left_to_the_next_of_its_name() -> None:
    table = Table()
    for node in (A, B):
        table.place(node, "alice", "online", 90)
    table.remove(A, "alice", 200)
    table.roster.delete("bob", 1, 150)
    table.roster.delete("alice", 1, 150)
    deleted = table.roster.gone("alice")
    assert deleted is not None and deleted.hides_since is False
    table.place(A, "alice", "online", 155, account=2)
    table.remove(A, "alice", 160)
    assert table.told()["alice"] == ("offline", 160)


def test_seconds_to_come_of_those_who_have_gone_from_one_node_give_way() -> None:
    table = Table()
    for node in (A, B):
        table.place(node, "alice", "online", 50)
    table.remove(A, "alice", 500)
    table.roster.recede(100)
    table.remove(B, "alice", 90)
    assert table.told() == {"alice": ("offline", 100)}


def test_a_deletion_read_late_leaves_the_new_account_here() -> None:
    table = Table()
    table.place(A, "alice", "online", 90)
    table.place(B, "alice", "away", 102, account=2)
    table.roster.delete("alice", 1, 100)
    assert table.status("alice") == "away"


def test_one_of_which_a_late_word_comes_takes_only_its_own_sessions_along() -> None:
    table = Table()
    table.place(B, "alice", "away", 102, account=2)
    table.place(A, "alice", "online", 90, account=1)
    assert table.status("alice") == "online"
    table.roster.delete("alice", 1, 100)
    assert table.told() == {"alice": ("away", 102)}
    assert list(table.roster.entries("alice")) == [Source(B, "", "alice at node b")]
    table.roster.delete("alice", 1, 110)
    assert table.told() == {"alice": ("away", 102)}


def test_a_name_that_is_somebody_elses_was_given_up_before() -> None:
    table = Table()
    table.place(A, "alice", "online", 90, account=2)
    version = table.roster.version
    table.place(B, "alice", "online", 102, account=3)
    assert table.told(version) == {"alice": ("online", 102)} and table.roster.account("alice") == 3
    assert table.roster.here["alice"].here == 102
    # Of the former only a node speaks that has not heard of it yet.
    table.place(A, "alice", "away", 103, account=2, session="phone")
    table.remove(B, "alice", 104)
    table.roster.delete("alice", 2, 105)
    assert table.told(version) == {"alice": ("offline", 104)} and table.roster.account("alice") == 0


def test_a_name_that_is_somebody_elses_within_a_second_is_no_news_and_yet_a_change() -> None:
    table = Table()
    table.place(A, "alice", "online", 100, account=1)
    version = table.roster.version
    table.place(B, "alice", "online", 100, account=2)
    assert table.told(version) == {}
    assert list(table.roster.changed_since(version) or ()) == ["alice"]
    assert table.roster.changed_since(table.roster.version + 1) is None


# Seconds on which nodes agree


def test_who_was_let_go_late_leaves_others_the_second_that_their_nodes_say() -> None:
    table = Table()
    table.place(A, "alice", "online", 100)
    table.place(B, "alice", "away", 100)
    assert table.roster.take_ahead() == set()
    table.place(B, "alice", "away", 120)
    table.remove(A, "alice", 130)
    version = table.roster.version
    assert table.told() == {"alice": ("away", 130)} and table.roster.take_ahead() == {"alice"}
    table.roster.go_back("alice")
    assert table.roster.here["alice"].since == 120 and table.roster.take_ahead() == set()
    assert table.told(version) == {}, "nobody who knows how she is need know"
    for who_comes_back in ({"resumed": True}, {"elsewhere": True}):
        assert table.told(version, **who_comes_back) == {"alice": ("away", 120)}
    table.place(B, "alice", "online", 125)
    assert table.told(version) == {"alice": ("online", 130)}, "no earlier second than was told"
    table.roster.go_back("alice")
    table.roster.recede(110)
    table.place(B, "alice", "away", 112)
    assert table.told(version) == {"alice": ("away", 112)}
    table.roster.go_back("nobody")


def test_what_is_shown_beside_somebody_is_told_with_no_earlier_second_than_before() -> None:
    table = Table()
    table.place(A, "alice", "online", 100)
    table.place(B, "alice", "away", 120)
    table.remove(A, "alice", 130)
    table.roster.go_back("alice")
    version = table.roster.version
    table.choose("alice", Choice(1, 125_000, text="lunch"))
    assert table.told(version) == {"alice": ("away", 130)}
    assert table.roster.take_ahead() == {"alice"}


def test_where_people_of_several_rooms_are_shown_no_node_says_another_second() -> None:
    table = Table()
    table.roster = Roster("7/lobby", gathers=True)
    table.place(A, "alice", "online", 100)
    table.place(B, "alice", "away", 100)
    table.remove(A, "alice", 130)
    assert table.told() == {"alice": ("away", 130)} and table.roster.take_ahead() == set()


def test_of_whom_two_nodes_saw_go_at_about_the_same_time_the_first_word_holds() -> None:
    table = Table()
    table.place(A, "alice", "online", 100)
    table.place(B, "alice", "away", 120)
    gone = Source(A, "", f"alice at {A}")
    seconds = [table.roster.said_without(gone, "alice", since) for since in (119, 122, 123)]
    assert seconds == [120, 120, 123]
