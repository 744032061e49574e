"""What goes between nodes, and what anybody might send in their place."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from presence_server.presence.letters import (
    LONGEST_LETTER,
    PEOPLE_PER_LETTER,
    Ask,
    Batch,
    Beat,
    Ended,
    Goodbye,
    Letter,
    Part,
    People,
    encode_letter,
    parse_letter,
)
from presence_server.presence.messages import MessageError
from presence_server.presence.roster import Choice

NODE = "0123456789abcdef"
PEOPLE = People(
    {"alice": ("online", 100), "bob": ("away", 105)},
    {"carol": 110},
    {"bob": Choice(105, "away")},
)


@pytest.mark.parametrize(
    "letter",
    [
        Beat(NODE, 7, 12.5),
        Batch(NODE, 7, PEOPLE),
        Ask(NODE),
        Part(NODE, 7, 1, 0, 3, PEOPLE),
        Goodbye(NODE),
        Ended(NODE),
    ],
    ids=lambda letter: type(letter).__name__,
)
def test_what_is_written_is_read(letter: Letter) -> None:
    assert parse_letter(encode_letter(letter)) == letter


def test_the_longest_letter_of_our_own_is_not_too_long() -> None:
    names = [f"{number:032}" for number in range(PEOPLE_PER_LETTER)]
    people = People(
        dict.fromkeys(names, ("online", 9_999_999_999)),
        {},
        dict.fromkeys(names, Choice(9_999_999_999, "online")),
    )
    text = encode_letter(Part(NODE, 2**53 - 1, 2**53 - 1, 9999, 10000, people))
    assert len(text) < LONGEST_LETTER
    assert isinstance(parse_letter(text), Part)


def test_unknown_fields_are_ignored() -> None:
    """A newer version may say more."""
    text = json.dumps({"kind": "ask", "node": NODE, "mood": "good"})
    assert parse_letter(text) == Ask(NODE)


BATCH: dict[str, Any] = {"kind": "batch", "node": NODE, "sequence": 1, "people": [{}, {}, {}]}
PART = BATCH | {"kind": "part", "number": 1, "part": 0, "parts": 1}
BEAT = {"kind": "beat", "node": NODE, "sequence": 1, "mark": 1.0}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"kind": "dance", "node": NODE},
        {"kind": ["beat"], "node": NODE},
        {"kind": "ask"},
        {"kind": "ask", "node": "0123"},
        {"kind": "ask", "node": NODE + "\n"},
        {"kind": "ask", "node": NODE.upper()},
        {"kind": "ask", "node": [NODE]},
        BEAT | {"sequence": -1},
        BEAT | {"sequence": True},
        BEAT | {"sequence": 1.0},
        BEAT | {"sequence": 2**53},
        BEAT | {"mark": "now"},
        BEAT | {"mark": None},
        BEAT | {"mark": 1e300},
        BATCH | {"people": None},
        BATCH | {"people": [{}, {}]},
        BATCH | {"people": [[], {}, {}]},
        BATCH | {"people": [{"": ["online", 1]}, {}, {}]},
        BATCH | {"people": [{"a" * 65: ["online", 1]}, {}, {}]},
        BATCH | {"people": [{"a\nb": ["online", 1]}, {}, {}]},
        BATCH | {"people": [{"\ud800": ["online", 1]}, {}, {}]},
        BATCH | {"people": [{"alice": ["offline", 1]}, {}, {}]},
        BATCH | {"people": [{"alice": ["online"]}, {}, {}]},
        BATCH | {"people": [{"alice": ["online", -1]}, {}, {}]},
        BATCH | {"people": [{"alice": "online"}, {}, {}]},
        BATCH | {"people": [{"alice": [["online"], 1]}, {}, {}]},
        BATCH | {"people": [{}, {"alice": "1"}, {}]},
        BATCH | {"people": [{}, {}, {"alice": 17}]},
        BATCH | {"people": [{}, {}, {"alice": [1, "busy"]}]},
        PART | {"parts": 0},
        PART | {"parts": 10**9},
    ],
)
def test_what_is_not_exactly_a_letter_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(MessageError):
        parse_letter(json.dumps(fields))


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


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
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
