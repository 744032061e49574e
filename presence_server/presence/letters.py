"""What goes between nodes: letters, encoded and parsed.

Other deployments may share the Redis, and anybody who reaches it may write to the channel: a letter
that is not exactly of this form is refused whole.
"""

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from presence_server.presence.messages import MessageError, parse_object
from presence_server.presence.roster import Choice, Status

# A letter stays small, so that a relay's buffers hold many; more people take several letters.
PEOPLE_PER_LETTER = 500
LONGEST_LETTER = 64 * 1024
_MOST_PARTS = 10_000
_NODE = re.compile(r"[0-9a-f]{16}")
_LONGEST_NAME = 64


class People(NamedTuple):
    """A node's own people: their status and since, who is gone since when, and what they chose."""

    here: dict[str, tuple[Status, int]]
    gone: dict[str, int]
    choices: dict[str, Choice]


class Beat(NamedTuple):
    """The node lives; `sequence` is that of its newest batch, `mark` the sender's own clock."""

    node: str
    sequence: int
    mark: float


class Batch(NamedTuple):
    """The newest state of those of the node's people who changed."""

    node: str
    sequence: int
    people: People


class Ask(NamedTuple):
    """The node wants to hear everything the reader has of its own."""

    node: str


class Part(NamedTuple):
    """One of the parts of all of the node's people as of `sequence`.

    The parts of one answer share its number.
    """

    node: str
    sequence: int
    number: int
    part: int
    parts: int
    people: People


class Goodbye(NamedTuple):
    """The node stops: its people are in their grace now."""

    node: str


class Ended(NamedTuple):
    """Sessions have ended: it is worth looking into the database now."""

    node: str


Letter = Beat | Batch | Ask | Part | Goodbye | Ended

_KINDS: dict[str, type[Letter]] = {
    kind.__name__.lower(): kind for kind in (Beat, Batch, Ask, Part, Goodbye, Ended)
}


def encode_letter(letter: Letter) -> str:
    return _encode({"kind": type(letter).__name__.lower()} | letter._asdict())


def parse_letter(text: str) -> Letter:
    """Read a letter; MessageError if it is not exactly one. Unknown fields are ignored."""
    if len(text) > LONGEST_LETTER:
        raise MessageError("the letter is too long")
    fields = parse_object(text)
    kind = _KINDS.get(str(fields.get("kind")))
    if kind is None:
        raise MessageError("of no known kind")
    return kind(**{name: _READERS[name](fields.get(name)) for name in kind._fields})


def _read_node(value: Any) -> str:
    if not isinstance(value, str) or not _NODE.fullmatch(value):
        raise MessageError("not a node's id")
    return value


def _read_whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**53:
        raise MessageError("not a whole number")
    return value


def _read_parts(value: Any) -> int:
    if not 0 < _read_whole(value) <= _MOST_PARTS:
        raise MessageError("not a number of parts")
    return int(value)


def _read_mark(value: Any) -> float:
    if type(value) not in (int, float) or not abs(value) < 2**53:
        raise MessageError("not a time")
    return float(value)


def _read_people(value: Any) -> People:
    if not isinstance(value, list) or len(value) != 3:
        raise MessageError("not people")
    here, gone, choices = (_read_names(part) for part in value)
    return People(
        {name: _read_entry(entry) for name, entry in here.items()},
        {name: _read_whole(since) for name, since in gone.items()},
        {name: _read_choice(choice) for name, choice in choices.items()},
    )


def _read_names(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(_is_name(name) for name in value):
        raise MessageError("not names")
    return value


def _is_name(name: str) -> bool:
    # A lone surrogate is not printable either: it could be written to no socket and no database.
    return 0 < len(name) <= _LONGEST_NAME and name.isprintable()


def _read_entry(value: Any) -> tuple[Status, int]:
    if not isinstance(value, list) or len(value) != 2 or value[0] not in ("online", "away"):
        raise MessageError("not a status with its since")
    return value[0], _read_whole(value[1])


def _read_choice(value: Any) -> Choice:
    if not isinstance(value, list):
        raise MessageError("not a choice")
    status, at = _read_entry(value[::-1])
    return Choice(at, status)


_READERS: dict[str, Callable[[Any], Any]] = {
    "node": _read_node,
    "sequence": _read_whole,
    "mark": _read_mark,
    "number": _read_whole,
    "part": _read_whole,
    "parts": _read_parts,
    "people": _read_people,
}

_encode: Callable[[Any], str] = json.JSONEncoder(separators=(",", ":")).encode
