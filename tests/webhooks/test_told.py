"""What a receiver is told, against all that can come between: an exact property."""

from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from presence_server.presence.told import Message, Said, Told

ROOMS, USERS = ["a", "b"], ["u", "v", "w"]


class TellingModel(RuleBasedStateMachine):
    """People come and go; messages arrive or do not, are acknowledged or not; the teller dies."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100
        self.here: dict[tuple[str, str], int] = {}
        self.left: dict[tuple[str, str], int] = {}
        self.told = Told({})
        # What is written down, and what the receiver knows.
        self.written: dict[tuple[str, str], Said] = {}
        self.known: dict[tuple[str, str], tuple[bool, int]] = {}
        self.occupied: set[str] = set()
        self.message: Message | None = None

    @rule(room=st.sampled_from(ROOMS), user=st.sampled_from(USERS), later=st.integers(0, 2))
    def move(self, room: str, user: str, later: int) -> None:
        self.now += later
        place = room, user
        if place in self.here:
            del self.here[place]
            self.left[place] = self.now
        else:
            self.here[place] = self.now
        self.told.see(room, user, place in self.here, self.now, self.now)

    @precondition(lambda self: self.message is None and self.told.due)
    @rule(most=st.integers(1, 4))
    def say(self, most: int) -> None:
        changes = [change for change, _ in zip(self.told.due_changes(), range(most))]
        for c in changes:
            self.written[c.room, c.user] = Said(c.here, c.since, False)
        self.message = self.told.take(changes)

    @precondition(lambda self: self.message is not None)
    @rule()
    def arrive(self) -> None:
        assert self.message is not None
        for c in self.message.changes:
            _, before = self.known.get((c.room, c.user), (False, 0))
            assert c.since >= before, "older than what was told before"
            self.known[c.room, c.user] = c.here, c.since
        self.occupied |= set(self.message.occupied)
        self.occupied -= set(self.message.vacated)

    @precondition(lambda self: self.message is not None)
    @rule()
    def be_acknowledged(self) -> None:
        assert self.message is not None
        self.arrive()
        for c in self.message.changes:
            self.written[c.room, c.user] = Said(c.here, c.since, True)
        self.told.acknowledge(self.message.changes)
        self.message = None

    @rule()
    def fail(self) -> None:
        self.message = None

    @rule(remembers=st.booleans())
    def die(self, remembers: bool) -> None:
        """Another goes on with what is written down, and with its own view of who is here."""
        self.message = None
        self.told = Told(self.written)
        for room in ROOMS:
            here = {user: since for (place, user), since in self.here.items() if place == room}
            left = {user: since for (place, user), since in self.left.items() if place == room}
            self.told.see_all(room, here, left if remembers else {}, self.now)

    @rule(before=st.integers(-3, 0))
    def forget(self, before: int) -> None:
        self.told.forget_gone(self.now + before)

    @invariant()
    def counts_are_right(self) -> None:
        assert (self.told.due_since is None) == (self.told.due == 0)

    @precondition(lambda self: self.message is None)
    @rule()
    def all_is_heard(self) -> None:
        """When all has been acknowledged, the receiver knows the truth."""
        while self.told.due:
            self.say(2)
            self.be_acknowledged()
        assert {place for place, (here, _) in self.known.items() if here} == self.here.keys()
        assert self.occupied == {room for room, _ in self.here}


TestTelling = TellingModel.TestCase


def tell(told: Told) -> Message:
    return told.take(list(told.due_changes()))


def test_a_flap_vanishes() -> None:
    told = Told({})
    told.see("a", "u", True, 100, 100)
    told.see("a", "u", False, 101, 101)
    assert told.due == 0
    told = Told({("a", "u"): Said(True, 90, True)})
    told.see("a", "u", False, 101, 101)
    told.see("a", "u", True, 102, 102)
    assert told.due == 0


def test_what_may_have_been_heard_is_corrected() -> None:
    told = Told({})
    told.see("a", "u", True, 100, 100)
    tell(told)
    # Nobody knows whether that was heard; and now it is no longer so.
    told.see("a", "u", False, 105, 105)
    (change,) = tell(told).changes
    assert (change.here, change.since, change.noticed) == (False, 105, 100)


def test_a_second_to_come_gives_way_to_one_that_has_been() -> None:
    # As a clock said that was five days ahead.
    told = Told({("a", "u"): Said(True, 500_000, True), ("a", "v"): Said(True, 500_000, False)})
    for user, here in (("u", False), ("v", True)):
        told.see("a", user, here, 105, 106)
    assert {change.user: change.since for change in told.due_changes()} == {"u": 105, "v": 105}
    # Clocks of two servers may differ.
    told = Told({("a", "u"): Said(True, 150, True)})
    told.see("a", "u", False, 105, 106)
    assert next(told.due_changes()).since == 150


def test_what_is_said_again_takes_the_same_second_and_nothing_an_earlier_one() -> None:
    for here, since, expected in ((True, 95, 100), (True, 105, 100), (False, 95, 100)):
        told = Told({("a", "u"): Said(True, 100, False)})
        told.see("a", "u", here, since, 110)
        assert [(c.here, c.since) for c in told.due_changes()] == [(here, expected)]
    # As far ahead as receivers take what is signed it stays, and not a second more.
    for before, expected in ((410, 410), (411, 105)):
        told = Told({("a", "u"): Said(True, before, True)})
        told.see("a", "u", False, 105, 110)
        assert [c.since for c in told.due_changes()] == [expected]


def test_who_is_not_in_a_room_any_more_has_left_it() -> None:
    told = Told({("a", user): Said(True, 90, True) for user in USERS})
    told.see("a", "x", True, 95, 95)
    told.see_all("a", {"u": 90, "y": 99}, {"v": 97}, 100)
    changes = {c.user: (c.here, c.since, c.noticed) for c in told.due_changes()}
    assert changes == {"v": (False, 97, 100), "w": (False, 100, 100), "y": (True, 99, 100)}
    assert told.due == 3 and told.due_since == 100 and told.rooms() == ["a"]
    told.see_all("b", {}, {}, 100)
    assert told.due == 3


def test_nothing_is_said_of_those_who_came_and_left_before_anybody_was_told() -> None:
    said = {("a", "u"): Said(True, 90, True), ("a", "v"): Said(False, 90, True)}
    told = Told(said | {("a", "w"): Said(False, 90, False)})
    for user, here in (("u", False), ("v", True), ("w", True), ("x", True), ("y", True)):
        told.see("a", user, here, 95, 95)
    told.withdraw("b", ())
    assert told.due == 5
    told.withdraw("a", ["y"])
    assert {change.user for change in told.due_changes()} == {"u", "w", "y"}
    told.withdraw("a", [])
    assert {change.user for change in told.due_changes()} == {"u", "w"}


def test_rooms_are_occupied_and_vacated_once_that_is_sure() -> None:
    told = Told({("a", "u"): Said(True, 90, True), ("b", "v"): Said(True, 90, False)})
    for room, user, here in (("a", "u", False), ("b", "v", False), ("c", "w", True)):
        told.see(room, user, here, 100, 100)
    message = tell(told)
    assert message.counts == {"a": 0, "b": 0, "c": 1}
    assert (message.occupied, message.vacated) == (("c",), ("a", "b"))
    # It was not acknowledged: it is said again, with what that may have left open.
    for room, user, here in (("a", "u", False), ("b", "v", False), ("c", "w", True)):
        told.see(room, user, here, 100, 101)
    again = tell(told)
    assert (again.counts, again.occupied, again.vacated) == (message.counts, ("c",), ("a", "b"))
    told.acknowledge(again.changes)
    assert told.due == 0
    told.see("c", "x", True, 102, 102)
    last = tell(told)
    assert (last.occupied, last.vacated, last.counts) == ((), (), {"c": 2})


def test_what_is_to_be_said_is_another_once_more_has_happened() -> None:
    told = Told({})
    told.see("a", "u", True, 100, 100)
    told.see("a", "v", True, 101, 101)
    first, other = told.due_changes()
    assert told.is_due(first) and told.due_since == 100
    told.take([first])
    told.see("a", "u", False, 105, 105)
    assert not told.is_due(first)
    told.acknowledge([first])
    assert [(c.user, c.here) for c in told.due_changes()] == [("u", False), ("v", True)]
    told.acknowledge([other])
    assert [c.user for c in told.due_changes()] == ["u"]


def test_what_was_acknowledged_is_followed_by_no_earlier_second() -> None:
    told = Told({})
    told.see("a", "u", True, 100, 100)
    told.acknowledge(tell(told).changes)
    told.see("a", "u", False, 99, 101)
    assert [(c.here, c.since) for c in told.due_changes()] == [(False, 100)]
    told.see("b", "u", True, 101, 101)
    told.withdraw("b", ())
    assert [c.room for c in told.due_changes()] == ["a"], "of the other nobody was ever told"


def test_who_left_long_ago_is_forgotten_once_that_is_surely_known() -> None:
    said = {
        ("a", "u"): Said(False, 99, True),
        ("b", "u"): Said(False, 100, True),
        ("c", "u"): Said(False, 99, False),
        ("d", "u"): Said(True, 99, True),
        ("d", "v"): Said(False, 99, True),
    }
    told = Told(said)
    told.forget_gone(100)
    assert told.rooms() == ["b", "c", "d"]
    told.see_all("d", {}, {}, 110)
    assert [change.user for change in told.due_changes()] == ["u"]


def test_counts_are_those_that_the_receiver_has_afterwards() -> None:
    told = Told({("a", "x"): Said(True, 1, True)})
    for user in USERS:
        told.see("a", user, True, 100, 100)
    told.see("a", "x", False, 100, 100)
    message = told.take(list(told.due_changes())[:2])
    assert message.counts == {"a": 3} and message.occupied == message.vacated == ()
    told.acknowledge(message.changes)
    assert tell(told).counts == {"a": 3}


@settings(deadline=None)
@given(st.lists(st.booleans(), max_size=5))
def test_the_second_of_what_waits_is_that_of_its_beginning(moves: list[bool]) -> None:
    told = Told({})
    told.see("a", "u", True, 100, 100)
    for later, here in zip(_seconds(), moves):
        told.see("a", "u", here, later, later)
    if all(moves):
        assert next(told.due_changes()).since == 100


def _seconds() -> Iterator[int]:
    yield from range(101, 120)
