"""Who is remembered as gone, what they show of themselves, and the order in which it is told."""

from collections.abc import Callable
from typing import Any

import pytest

from presence_server.presence import past
from presence_server.presence.choices import Choice
from presence_server.presence.entries import Entry, Source
from presence_server.presence.people import Versions
from presence_server.presence.profiles import Profile, Profiles
from presence_server.presence.roster import Roster
from presence_server.presence.states import Person, Status
from tests.presence.judge import Observer


class Table:
    """A roster in which people have one session each, choices and profiles."""

    def __init__(self, remembered: int = 20_000) -> None:
        self.choices: dict[str, Choice] = {}
        self.profiles = Profiles()
        self.roster = Roster("", None, self.choices.get, remembered, self.profiles.of)

    def place(self, user: str, since: int, status: Status = "online", **about: Any) -> None:
        entry = Entry(user, 1, status, since, about=about)
        self.roster.place(Source("node", "", user), entry)

    def remove(self, user: str, since: int) -> None:
        self.roster.remove(Source("node", "", user), user, since)

    def introduce(self, user: str, since: int, **profile: Any) -> None:
        self.profiles.put(user, Profile(**profile))
        self.roster.introduce(user, since)

    def about(self, user: str) -> dict[str, Any]:
        return dict(self.person(user).about)

    def person(self, user: str) -> Person:
        found = self.roster.here.get(user) or self.roster.gone(user)
        assert found is not None
        return found

    def changed(self, version: int) -> list[str]:
        """Who changed after a version, the newest first of those who are here, then of others."""
        changes = self.roster.changes_since(version)
        assert changes is not None
        return [user for user, _ in changes]


def test_who_left_is_found_from_the_newest_on() -> None:
    table = Table()
    for second, user in enumerate(("alice", "bob", "carol", "dave"), 101):
        table.place(user, 100)
        table.remove(user, second)
    table.roster.delete("carol", 1, 105)
    assert table.roster.left_since(102) == {"dave": 104, "bob": 102}
    assert list(table.roster.left_since(0)) == ["dave", "bob", "alice"]
    assert table.roster.left_since(105) == {}
    # A name that is shown anew does not take its place among those who left now.
    table.introduce("alice", 200, name="Alice")
    assert table.roster.left_since(103) == {"dave": 104}
    assert table.roster.left("alice") == 101 and table.roster.left("carol") is None


def test_how_many_are_here_by_status() -> None:
    table = Table()
    assert table.roster.counts == {} and table.roster.remembers_nobody
    table.place("alice", 100)
    table.place("bob", 100)
    table.place("bob", 101, "away")
    assert table.roster.counts == {"online": 1, "away": 1} and table.roster.remembers_nobody
    table.remove("alice", 102)
    assert dict(table.roster.counts) == {"online": 0, "away": 1}
    assert not table.roster.remembers_nobody


def test_a_name_is_shown_of_who_is_here_who_left_and_who_never_was_here() -> None:
    table = Table()
    table.place("alice", 100)
    table.place("bob", 100)
    table.remove("bob", 101)
    version = table.roster.version
    for user in ("alice", "bob", "carol"):
        table.introduce(user, 110, name=user.title())
    assert table.changed(version) == ["alice", "carol", "bob"]
    assert [table.about(user) for user in ("alice", "bob", "carol")] == [
        {"name": "Alice"},
        {"name": "Bob"},
        {"name": "Carol"},
    ]
    assert table.person("alice").since == 100 and table.person("bob").since == 101
    carol = table.person("carol")
    assert (carol.status, carol.since, carol.came) == ("offline", 0, 0)
    assert carol.version == carol.about_version == table.roster.version
    assert table.roster.left("carol") is None and table.roster.left_since(1) == {"bob": 101}


def test_what_is_left_behind_is_what_was_chosen_and_a_name() -> None:
    table = Table()
    table.choices["alice"] = Choice(1, 5, "busy", "lunch", since=100)
    table.place("alice", 100, about={"data": 1})
    table.introduce("alice", 100, name="Alice")
    table.remove("alice", 105)
    assert table.about("alice") == {"name": "Alice", "text": "lunch"}
    table.profiles.put("bob", Profile("Bob", hides_last_seen=True))
    table.roster.refuse("bob", 106)
    assert table.about("bob") == {"name": "Bob"} and table.person("bob").hides_since


def test_all_that_is_known_of_people_from_their_coming_on() -> None:
    table, versions = Table(), Versions()
    table.roster = Roster("7/doc", versions, table.choices.get, profile_of=table.profiles.of)

    def states(*users: str) -> list[Person]:
        assert versions.take_changed() <= {"7/doc"} and versions.newest == table.roster.version
        return [table.person(user) for user in users]

    table.profiles.put("carol", Profile("Carol", hides_last_seen=True))
    table.place("alice", 100)
    table.introduce("bob", 101, name="Bob", hides_last_seen=True)
    assert versions.take_changed() == {"7/doc"}
    table.roster.refuse("carol", 105)
    table.remove("alice", 110)
    table.roster.delete("dave", 1, 111)
    assert states("alice", "bob", "carol", "dave") == [
        Person("offline", 110, 3, 3),
        Person("offline", 0, 2, 0, {"name": "Bob"}, 2, True),
        Person("offline", 105, 2, 2, {"name": "Carol"}, 0, True),
        Person("deleted", 111, 4, 4),
    ]
    table.introduce("alice", 112, name="A")
    assert versions.take_changed() == {"7/doc"}
    assert states("alice") == [Person("offline", 110, 5, 3, {"name": "A"}, 5)]
    table.introduce("alice", 112, name="B")
    table.introduce("alice", 112, name="A")
    assert table.changed(5) == []
    table.place("alice", 120, "away")
    assert states("alice") == [Person("away", 120, 8, 8, {"name": "A"}, 8, here=120)]
    table.place("alice", 115)
    assert states("alice") == [Person("online", 120, 9, 8, {"name": "A"}, 8, here=120)]
    table.place("alice", 125, "busy", text="in")
    about = {"name": "A", "text": "in"}
    assert states("alice") == [Person("busy", 125, 10, 8, about, 10, here=125)]


def test_on_which_device_somebody_is_matters_only_where_they_show_it() -> None:
    table = Table()
    for user in ("alice", "bob"):
        table.introduce(user, 99, shows_devices=user == "alice")
        for node, device in (("a", "phone"), ("b", "desktop"), ("c", "desktop")):
            entry = Entry(user, 1, "online", 100, about={"device": device})
            table.roster.place(Source(node, "", user), entry)
    assert table.about("alice") == {"devices": ["desktop", "phone"]} and table.about("bob") == {}
    version = table.roster.version
    for user in ("alice", "bob"):
        table.roster.remove(Source("c", "", user), user, 101)
    assert table.changed(version) == []
    changes = table.roster.changes_since(version, elsewhere=True)
    assert changes is not None and [user for user, _ in changes] == ["alice"]


def test_the_same_again_is_no_news() -> None:
    table = Table()
    for user in ("alice", "bob"):
        table.place(user, 100)
        table.introduce(user, 100, name="A")
    table.remove("bob", 101)
    version = table.roster.version
    for user in ("alice", "bob"):
        table.introduce(user, 110, name="A")
    assert table.roster.version == version


def test_who_is_deleted_shows_nothing_more() -> None:
    table = Table()
    table.place("alice", 100)
    table.introduce("alice", 100, name="Alice")
    table.roster.delete("alice", 1, 105)
    version = table.roster.version
    table.introduce("alice", 106, name="Other")
    assert table.about("alice") == {} and table.roster.version == version


def test_since_when_somebody_is_offline_is_told_only_of_those_who_show_it() -> None:
    table = Table()
    table.place("alice", 100)
    table.introduce("alice", 100, hides_last_seen=True)
    table.remove("alice", 105)
    assert table.person("alice").hides_since
    version = table.roster.version
    table.introduce("alice", 110)
    assert not table.person("alice").hides_since and table.changed(version) == ["alice"]
    version = table.roster.version
    table.introduce("alice", 110, hides_last_seen=True)
    assert table.person("alice").hides_since and table.changed(version) == ["alice"]
    assert table.person("alice").since == 105


def test_a_change_of_what_is_shown_says_since_which_version_it_is_so() -> None:
    table = Table()
    table.place("alice", 100, "online", text="in")
    first = table.roster.version
    table.place("alice", 101, "away", text="in")
    assert table.person("alice").about_version == first < table.roster.version
    table.place("alice", 101, "away", text="out")
    assert table.person("alice").about_version == table.roster.version
    assert table.person("alice").since == 101 and table.about("alice") == {"text": "out"}
    # Whoever was told that she went may have dropped what was beside her status.
    table.remove("alice", 105)
    assert table.person("alice").about_version == table.roster.version
    table.place("alice", 106, "online", text="out")
    assert table.person("alice").about_version == table.roster.version


def test_where_nothing_was_ever_shown_nothing_changes() -> None:
    table = Table()
    for second in (100, 110):
        table.place("alice", second)
        assert table.person("alice").about_version == 0
        table.remove("alice", second + 5)
        assert table.person("alice").about_version == 0


def test_a_stay_begins_with_coming_and_goes_on_through_changes_of_status() -> None:
    table = Table()
    table.place("alice", 100)
    came = table.person("alice").came
    line = Entry("alice", 1, "away", 110, came=100)
    table.roster.place(Source("node", "", "alice"), line)
    assert (table.person("alice").here, table.person("alice").came) == (100, came)
    # At another node, of which this one knew nothing, it began later.
    table.roster.place(Source("other", "", "alice"), line._replace(came=105))
    assert (table.person("alice").here, table.person("alice").since) == (105, 110)
    table.roster.remove(Source("other", "", "alice"), "alice", 111)
    assert table.person("alice").here == 105
    table.remove("alice", 120)
    table.place("alice", 130)
    assert table.person("alice").here == 130
    assert table.person("alice").came == table.person("alice").version > came


def test_seconds_to_come_give_way_without_a_word() -> None:
    table = Table()
    for user, since in (("alice", 500), ("bob", 90), ("carol", 500)):
        table.place(user, since)
    table.remove("carol", 500)
    version = table.roster.version
    table.roster.recede(100)
    assert [table.person(user).since for user in ("alice", "bob", "carol")] == [100, 90, 100]
    assert [table.person(user).here for user in ("alice", "bob")] == [100, 90]
    assert table.roster.version == version and table.changed(version) == []
    table.place("alice", 101, "away")
    assert table.person("alice").since == 101


# Being told nothing anew


def test_what_was_told_within_one_second_is_remembered_of_so_many_and_so_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(past, "_WITHIN_A_SECOND", 3)
    table = Table()
    table.place("alice", 100)
    version = table.roster.version
    for _ in range(30):
        table.place("alice", 100, "away")
        table.place("alice", 100)
    assert table.changed(version) == ["alice"], "that is too long ago to be told apart"
    assert table.changed(table.roster.version - 2) == []
    for number in range(3):
        for status in ("online", "away", "online"):
            table.place(f"user{number}", 101, status)
        assert len(table.roster._past._told) == (2, 3, 3)[number]
    assert table.changed(table.roster.version - 2) == []
    assert list(table.roster._past._told) == ["user0", "user1", "user2"]


def test_nothing_that_was_told_of_somebody_who_is_forgotten_counts() -> None:
    table = Table(remembered=1)
    table.place("bob", 100)
    table.place("alice", 100)
    for user in ("alice", "bob"):
        table.remove(user, 100)
    table.introduce("alice", 101, name="Alice")
    version = table.roster.version
    table.introduce("alice", 102)
    assert table.changed(version) == ["alice"]


def test_what_is_shown_counts_for_whether_it_is_news() -> None:
    table = Table()
    table.place("alice", 100, text="in")
    version = table.roster.version
    table.place("alice", 100, text="out")
    assert table.changed(version) == ["alice"]
    table.place("alice", 100, text="in")
    assert table.changed(version) == []


def test_who_went_and_came_back_within_a_second_is_news_when_they_hide_since_when() -> None:
    table = Table()
    table.place("alice", 100)
    table.remove("alice", 100)
    version = table.roster.version
    table.introduce("alice", 100, hides_last_seen=True)
    table.introduce("alice", 100)
    assert table.changed(version) == ["alice"]


def test_an_account_that_was_deleted_stays_so_however_often_and_in_whichever_order() -> None:
    table = Table(remembered=2)
    table.roster.delete("alice", 2, 100)
    table.roster.delete("alice", 1, 101)
    table.place("alice", 102)
    assert "alice" not in table.roster.here
    table.roster.place(Source("node", "", "alice"), Entry("alice", 2, "online", 102))
    assert "alice" not in table.roster.here
    # An account of an app has no number, and is never taken for a deleted one.
    table.roster.place(Source("node", "", "alice"), Entry("alice", 0, "online", 103))
    assert "alice" in table.roster.here
    table.roster.delete("bob", 1, 104)
    table.place("alice", 105)
    assert table.person("alice").since == 103
    table.roster.delete("carol", 1, 104)
    table.place("alice", 105)
    assert table.person("alice").status == "online", "that has been forgotten"


def test_each_change_of_what_is_shown_is_told() -> None:
    table = Table()
    observer = Observer(table.roster)
    acts: list[Callable[[], None]] = [
        lambda: table.place("alice", 100),
        lambda: table.introduce("alice", 101, name="Alice"),
        lambda: table.remove("alice", 102),
        lambda: table.introduce("alice", 103, name="A"),
        lambda: table.introduce("bob", 103, name="B"),
    ]
    for act in acts:
        act()
        observer.flush()
        observer.check()
