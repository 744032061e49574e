"""What goes between nodes: letters, encoded and parsed.

Other deployments may share the Redis, and anybody who reaches it may write to the channel: a letter
that is not exactly of this form is refused whole.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from presence_server.presence.choices import Choice
from presence_server.presence.messages import MessageError, parse_object
from presence_server.presence.states import NOTHING, PRECEDENCE, Status

# A letter stays small, so that a relay's buffers hold many; what is more takes several letters.
LONGEST_LETTER = 64 * 1024
_FULL = 48 * 1024
_MOST_PARTS = 10_000
_MOST_HEARD = 1_000
_NODE = re.compile(r"[0-9a-f]{16}")
_LONGEST_ROOM = 160
_LONGEST_NAME = 160
# One text for all who are so, of whom there may be a hundred thousand.
_STATUSES: Mapping[Any, Status] = {status: status for status in PRECEDENCE}
_CHOSEN = (None, "busy", "away", "invisible")


class Said(NamedTuple):
    """What a node says of one session.

    `resting` is for how many seconds no line is open, and `left` the second in which the last was
    closed; None and 0 while one is open. `came` is when the user came; 0: in `since`.
    """

    user: str
    account: int
    status: Status
    since: int
    resting: float | None = None
    left: int = 0
    order: int = 0
    about: Mapping[str, Any] = NOTHING
    came: int = 0


# By room and tag; who is gone since which second.
States = dict[str, dict[str, Said | int]]
# By app and user.
Chosen = dict[int, dict[str, Choice]]


class People(NamedTuple):
    """States of sessions, and choices of users."""

    states: States
    choices: Chosen


class Beat(NamedTuple):
    """The node lives. `sequence` is that of its newest batch, `mark` the number of the beat.

    `heard` holds the newest marks of other nodes that were heard: whatever this node knew by then
    has been said before. It `asks` for its own mark to be confirmed. `unix` is the sender's clock.
    """

    node: str
    sequence: int
    mark: int
    unix: int
    asks: bool
    heard: dict[str, int]


class Batch(NamedTuple):
    """The newest state of those of the node's sessions that changed, and new choices.

    Who is gone in it was let go when all whom the node knew had confirmed its own `mark`. `unix` is
    the sender's clock.
    """

    node: str
    sequence: int
    mark: int
    unix: int
    people: People


class Ask(NamedTuple):
    """The node wants to hear everything the reader has of its own."""

    node: str


class Part(NamedTuple):
    """One of the parts of all of the node's sessions as of `sequence`.

    The parts of one answer share its number. `unix` is the sender's clock. In `heard` it has the
    newest marks of other nodes, by which these tell an answer from one that was long on its way.
    """

    node: str
    sequence: int
    number: int
    part: int
    parts: int
    unix: int
    people: People
    heard: Mapping[str, int] = MappingProxyType({})


class Goodbye(NamedTuple):
    """The node stops, and its last line has been closed."""

    node: str


class Ended(NamedTuple):
    """Sessions have ended: it is worth looking into the database now."""

    node: str


class Words(NamedTuple):
    """A user of an app said something of themself for a room, and any node may have the line."""

    node: str
    room: str
    user: str
    words: dict[str, Any]


Letter = Beat | Batch | Ask | Part | Goodbye | Ended | Words

_KINDS: dict[str, type[Letter]] = {
    kind.__name__.lower(): kind for kind in (Beat, Batch, Ask, Part, Goodbye, Ended, Words)
}


def encode_letter(letter: Letter) -> str:
    fields = letter._asdict()
    if "heard" in fields:
        fields["heard"] = dict(fields["heard"])
    if "people" in fields:
        fields["people"] = _bare(fields["people"])
    return _encode({"kind": type(letter).__name__.lower()} | fields)


def parse_letter(text: str) -> Letter:
    """Read a letter; MessageError if it is not exactly one. Unknown fields are ignored."""
    if len(text) > LONGEST_LETTER:
        raise MessageError("the letter is too long")
    fields = parse_object(text)
    kind = _KINDS.get(str(fields.get("kind")))
    if kind is None:
        raise MessageError("of no known kind")
    return kind(**{name: _READERS[name](fields.get(name)) for name in kind._fields})


def cut(
    states: Iterable[tuple[str, str, Said | int]], choices: Iterable[tuple[int, str, Choice]]
) -> Iterator[People]:
    """People in as many pieces as letters are needed; none if there is nothing."""
    people, size = People({}, {}), 0
    for room, tag, said in states:
        size += len(_encode([room, tag, said if isinstance(said, int) else _bare_said(said)]))
        people.states.setdefault(room, {})[tag] = said
        if size >= _FULL:
            yield people
            people, size = People({}, {}), 0
    for app, user, choice in choices:
        size += len(_encode([app, user, choice]))
        people.choices.setdefault(app, {})[user] = choice
        if size >= _FULL:
            yield people
            people, size = People({}, {}), 0
    if size:
        yield people


def _bare(people: People) -> Any:
    return [
        {
            room: {
                tag: said if isinstance(said, int) else _bare_said(said)
                for tag, said in states.items()
            }
            for room, states in people.states.items()
        },
        {
            app: {user: list(choice) for user, choice in choices.items()}
            for app, choices in people.choices.items()
        },
    ]


def _bare_said(said: Said) -> list[Any]:
    # Most are here, and have nothing beside their status.
    fields: list[Any] = list(said[:4])
    came = 0 if said.came == said.since else said.came
    if said.resting is None and not said.order and not said.about:
        return [*fields, came] if came else fields
    resting = None if said.resting is None else round(said.resting, 2)
    return [*fields, came, resting, said.left, said.order, dict(said.about)]


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


def _read_bool(value: Any) -> bool:
    if type(value) is not bool:
        raise MessageError("neither true nor false")
    return value


def _read_heard(value: Any) -> dict[str, int]:
    if not isinstance(value, dict) or len(value) > _MOST_HEARD:
        raise MessageError("not marks")
    return {_read_node(node): _read_whole(mark) for node, mark in value.items()}


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


def _read_app(app: str) -> int:
    if not (app.isascii() and app.isdigit() and len(app) < 16):
        raise MessageError("not an app")
    return int(app)


def _read_choices(value: Any) -> dict[str, Choice]:
    return {_read_name(user): _read_choice(some) for user, some in _read_object(value).items()}


def _read_choice(value: Any) -> Choice:
    if not isinstance(value, list) or len(value) != len(Choice._fields):
        raise MessageError("not a choice")
    account, at, status, text, until, seen_text, seen_until, since = value
    if status not in _CHOSEN or not isinstance(text, str) or not isinstance(seen_text, str):
        raise MessageError("not a choice")
    return Choice(
        _read_whole(account),
        _read_whole(at),
        status,
        text,
        _read_end(until),
        seen_text,
        _read_end(seen_until),
        _read_whole(since),
    )


def _read_end(value: Any) -> int | None:
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
    "number": _read_whole,
    "part": _read_whole,
    "parts": _read_parts,
    "people": _read_people,
    "room": _read_room,
    "user": _read_name,
    "words": _read_object,
}

_encode: Callable[[Any], str] = json.JSONEncoder(separators=(",", ":")).encode
