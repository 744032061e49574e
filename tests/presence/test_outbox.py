"""What one node says to the others, letter by letter."""

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
from presence_server.presence.outbox import Outbox
from presence_server.presence.reading import parse_letter

ME, ONE, TWO = (f"{number:016x}" for number in (1, 2, 3))
ALICE = Said("alice", 1, "online", 100)
BUSY = Choice(1, 5, "busy")


def waits(outbox: Outbox) -> tuple[bool, bool]:
    return outbox.has_unsaid, outbox.is_asked


def letters(outbox: Outbox) -> list[tuple[Letter, str | None]]:
    return [(parse_letter(text), to) for text, to in outbox.take_letters()]


def go_on(outbox: Outbox, elapsed: float = 0.0) -> list[tuple[Letter, str | None]]:
    outbox.go_on(Moment(elapsed, 99))
    return letters(outbox)


def test_changes_are_said_under_the_next_number_with_what_was_chosen() -> None:
    outbox = Outbox(ME)
    outbox.note_choice(0, "alice", Choice(1, 4, "away"))
    outbox.note_choice(0, "alice", BUSY)
    assert waits(outbox) == (True, False)
    outbox.say_changes([("", "laptop", ALICE)], mark=7, unix=99)
    assert waits(outbox) == (False, False) and outbox.sequence == 1
    people = People({"": {"laptop": ALICE}}, {0: {"alice": BUSY}})
    assert letters(outbox) == [(Batch(ME, 1, 7, 99, people), None)]
    outbox.say_changes([], mark=7, unix=99)
    assert letters(outbox) == [] and outbox.sequence == 1
    outbox.say_changes([("", "laptop", 101)], mark=8, unix=99)
    people = People({"": {"laptop": 101}}, {})
    assert letters(outbox) == [(Batch(ME, 2, 8, 99, people), None)]


def test_a_beat_names_the_newest_batch() -> None:
    outbox = Outbox(ME)
    outbox.say_changes([("", "laptop", ALICE)], mark=7, unix=99)
    letters(outbox)
    outbox.say_beat(3, 98, asks=True, heard={ONE: 4})
    outbox.say(Ask(ME), ONE)
    assert letters(outbox) == [(Beat(ME, 1, 3, 98, True, {ONE: 4}), None), (Ask(ME), ONE)]
    assert letters(outbox) == []


def test_all_who_asked_get_one_answer_in_its_parts() -> None:
    outbox = Outbox(ME)
    outbox.note_asker(TWO)
    outbox.note_asker(ONE)
    outbox.note_asker(ONE)
    assert waits(outbox) == (False, True)
    entry = Entry("alice", 1, "online", 100, about={"x": "y" * 500})
    states = [("", f"s{number}", entry) for number in range(150)]
    outbox.answer(states, [(0, "alice", BUSY)], {ONE: 4})
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


def test_an_answer_has_a_number_of_its_own_also_when_nobody_is_here() -> None:
    outbox = Outbox(ME)
    for number in (1, 2):
        outbox.note_asker(ONE)
        outbox.answer([], [], {})
        assert go_on(outbox) == [(Part(ME, 0, number, 0, 1, 99, People({}, {}), {}), ONE)]
    assert go_on(outbox) == []


def test_an_answer_with_many_is_said_little_by_little_as_of_its_beginning() -> None:
    outbox = Outbox(ME)
    outbox.note_asker(ONE)
    left = {f"s{number}": Entry(f"u{number}", 1, "online", 100, 5.0) for number in range(4_500)}
    chosen = {f"u{number}": BUSY for number in range(4_000)}
    outbox.answer(
        (("", tag, entry) for tag, entry in left.items()),
        ((0, user, choice) for user, choice in chosen.items()),
        {},
    )
    outbox.note_asker(TWO)
    heard: list[Part] = []
    turns = 0
    while outbox.is_answering:
        turns += 1
        outbox.say_changes([("", "s0", 101)], mark=0, unix=99)
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
    outbox.say_changes((("", f"s{number}", ALICE) for number in range(5_000)), mark=0, unix=99)
    texts = [text for text, _ in outbox.take_letters()]
    assert len(texts) == outbox.sequence > 1 and max(map(len, texts)) <= LONGEST_LETTER
