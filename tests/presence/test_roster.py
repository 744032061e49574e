"""Who is here, merged from what nodes say, and what observers are told of it."""

from collections.abc import Callable

from presence_server.presence.roster import Choice, Roster
from tests.presence.judge import Observer

A, B = "node a", "node b"


def told(roster: Roster, version: int = 0) -> dict[str, tuple[str, int]]:
    """What an observer who has a version is told."""
    changes = roster.changes_since(version)
    assert changes is not None
    return {username: (person.status, person.since) for username, person in changes}


def test_rule_1_a_user_is_here_while_any_node_says_so() -> None:
    roster = Roster()
    roster.place(A, "alice", "online", 100)
    roster.place(B, "alice", "online", 101)
    roster.remove(A, "alice", 105)
    assert told(roster) == {"alice": ("online", 100)}
    roster.remove(B, "alice", 106)
    assert told(roster) == {"alice": ("offline", 106)}


def test_r4_and_r5_only_what_is_merged_is_told() -> None:
    roster = Roster()
    roster.place(A, "alice", "online", 100)
    version = roster.version
    roster.place(B, "alice", "online", 100)
    assert roster.version == version and told(roster, version) == {}


def test_a_user_is_away_when_all_nodes_say_so() -> None:
    roster = Roster()
    roster.place(A, "alice", "online", 100)
    roster.place(B, "alice", "away", 101)
    assert roster.here["alice"].status == "online"
    roster.place(A, "alice", "away", 102)
    assert told(roster) == {"alice": ("away", 102)}


def test_a_node_removes_only_what_it_said_itself() -> None:
    roster = Roster()
    roster.place(A, "alice", "online", 100)
    roster.remove(B, "alice", 101)
    roster.remove(A, "bob", 101)
    assert told(roster) == {"alice": ("online", 100)}


def test_each_change_is_told() -> None:
    roster = Roster()
    observer = Observer(roster)
    changes: list[Callable[[], None]] = [
        lambda: roster.place(A, "alice", "online", 100),
        lambda: roster.place(A, "bob", "away", 101),
        lambda: roster.remove(A, "alice", 102),
        lambda: roster.place(A, "bob", "online", 103),
        lambda: roster.delete("bob", 104),
    ]
    for change in changes:
        change()
        observer.flush()
        observer.check()
    assert observer.told == {"alice": ["online", "offline"], "bob": ["away", "online", "deleted"]}


def test_changes_since_finds_all_who_changed() -> None:
    roster = Roster()
    for second, username in enumerate(("alice", "bob", "carol")):
        roster.place(A, username, "online", second)
    version = roster.version
    roster.place(A, "alice", "away", 10)
    roster.remove(A, "carol", 11)
    assert told(roster, version) == {"alice": ("away", 10), "carol": ("offline", 11)}
    assert told(roster, version + 1) == {"carol": ("offline", 11)}
    assert told(roster, version + 2) == {}


def test_each_user_is_told_once_with_the_newest_state() -> None:
    roster = Roster()
    for second in range(0, 100, 2):
        roster.place(A, "alice", "online", second)
        roster.remove(A, "alice", second + 1)
    changes = roster.changes_since(3)
    assert changes is not None and len(changes) == 1
    assert told(roster, 3) == {"alice": ("offline", 99)}


def test_rule_7_a_repeated_status_has_a_newer_since() -> None:
    """Away and back within one second, and one flush."""
    roster = Roster()
    observer = Observer(roster)
    roster.place(A, "alice", "online", 100)
    observer.flush()
    roster.remove(A, "alice", 100)
    roster.place(A, "alice", "online", 100)
    observer.flush()
    assert observer.people["alice"].since > 100


def test_a_clock_that_goes_back_does_not_take_since_back() -> None:
    roster = Roster()
    roster.place(A, "alice", "online", 100)
    roster.remove(A, "alice", 90)
    assert told(roster) == {"alice": ("offline", 101)}


def test_a_cursor_from_before_what_is_remembered_gets_no_changes() -> None:
    roster = Roster(remembered=2)
    for username in ("alice", "bob", "carol"):
        roster.place(A, username, "online", 100)
    version = roster.version
    for username in ("alice", "bob", "carol"):
        roster.remove(A, username, 101)
    assert roster.changes_since(version) is None
    assert roster.changes_since(version + 1) is not None, "it has seen alice go"


def test_a_version_that_never_was_gets_no_changes() -> None:
    roster = Roster()
    assert roster.changes_since(0) == []
    assert roster.changes_since(1) is None and roster.changes_since(-1) is None


def test_i12_no_more_than_some_who_left_are_remembered() -> None:
    roster = Roster(remembered=10)
    for number in range(1000):
        roster.place(A, f"user{number}", "online", 100)
        roster.remove(A, f"user{number}", 101)
        roster.delete(f"user{number}", 102)
    assert not roster.here and not roster._entries
    assert len(roster._gone) == 10 and len(roster._deleted) <= 10


def test_coming_and_going_is_told_from_changes_of_status() -> None:
    """The tutorial's dialect knows only the former."""
    roster = Roster()
    roster.place(A, "alice", "online", 100)
    came = roster.here["alice"].came
    roster.place(A, "alice", "away", 101)
    assert roster.here["alice"].came == came
    roster.remove(A, "alice", 102)
    roster.place(A, "alice", "online", 103)
    assert roster.here["alice"].came > came


# Choices


def test_a_choice_of_away_holds_against_connections() -> None:
    roster = Roster()
    roster.place(A, "alice", "online", 100)
    roster.place(A, "alice", "online", 100, Choice(105, "away"))
    assert told(roster) == {"alice": ("away", 105)}
    roster.place(B, "alice", "online", 110)
    assert told(roster) == {"alice": ("away", 105)}


def test_the_newer_choice_holds_in_whatever_order_they_come() -> None:
    away, online = Choice(105, "away"), Choice(106, "online")
    for first, second in ((away, online), (online, away)):
        roster = Roster()
        roster.place(A, "alice", "online", 100, first)
        roster.place(B, "alice", "online", 100, second)
        assert roster.here["alice"].status == "online"


def test_a_choice_goes_with_the_last_who_said_it() -> None:
    roster = Roster()
    roster.place(A, "alice", "online", 100, Choice(105, "away"))
    roster.place(B, "alice", "online", 100)
    roster.remove(A, "alice", 110)
    assert told(roster) == {"alice": ("online", 110)}


# Deleted accounts


def test_a_deleted_account_is_told_though_it_was_not_here() -> None:
    roster = Roster()
    roster.delete("alice", 100)
    assert told(roster) == {"alice": ("deleted", 100)}
    assert roster.left("alice") is None


def test_what_is_said_of_a_deleted_account_afterwards_is_not_believed() -> None:
    roster = Roster()
    roster.place(A, "alice", "online", 90)
    roster.delete("alice", 100)
    roster.place(B, "alice", "online", 95)
    roster.remove(A, "alice", 101)
    assert told(roster) == {"alice": ("deleted", 100)}


def test_a_new_account_of_a_deleted_name_is_here_like_any_other() -> None:
    """Even within the same second, in which the old one came, went and was deleted."""
    roster = Roster()
    roster.place(A, "alice", "online", 100)
    roster.remove(A, "alice", 100)
    roster.delete("alice", 100)
    roster.place(A, "alice", "online", 100)
    assert roster.here["alice"].status == "online"


def test_a_deletion_read_late_leaves_the_new_account_here() -> None:
    roster = Roster()
    roster.place(A, "alice", "online", 90)
    roster.place(B, "alice", "away", 102)
    roster.delete("alice", 100)
    assert roster.here["alice"].status == "away"
