"""What users choose: which of two holds, what it becomes, and what others read meanwhile."""

import pytest

from presence_server.presence import choices as choices_module
from presence_server.presence.choices import Choice, Choices, words_of

NOW = 1_000
AT = 1000 * NOW


def kept(*some: Choice, unix: int = NOW) -> Choices:
    """Choices of alice in app 7, taken in one after the other."""
    choices = Choices()
    for choice in some:
        choices.put(7, "alice", choice, unix)
    return choices


def test_the_later_of_two_holds_and_a_later_account_comes_first() -> None:
    first, later = Choice(1, AT, "busy"), Choice(1, AT + 1, "away")
    choices = kept(first)
    assert choices.put(7, "alice", later, NOW)
    assert not choices.put(7, "alice", first, NOW) and not choices.put(7, "alice", later, NOW)
    assert choices.put(7, "alice", Choice(2, AT, "busy"), NOW)
    assert not choices.put(7, "alice", Choice(1, AT + 9, "away"), NOW)
    holding = choices.holding(7, "alice")
    assert holding is not None and (holding.account, holding.status) == (2, "busy")
    assert choices.holding(8, "alice") is None and choices.holding(7, "bob") is None


def test_of_two_at_once_all_nodes_take_the_same() -> None:
    some = [
        Choice(1, AT, None, "words"),
        Choice(1, AT, "away", "a"),
        Choice(1, AT, "away", "b"),
        Choice(1, AT, "busy"),
    ]
    for order in (some, some[::-1]):
        holding = kept(*order).holding(7, "alice")
        assert holding is not None and holding.status == "busy"
    for order in (some[:3], some[2::-1]):
        holding = kept(*order).holding(7, "alice")
        assert holding is not None and holding.text == "b"
    for one, other in (
        (Choice(1, AT, "invisible", until=NOW + 5), Choice(1, AT, "invisible", until=NOW + 40)),
        (Choice(1, AT, "invisible", until=NOW + 5), Choice(1, AT, "invisible")),
        (Choice(1, AT, "invisible"), Choice(1, AT, "invisible", seen_text="lunch")),
    ):
        for pair in ([one, other], [other, one]):
            assert kept(*pair).holding(7, "alice") == other._replace(since=NOW)


def test_each_further_choice_is_ordered_behind_all_that_are_known() -> None:
    choices = Choices()
    assert choices.next_at(7, "alice", NOW) == AT
    choices.put(7, "alice", Choice(1, AT, "busy"), NOW)
    assert choices.next_at(7, "alice", NOW) == AT + 1
    choices.put(7, "alice", Choice(1, AT + 5_000), NOW)
    assert choices.next_at(7, "alice", NOW) == AT + 5_001
    assert choices.next_at(7, "alice", NOW + 60) == AT + 60_000


def test_it_holds_since_its_own_second_and_never_since_one_to_come() -> None:
    for choice, since in (
        (Choice(1, AT + 400, "busy"), NOW),
        (Choice(1, AT - 2_000, "busy"), NOW - 2),
        (Choice(1, AT, "busy", since=NOW - 7), NOW - 7),
        (Choice(1, AT, "busy", since=NOW + 7), NOW),
    ):
        holding = kept(choice).holding(7, "alice")
        assert holding is not None and holding.since == since
    choices = kept(Choice(1, AT, "busy"))
    choices.put(7, "bob", Choice(1, AT), NOW)
    choices.recede(NOW - 100)
    assert {choice.since for _, _, choice in choices.all()} == {NOW - 100}
    choices.recede(NOW)
    assert {choice.since for _, _, choice in choices.all()} == {NOW - 100}


def test_what_ended_no_longer_holds_and_is_remembered() -> None:
    end = Choice(1, AT + 1)
    choices = kept(Choice(1, AT, "busy", "lunch"), end)
    assert choices.holding(7, "alice") is None
    assert choices.newest(7, "alice") == end._replace(since=NOW)
    assert choices.newest(7, "bob") is None
    assert not choices.put(7, "alice", Choice(1, AT, "busy"), NOW)
    assert [(app, user) for app, user, _ in choices.all()] == [(7, "alice")]
    # Words alone are a choice, too.
    assert choices.put(7, "alice", Choice(1, AT + 2, None, "back"), NOW)
    assert choices.holding(7, "alice") is not None
    assert len(list(choices.all())) == 1


def test_no_more_than_so_many_that_ended_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choices_module, "REMEMBERED", 2)
    choices = Choices()
    for user in "abc":
        choices.put(7, user, Choice(1, AT), NOW)
    assert [user for _, user, _ in choices.all()] == ["b", "c"]


def test_a_choice_ends_in_its_second() -> None:
    choices = kept(Choice(1, AT, "busy", "lunch", NOW + 60))
    assert list(choices.end_due(NOW + 59)) == [] and choices.holding(7, "alice") is not None
    assert list(choices.end_due(NOW + 60)) == [(7, "alice")]
    assert choices.holding(7, "alice") is None and list(choices.end_due(NOW + 60)) == []
    assert kept(Choice(1, AT, "busy", until=NOW)).holding(7, "alice") is None
    # One that another took the place of ends nothing.
    choices = kept(Choice(1, AT, "busy", until=NOW + 60), Choice(1, AT + 1, "away"))
    assert list(choices.end_due(NOW + 60)) == []


def test_while_somebody_is_invisible_others_read_on_what_they_read() -> None:
    hidden = Choice(1, AT, "invisible", "for me alone", NOW + 90, "in", NOW + 60)
    assert hidden.hides and hidden.left_behind == ("in", NOW + 60)
    choices = kept(hidden)
    assert list(choices.end_due(NOW + 60)) == [(7, "alice")]
    holding = choices.holding(7, "alice")
    assert holding is not None and holding.hides and holding.left_behind == ("", None)
    assert list(choices.end_due(NOW + 90)) == [(7, "alice")]
    assert choices.holding(7, "alice") is None


def test_the_end_of_being_invisible_leaves_what_others_still_read() -> None:
    choices = kept(Choice(1, AT, "invisible", "mine", NOW + 60, "in", NOW + 90))
    assert list(choices.end_due(NOW + 60)) == [(7, "alice")]
    holding = choices.holding(7, "alice")
    assert holding == Choice(1, AT, None, "in", NOW + 90, since=NOW)
    assert list(choices.end_due(NOW + 90)) == [(7, "alice")]
    # Both at once, or read long after: nothing is left.
    for unix in (NOW + 90, NOW + 500):
        late = Choice(1, AT, "invisible", "mine", NOW + 60, "in", NOW + 90)
        assert kept(late, unix=unix).holding(7, "alice") is None
    assert Choice(1, AT, "invisible", "", None, "in").next_end is None


def test_what_stands_beside_somebody_who_is_offline() -> None:
    assert Choice(1, AT, "busy", "lunch", 5).left_behind == ("lunch", 5)
    assert Choice(1, AT, "busy", "", 5).left_behind == ("", None)
    assert words_of("lunch", None) == {"text": "lunch"} and words_of("", 5) == {"until": 5}
    assert words_of("lunch", 5) == {"text": "lunch", "until": 5} and words_of("", None) == {}


def test_all_rooms_of_an_app_read_by_one_reader() -> None:
    choices = kept(Choice(1, AT, "busy"))
    reader = choices.reader(7)
    assert reader is choices.reader(7) and reader is not choices.reader(8)
    holding = reader("alice")
    assert holding is not None and holding.status == "busy"
    assert choices.reader(8)("alice") is None
