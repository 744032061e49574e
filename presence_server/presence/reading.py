"""Texts read as letters.

Other deployments may share the Redis, and anybody who reaches it may write to the channel: a letter
that is not exactly of its form is refused whole.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from presence_server.presence.choices import Choice
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
from presence_server.presence.objects import MessageError, parse_object
from presence_server.presence.states import PRECEDENCE, Status

_MOST_PARTS = 10_000
_MOST_HEARD = 1_000
_NODE = re.compile(r"[0-9a-f]{16}")
_LONGEST_ROOM = 160
_LONGEST_NAME = 160
# One text for all who are so, of whom there may be a hundred thousand.
_STATUSES: Mapping[Any, Status] = {status: status for status in PRECEDENCE}
_CHOSEN = (None, "busy", "away", "invisible")

_KINDS: dict[str, type[Letter]] = {
    kind.__name__.lower(): kind for kind in (Beat, Batch, Ask, Part, Goodbye, Ended, Words)
}


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
    if _read_whole(value) > _MOST_PARTS:
        raise MessageError("not a number of parts")
    return int(value)


def _read_bool(value: Any) -> bool:
    if type(value) is not bool:
        raise MessageError("neither true nor false")
    return value


def _read_heard(value: Any) -> dict[str, int]:
    if not isinstance(value, dict) or len(value) > _MOST_HEARD:
        raise MessageError("not marks")
    return {_read_node(node): _read_whole(mark) for node, mark in value.items()}


def _read_known(value: Any) -> dict[str, int]:
    # A node of an earlier version names none, and is told all.
    return {} if value is None else _read_heard(value)


def _read_anew(value: Any) -> bool:
    # Nor does it say this.
    return False if value is None else _read_bool(value)


def _read_people(value: Any) -> People:
    if not isinstance(value, list) or len(value) != 2:
        raise MessageError("not people")
    states, choices = (_read_object(part) for part in value)
    return People(
        {_read_room(room): _read_states(some) for room, some in states.items()},
        {_read_app(app): _read_choices(some) for app, some in choices.items()},
    )


def _read_object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MessageError("not an object")
    return value


def _read_room(room: str) -> str:
    if len(room) > _LONGEST_ROOM or not (room.isascii() and room.isprintable()):
        raise MessageError("not a room")
    return room


def _read_states(value: Any) -> dict[str, Said | int]:
    return {_read_name(tag): _read_state(state) for tag, state in _read_object(value).items()}


def _read_state(value: Any) -> Said | int:
    return _read_said(value) if isinstance(value, list) else _read_whole(value)


def _read_said(value: list[Any]) -> Said:
    if len(value) not in (4, 5, 9) or value[2] not in PRECEDENCE:
        raise MessageError("not the state of a session")
    user, account, status, since, *more = value
    status = _STATUSES[status]
    came = _read_whole(more.pop(0)) if more else 0
    said = Said(
        _read_name(user), _read_whole(account), status, _read_whole(since), came=came
    )
    if not more:
        return said
    resting, left, order, about = more
    return said._replace(
        resting=None if resting is None else _read_seconds(resting),
        left=_read_whole(left),
        order=_read_whole(order),
        about=_read_object(about),
    )


def _read_seconds(value: Any) -> float:
    if type(value) not in (int, float) or not abs(value) < 2**53:
        raise MessageError("not a number of seconds")
    return float(value)


def _read_crowd(value: Any) -> float | None:
    return None if value is None else _read_seconds(value)


def _read_app(app: str) -> int:
    if not (app.isascii() and app.isdigit() and len(app) < 16):
        raise MessageError("not an app")
    return int(app)


def _read_choices(value: Any) -> dict[str, Choice]:
    return {_read_name(user): _read_choice(some) for user, some in _read_object(value).items()}


def _read_choice(value: Any) -> Choice:
    # All but whether it is dated, which its second says.
    if not isinstance(value, list) or len(value) != len(Choice._fields) - 1:
        raise MessageError("not a choice")
    account, at, status, text, until, seen_text, seen_until, since = value
    if status not in _CHOSEN or not isinstance(text, str) or not isinstance(seen_text, str):
        raise MessageError("not a choice")
    return Choice(
        _read_whole(account),
        _read_whole(at),
        status,
        text,
        _read_if_any(until),
        seen_text,
        _read_if_any(seen_until),
        _read_whole(since),
    )


def _read_if_any(value: Any) -> int | None:
    return None if value is None else _read_whole(value)


def _read_name(name: Any) -> str:
    # A lone surrogate is not printable either: it could be written to no socket and no database.
    if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
        raise MessageError("not a name")
    return name


_READERS: dict[str, Callable[[Any], Any]] = {
    "node": _read_node,
    "sequence": _read_whole,
    "mark": _read_whole,
    "unix": _read_whole,
    "asks": _read_bool,
    "heard": _read_heard,
    "crowd": _read_crowd,
    "known": _read_known,
    "anew": _read_anew,
    "after": _read_if_any,
    "number": _read_whole,
    "part": _read_whole,
    "parts": _read_parts,
    "people": _read_people,
    "room": _read_room,
    "user": _read_name,
    "words": _read_object,
}
