"""What one node says to the others, letter by letter."""

from collections.abc import Mapping

import pytest

from presence_server.presence import recent
from presence_server.presence.choices import Choice
from presence_server.presence.entries import Entry
from presence_server.presence.letters import (
    LONGEST_LETTER,
    Ask,
    Batch,
    Beat,
    Letter,
    Part,
    People,
    Said,
)
from presence_server.presence.moment import Moment
from presence_server.presence.outbox import KeyedChoices, KeyedEntries, Outbox
from presence_server.presence.reading import parse_letter
from presence_server.presence.recent import Key

ME, ONE, TWO = (f"{number:016x}" for number in (1, 2, 3))
ALICE = Said("alice", 1, "online", 100)
BUSY = Choice(1, 5, "busy")
NOW = Moment(0.0, 99)


def waits(outbox: Outbox) -> tuple[bool, bool]:
    return outbox.has_unsaid, outbox.is_asked


def letters(outbox: Outbox) -> list[tuple[Letter, str | None]]:
    return [(parse_letter(text), to) for text, to in outbox.take_letters()]


def begin_answer(
    outbox: Outbox, states: KeyedEntries, choices: KeyedChoices, heard: Mapping[str, int]
) -> None:
    outbox.answer(*outbox.take_askers(), states, choices, heard)


def go_on(outbox: Outbox, elapsed: float = 0.0) -> list[tuple[Letter, str | None]]:
    outbox.go_on(Moment(elapsed, 99))
    return letters(outbox)


def test_changes_are_said_under_the_next_number_with_what_was_chosen() -> None:
    outbox = Outbox(ME)
    outbox.note_choice(0, "alice", Choice(1, 4, "away"))
    outbox.note_choice(0, "alice", BUSY)
    assert waits(outbox) == (True, False)
    outbox.say_changes([("", "laptop", ALICE)], mark=7, now=NOW)
    assert waits(outbox) == (False, False) and outbox.sequence == 1
    people = People({"": {"laptop": ALICE}}, {0: {"alice": BUSY}})
    assert letters(outbox) == [(Batch(ME, 1, 7, 99, people), None)]
    outbox.say_changes([], mark=7, now=NOW)
    assert letters(outbox) == [] and outbox.sequence == 1
    outbox.say_changes([("", "laptop", 101)], mark=8, now=NOW)
    people = People({"": {"laptop": 101}}, {})
    assert letters(outbox) == [(Batch(ME, 2, 8, 99, people), None)]


def test_a_beat_names_the_newest_batch() -> None:
    outbox = Outbox(ME)
    outbox.say_changes([("", "laptop", ALICE)], mark=7, now=NOW)
    letters(outbox)
    outbox.say_beat(3, 98, asks=True, heard={ONE: 4}, crowd=2.5)
    outbox.say(Ask(ME), ONE)
    assert letters(outbox) == [(Beat(ME, 1, 3, 98, True, {ONE: 4}, 2.5), None), (Ask(ME), ONE)]
    assert letters(outbox) == []


def test_all_who_asked_get_one_answer_in_its_parts() -> None:
    outbox = Outbox(ME)
    outbox.note_asker(TWO)
    outbox.note_asker(ONE)
    outbox.note_asker(ONE)
    assert waits(outbox) == (False, True)
    entry = Entry("alice", 1, "online", 100, about={"x": "y" * 500})
    states = [("", f"s{number}", entry) for number in range(150)]
    begin_answer(outbox, states, [(0, "alice", BUSY)], {ONE: 4})
    assert waits(outbox) == (False, False)
    told = go_on(outbox)
    assert not outbox.is_answering
    assert [to for _, to in told] == [ONE, TWO, ONE, TWO]
    first, second = (letter for letter, to in told if to == ONE)
    assert isinstance(first, Part) and isinstance(second, Part)
    assert first[:6] == (ME, 0, 1, 0, 0, 99) and second[:6] == (ME, 0, 1, 1, 2, 99)
    assert first.heard == second.heard == {ONE: 4}
    assert len(first.people.states[""]) + len(second.people.states[""]) == 150
    assert second.people.choices == {0: {"alice": BUSY}}
    assert [letter for letter, to in told if to == TWO] == [first, second]


def test_who_knows_the_rest_is_told_what_was_said_since() -> None:
    outbox = Outbox(ME)
    states: list[tuple[str, Said | int]] = [("laptop", ALICE), ("phone", ALICE), ("laptop", 101)]
    for turn, (tag, state) in enumerate([*states, ("phone", ALICE)]):
        outbox.say_changes([("", tag, state)], mark=0, now=Moment(20.0 * turn, 99))
    outbox.note_chosen(7, "bob", Moment(60.0, 99))
    chosen: dict[Key, int] = {(7, "bob"): 0}
    said = {number: outbox.changed_after(number) for number in range(6)}
    # With what was said shortly before: notes may have told it in its place.
    assert said[5] == chosen | {("", "phone"): 0} == said[4]
    assert said[3] == chosen | {("", "phone"): 0, ("", "laptop"): 101} == said[0]


def test_those_who_know_the_most_are_told_first_and_then_the_others_all() -> None:
    outbox = Outbox(ME)
    for _ in range(3):
        outbox.say_changes([("", "laptop", ALICE)], mark=0, now=NOW)
    outbox.note_asker(ONE, 3)
    outbox.note_asker(ONE, 2)
    outbox.note_asker(TWO, 3)
    outbox.note_asker("stranger")
    outbox.note_asker("later", 4)
    assert outbox.take_askers() == ([ONE, TWO], 2)
    assert outbox.take_askers() == (["later", "stranger"], None)
    assert waits(outbox) == (False, False)
    outbox.note_asker(ONE, 2)
    outbox.note_asker(ONE)
    assert outbox.take_askers() == ([ONE], None)
    outbox.note_asker(ONE, 2)
    letters(outbox)
    begin_answer(outbox, [("", "laptop", 101)], [], {})
    people = People({"": {"laptop": 101}}, {})
    assert go_on(outbox) == [(Part(ME, 3, 1, 0, 1, 99, people, {}, 2), ONE)]


def test_who_missed_more_than_is_remembered_is_told_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "_REMEMBERED", 2)
    outbox = Outbox(ME)
    for tag in ("laptop", "phone", "laptop", "tablet"):
        outbox.say_changes([("", tag, ALICE)], mark=0, now=NOW)
    for known, after in ((1, None), (2, 2)):
        outbox.note_asker(ONE, known)
        assert outbox.take_askers() == ([ONE], after)


def test_an_answer_has_a_number_of_its_own_also_when_nobody_is_here() -> None:
    outbox = Outbox(ME)
    for number in (1, 2):
        outbox.note_asker(ONE)
        begin_answer(outbox, [], [], {})
        assert go_on(outbox) == [(Part(ME, 0, number, 0, 1, 99, People({}, {}), {}), ONE)]
    assert go_on(outbox) == []


def test_an_answer_with_many_is_said_little_by_little_as_of_its_beginning() -> None:
    outbox = Outbox(ME)
    outbox.note_asker(ONE)
    left = {f"s{number}": Entry(f"u{number}", 1, "online", 100, 5.0) for number in range(4_500)}
    chosen = {f"u{number}": BUSY for number in range(4_000)}
    begin_answer(
        outbox,
        (("", tag, entry) for tag, entry in left.items()),
        ((0, user, choice) for user, choice in chosen.items()),
        {},
    )
    outbox.note_asker(TWO)
    heard: list[Part] = []
    turns = 0
    while outbox.is_answering:
        turns += 1
        outbox.say_changes([("", "s0", 101)], mark=0, now=NOW)
        told = go_on(outbox, elapsed=5.0 + turns)
        parts = [letter for letter, to in told if isinstance(letter, Part) and to == ONE]
        heard += parts
        said = [said for part in parts for said in part.people.states.get("", {}).values()]
        assert len(said) <= 2_000
        assert {one.resting for one in said if isinstance(one, Said)} <= {float(turns)}
        assert sum(len(part.people.choices.get(0, ())) for part in parts) <= 2_000
    assert turns == 5 and outbox.sequence == 5 and {part.sequence for part in heard} == {0}
    assert [part.part for part in heard] == list(range(len(heard)))
    assert [part.parts for part in heard] == [0] * (len(heard) - 1) + [len(heard)]
    tags = [tag for part in heard for tag in part.people.states.get("", ())]
    users = [user for part in heard for user in part.people.choices.get(0, ())]
    assert tags == list(left) and users == list(chosen)
    assert waits(outbox) == (False, True), "who asked meanwhile gets the next one"


def test_each_letter_of_many_is_within_its_bounds() -> None:
    outbox = Outbox(ME)
    outbox.say_changes((("", f"s{number}", ALICE) for number in range(5_000)), mark=0, now=NOW)
    texts = [text for text, _ in outbox.take_letters()]
    assert len(texts) == outbox.sequence > 1 and max(map(len, texts)) <= LONGEST_LETTER
