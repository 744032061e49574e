"""What goes between nodes, and what anybody might send in their place."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from presence_server.presence.choices import Choice
from presence_server.presence.client_messages import (
    DataMessage,
    StatusMessage,
    parse_client_message,
)
from presence_server.presence.letters import (
    LONGEST_LETTER,
    Ask,
    Batch,
    Beat,
    Ended,
    Goodbye,
    Letter,
    Part,
    People,
    Said,
    Words,
)
from presence_server.presence.objects import MessageError
from presence_server.presence.reading import parse_letter
from presence_server.presence.writing import cut, encode_letter

NODE = "0123456789abcdef"
OTHER = "fedcba9876543210"
PEOPLE = People(
    {
        "": {
            "laptop": Said("alice", 1, "online", 100),
            "phone": Said("bob", 2, "away", 105, 2.5, 107),
            "tablet": 110,
        },
        "7/doc:42": {"carol": Said("carol", 0, "busy", 100, None, 0, 3, {"name": "Carol"})},
    },
    {0: {"bob": Choice(2, 105, "busy", "lunch", 200, "in", 190, 7)}, 7: {"carol": Choice(0, 106)}},
)


@pytest.mark.parametrize(
    "letter",
    [
        Beat(NODE, 7, 12, 1795420800, True, {OTHER: 3}),
        Beat(NODE, 7, 12, 1795420800, True, {}, 2.5),
        Batch(NODE, 7, 12, 1800000000, PEOPLE),
        Ask(NODE, {OTHER: 3}, anew=True),
        Part(NODE, 7, 1, 0, 3, 1800000000, PEOPLE, {OTHER: 3}),
        Part(NODE, 7, 1, 0, 3, 1800000000, PEOPLE, {OTHER: 3}, 5),
        Goodbye(NODE),
        Ended(NODE),
        Words(NODE, "7/doc:42", "carol", {"type": "data", "data": {"x": 1}}),
    ],
    ids=lambda letter: type(letter).__name__,
)
def test_what_is_written_is_read(letter: Letter) -> None:
    assert parse_letter(encode_letter(letter)) == letter


def test_a_second_by_a_clock_that_is_not_known_is_not_said() -> None:
    chosen = {0: {"bob": Choice(2, 105, "busy", since=7, is_dated=False)}}
    read = parse_letter(encode_letter(Batch(NODE, 7, 12, 1800000000, People({}, chosen))))
    assert isinstance(read, Batch) and read.people.choices[0]["bob"] == Choice(2, 105, "busy")


def test_people_are_cut_by_their_bytes() -> None:
    about = {"name": "ü" * 500, "data": {"x": "y" * 500}}
    states = [
        (f"7/{number % 3}", f"u{number}", Said(f"u{number}", 0, "online", 1, None, 0, 1, about))
        for number in range(200)
    ]
    choices = [(7, f"user{number}", Choice(0, number, "away", "ü" * 100)) for number in range(500)]
    pieces = list(cut(states, choices))
    assert len(pieces) > 10
    found = People({}, {})
    for piece in pieces:
        text = encode_letter(Part(NODE, 2**53 - 1, 2**53 - 1, 9999, 10000, 1800000000, piece))
        assert len(text) <= LONGEST_LETTER
        assert isinstance(parse_letter(text), Part)
        for room, some in piece.states.items():
            found.states.setdefault(room, {}).update(some)
        for app, chosen in piece.choices.items():
            found.choices.setdefault(app, {}).update(chosen)
    whole = People({}, {7: {user: choice for _, user, choice in choices}})
    for room, tag, said in states:
        whole.states.setdefault(room, {})[tag] = said
    assert found == whole


def test_what_fills_a_letter_leaves_no_empty_one_behind() -> None:
    large = Said("alice", 1, "online", 1, about={"data": "x" * LONGEST_LETTER})
    for states, choices in (
        ([("", "s", large)], []),
        ([], [(0, "alice", Choice(1, 2, "busy", "x" * LONGEST_LETTER))]),
    ):
        assert len(list(cut(states, choices))) == 1


def test_pieces_are_as_full_as_they_may_be_and_no_letter_is_too_long() -> None:
    # Of these sizes a whole number fills three quarters of a letter.
    room, names = "7/" + "r" * 126, [f"{number:03}" + "x" * 155 for number in range(300)]
    bare = Choice(1, 2, "busy")
    text = "y" * (384 - len(json.dumps([7, names[0], bare], separators=(",", ":"))))
    gone = [(room + "r" * 32, name, 1_000) for name in names]
    here = [(room, name, Said(name, 0, "online", 1_000)) for name in names]
    largest = 2**53 - 1
    rests = Said(
        "", largest, "online", largest - 1, -999_999_999.99, largest, largest, came=largest
    )
    resting = [(room, name, rests._replace(user=name)) for name in names]
    chosen = [(7, name, bare._replace(text=text)) for name in names]
    for pieces, number in (
        (list(cut(gone, [])), 128),
        (list(cut(here, [])), 96),
        (list(cut(resting, [])), 86),
        (list(cut([], chosen)), 128),
    ):
        counts = [
            sum(map(len, piece.states.values())) + sum(map(len, piece.choices.values()))
            for piece in pieces
        ]
        assert sum(counts) == 300 and set(counts[:-1]) == {number}
        for piece in pieces:
            letter = Batch(NODE, 1, 0, 1_000, piece)
            assert len(encode_letter(letter)) <= LONGEST_LETTER
            assert parse_letter(encode_letter(letter)) == letter


def test_nothing_is_cut_into_nothing() -> None:
    assert not list(cut([], []))


def test_unknown_fields_are_ignored() -> None:
    """A newer version may say more."""
    text = json.dumps({"kind": "ask", "node": NODE, "mood": "good"})
    assert parse_letter(text) == Ask(NODE)


def test_what_an_earlier_version_does_not_say_is_all() -> None:
    """While nodes are replaced one by one they ask each other, too."""
    part = {"kind": "part", "node": NODE, "sequence": 1, "number": 1, "part": 0, "parts": 1}
    part |= {"unix": 1, "people": [{}, {}], "heard": {}}
    assert parse_letter(json.dumps(part)) == Part(NODE, 1, 1, 0, 1, 1, People({}, {}))
    assert parse_letter(json.dumps({"kind": "ask", "node": NODE})) == Ask(NODE)


BATCH: dict[str, Any] = {
    "kind": "batch",
    "node": NODE,
    "sequence": 1,
    "mark": 1,
    "unix": 1,
    "people": [{}, {}],
}
PART = BATCH | {"kind": "part", "number": 1, "part": 0, "parts": 1, "heard": {}}
BEAT = {
    "kind": "beat",
    "node": NODE,
    "sequence": 1,
    "mark": 1,
    "unix": 1,
    "asks": False,
    "heard": {},
}


def states(**some: Any) -> dict[str, Any]:
    return BATCH | {"people": [{"": some}, {}]}


def choices(choice: Any) -> dict[str, Any]:
    return BATCH | {"people": [{}, {"0": {"alice": choice}}]}


# What is wrong is in one place each, and all else as it should be.
HERE = ["alice", 1, "online", 1, 0, None, 0, 0, {}]
CHOICE = [1, 1, "busy", "", None, "", None, 1]


def put(fields: list[Any], place: int, value: Any) -> list[Any]:
    return [*fields[:place], value, *fields[place + 1 :]]


@pytest.mark.parametrize(
    ("why", "some"),
    [
        (
            "of no known kind",
            [{}, {"kind": "dance", "node": NODE}, {"kind": ["beat"], "node": NODE}],
        ),
        (
            "not a node's id",
            [
                {"kind": "ask"},
                {"kind": "ask", "node": "0123"},
                {"kind": "ask", "node": NODE + "\n"},
                {"kind": "ask", "node": NODE.upper()},
                {"kind": "ask", "node": [NODE]},
                BEAT | {"heard": {"0123": 1}},
                {"kind": "ask", "node": NODE, "known": {"0123": 1}},
            ],
        ),
        (
            "not a whole number",
            [
                {"kind": "ask", "node": NODE, "known": {OTHER: -1}},
                PART | {"people": [{}, {}], "after": -1},
                BEAT | {"sequence": -1},
                BEAT | {"sequence": True},
                BEAT | {"sequence": 1.0},
                BEAT | {"sequence": 2**53},
                BEAT | {"mark": "now"},
                BEAT | {"mark": None},
                BEAT | {"mark": 1.5},
                BEAT | {"unix": None},
                BEAT | {"heard": {NODE: "1"}},
                states(s="online"),
                states(s={}),
                *(states(s=put(HERE, place, -1)) for place in (1, 3, 4, 6, 7)),
                *(choices(put(CHOICE, place, -1)) for place in (0, 1, 4, 6, 7)),
                choices(put(CHOICE, 4, "noon")),
            ],
        ),
        ("neither true nor false", [BEAT | {"asks": 1}]),
        (
            "not marks",
            [
                BEAT | {"heard": []},
                BEAT | {"heard": {f"{number:016x}": 1 for number in range(1001)}},
            ],
        ),
        ("not people", [BATCH | {"people": None}, BATCH | {"people": [{}, {}, {}]}]),
        (
            "not an object",
            [
                BATCH | {"people": [[], {}]},
                BATCH | {"people": [{"": []}, {}]},
                states(s=put(HERE, 8, [])),
                {"kind": "words", "node": NODE, "room": "7/a", "user": "u", "words": []},
            ],
        ),
        (
            "not a room",
            [
                BATCH | {"people": [{"x" * 161: {}}, {}]},
                BATCH | {"people": [{"7/\u00fc": {}}, {}]},
                BATCH | {"people": [{"7/\n": {}}, {}]},
            ],
        ),
        (
            "not an app",
            [
                BATCH | {"people": [{}, {app: {}}]}
                for app in ("x", "-1", "", "\u0663", "1" * 16)
            ],
        ),
        (
            "not a name",
            [
                *(states(**{tag: HERE}) for tag in ("", "a" * 161, "a\nb")),
                *(states(s=put(HERE, 0, name)) for name in ("", "\ud800", 1)),
            ],
        ),
        (
            "not the state of a session",
            [
                states(s=put(HERE, 2, "offline")),
                states(s=put(HERE, 2, ["online"])),
                *(states(s=HERE[:length]) for length in (0, 3, 6, 7, 8)),
                states(s=[*HERE, 0]),
            ],
        ),
        (
            "not a number of seconds",
            [states(s=put(HERE, 5, seconds)) for seconds in ("2", True, 1e300, -(2**53))],
        ),
        (
            "not a choice",
            [
                choices(17),
                choices(CHOICE[:-1]),
                choices([*CHOICE, 1]),
                choices(put(CHOICE, 2, "offline")),
                choices(put(CHOICE, 3, None)),
                choices(put(CHOICE, 5, None)),
            ],
        ),
        ("not a number of parts", [PART | {"parts": 10_001}]),
    ],
)
def test_what_is_not_exactly_a_letter_is_refused(why: str, some: list[dict[str, Any]]) -> None:
    for fields in some:
        with pytest.raises(MessageError) as refused:
            parse_letter(json.dumps(fields))
        assert str(refused.value) == why, fields


def test_the_longest_and_the_most_that_may_be_are_read() -> None:
    longest = {"heard": {f"{number:016x}": 2**53 - 1 for number in range(1000)}}
    assert parse_letter(json.dumps(BEAT | longest)) == Beat(NODE, 1, 1, 1, False, longest["heard"])
    states = {"x" * 160: {"t" * 160: [*put(HERE, 0, "n" * 160)[:4], 7]}}
    people = {"people": [states, {"1" * 15: {"alice": CHOICE}}]}
    said = Said("n" * 160, 1, "online", 1, came=7)
    chosen = {int("1" * 15): {"alice": Choice(1, 1, "busy", since=1)}}
    assert parse_letter(json.dumps(PART | people | {"parts": 10_000})) == Part(
        NODE, 1, 1, 0, 10_000, 1, People({"x" * 160: {"t" * 160: said}}, chosen)
    )
    text = json.dumps({"kind": "ask", "node": NODE, "padding": ""})
    padded = text.replace('""', '"%s"' % ("x" * (LONGEST_LETTER - len(text))))
    assert len(padded) == LONGEST_LETTER and parse_letter(padded) == Ask(NODE)
    with pytest.raises(MessageError, match="^the letter is too long$"):
        parse_letter(padded + " ")


def test_seconds_of_rest_may_be_whole_broken_or_below_nothing() -> None:
    for seconds in (2, 2.5, -1, 0):
        letter = parse_letter(json.dumps(states(s=put(HERE, 5, seconds))))
        assert isinstance(letter, Batch)
        said = letter.people.states[""]["s"]
        assert isinstance(said, Said) and said.resting == seconds


def test_a_letter_says_no_more_than_it_must() -> None:
    """Most are here with nothing beside their status, since they came."""

    def written(**more: Any) -> list[Any]:
        said = Said("alice", 1, "online", 100)._replace(**more)
        people = json.loads(encode_letter(Batch(NODE, 1, 1, 1, People({"": {"s": said}}, {}))))
        found: list[Any] = people["people"][0][""]["s"]
        return found

    assert written() == ["alice", 1, "online", 100] == written(came=100)
    assert written(came=90) == ["alice", 1, "online", 100, 90]
    assert written(resting=2.347, left=98) == ["alice", 1, "online", 100, 0, 2.35, 98, 0, {}]
    assert written(order=3, came=90) == ["alice", 1, "online", 100, 90, None, 0, 3, {}]
    assert written(about={"a": 1})[5:] == [None, 0, 0, {"a": 1}]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "[]",
        "[" * 10_000,
        '{"kind":"beat","node":"%s","sequence":1,"mark":NaN}' % NODE,
        '{"kind":"beat","node":"%s","sequence":1,"mark":1e999}' % NODE,
        '{"kind":"ask","kind":"ask","node":"%s"}' % NODE,
        json.dumps({"kind": "ask", "node": NODE, "padding": "x" * LONGEST_LETTER}),
    ],
)
def test_so_is_what_is_not_json_or_too_long(text: str) -> None:
    with pytest.raises(MessageError):
        parse_letter(text)


_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
_values = st.recursive(_scalars, lambda inner: st.lists(inner, max_size=4), max_leaves=8)


@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    database=None,
    # On a busy machine the first few take long.
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    st.dictionaries(
        st.sampled_from(["node", "sequence", "mark", "number", "part", "parts", "people"]), _values
    ),
    st.sampled_from([BATCH, PART, BEAT]),
)
def test_garbage_is_refused_or_a_letter(garbage: dict[str, Any], letter: dict[str, Any]) -> None:
    try:
        read = parse_letter(json.dumps(letter | garbage))
    except MessageError:
        return
    assert parse_letter(encode_letter(read)) == read


_numbers = st.sampled_from(["1e999", "-1E400", "1e308", "-1", "-1e3", "0", "99", "9" * 30]) | (
    st.integers().map(str)
)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(number=_numbers, said=st.text(max_size=5).map(json.dumps))
@pytest.mark.parametrize(
    "message",
    [
        '{"type":"data","data":{%(said)s:[%(number)s]}}',
        '{"type":"status","scope":"user","status":"busy","text":%(said)s,"until":%(number)s}',
    ],
    ids=["data", "choice"],
)
def test_what_a_client_may_say_can_be_read_at_every_node(
    message: str, number: str, said: str
) -> None:
    try:
        taken = parse_client_message(message % {"number": number, "said": said}, 1_800_000_000)
    except MessageError:
        return
    people = People({}, {})
    match taken:
        case DataMessage(data):
            about = {"data": data}
            people.states["7/doc"] = {"x": Said("carol", 0, "busy", 100, None, 0, 3, about)}
        case StatusMessage():
            choice = Choice(0, 106, "busy", taken.text or "", taken.until)
            people.choices[7] = {"carol": choice}
    batch = Batch(NODE, 7, 12, 1_800_000_000, people)
    assert parse_letter(encode_letter(batch)) == batch
