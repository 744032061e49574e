"""What goes over the wire to browsers: encoded and parsed.

The formats are described in docs/protocol.md. Everything here is text; framing it is the hub's.
"""

import json
import math
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Literal, NamedTuple

from presence_server.presence.choices import Choice, words_of
from presence_server.presence.states import Person

SUBPROTOCOL = "presence.v1"

# json makes a tuple for each entry of an object: very many at once set off the garbage collector.
_AT_ONCE = 500

_HERE = ("online", "busy", "away")

# What a client may say: bytes of data, characters of a text, users to watch, and how far ahead
# the end of a choice may be, in seconds.
MOST_DATA = 512
LONGEST_TEXT = 100
MOST_WATCHED = 500
LONGEST_CHOICE = 30 * 24 * 3600


class MessageError(ValueError):
    """The peer sent what is no message: not JSON, no object, or a field that cannot be."""


SaidStatus = Literal["online", "busy", "away", "invisible"]
# What a client may say of its own connection, and what a user may choose for all of them.
_SAID: dict[str | None, SaidStatus] = {"online": "online", "away": "away"}
_CHOSEN: dict[str | None, SaidStatus] = {**_SAID, "busy": "busy", "invisible": "invisible"}


class StatusMessage(NamedTuple):
    """A client says how its user is: for its own connection, or for all of the user's.

    The latter is a choice, with words and an end (a Unix second) if the user likes; only there a
    status may be `busy` or `invisible`.
    """

    status: SaidStatus
    whole_user: bool
    text: str | None = None
    until: int | None = None


class DataMessage(NamedTuple):
    """What a client lets others see of its user in this room; newest wins."""

    data: dict[str, Any]


class WatchMessage(NamedTuple):
    """Only these from now on; None: everybody.

    With a cursor: the peer knows of them what was told until then.
    """

    users: frozenset[str] | None
    cursor: str | None = None


class TokenMessage(NamedTuple):
    """A new token for this line."""

    token: str


class LeaveMessage(NamedTuple):
    """Gone from this room at once."""


ClientMessage = StatusMessage | DataMessage | WatchMessage | TokenMessage | LeaveMessage


def encode_snapshot(cursor: str, heartbeat: float, here: Mapping[str, Person]) -> str:
    """Everyone who is here; `about` of those of whom something is known."""
    head = {"type": "snapshot", "cursor": cursor, "heartbeat": heartbeat}
    about = {user: person.about for user, person in here.items() if person.about}
    return _encode_with_people(head, here.items(), about)


def encode_changes(cursor: str, changes: Sequence[tuple[str, Person]], since: int) -> str:
    """The newest states; `about` of those of whom it changed after the version `since`, and of
    those who are offline all that still holds."""
    head = {"type": "changes", "cursor": cursor}
    about = {user: person.about for user, person in changes if _tells_about(person, since)}
    return _encode_with_people(head, changes, about)


def _tells_about(person: Person, since: int) -> bool:
    if person.status in _HERE:
        return person.about_version > since
    # Of somebody of whom nothing else is told it may be that there is nothing any more.
    return bool(person.about) or not person.since


def encode_choice(choice: Choice | None) -> str:
    """What a user has chosen, to themself; without a status their lines say how they are."""
    fields: dict[str, Any] = {"type": "choice"}
    if choice is not None and choice.status:
        fields["status"] = choice.status
    if choice is not None:
        fields |= words_of(choice.text, choice.until)
    return _encode(fields)


def encode_alive(cursor: str) -> str:
    return _encode({"type": "alive", "cursor": cursor})


def encode_degraded(value: bool) -> str:
    return _encode({"type": "degraded", "value": value})


def encode_own(usernames: Iterable[str]) -> str:
    return _encode({"type": "own", "usernames": list(usernames)})


def encode_count(counts: Mapping[str, int]) -> str:
    """How many are here, by status."""
    return _encode({"type": "count", **{status: counts.get(status, 0) for status in _HERE}})


def encode_expiring(seconds: int) -> str:
    """How long a token still holds."""
    return _encode({"type": "expiring", "in": seconds})


def encode_bye(reason: str, retry_after: float | None) -> str:
    bye: dict[str, Any] = {"type": "bye", "reason": reason}
    if retry_after is not None:
        bye["retry_after"] = round(retry_after, 1)
    return _encode(bye)


def encode_tutorial(username: str, is_logged_in: bool) -> str:
    """One message of the tutorial's own format, to the letter."""
    return json.dumps({"username": username, "is_logged_in": is_logged_in})


def parse_client_message(text: str, now: int) -> ClientMessage | None:
    """Read what a client sent, at the Unix second `now`.

    None if it is of a type or a status not known here, or lacks what its type needs.
    """
    message = parse_object(text)
    kind = _text_field(message, "type")
    return None if kind is None else parse_client_fields(kind, message, now)


def parse_client_fields(kind: str, fields: Mapping[str, Any], now: int) -> ClientMessage | None:
    """The same of a message whose type stands elsewhere."""
    parse = _PARSERS.get(kind)
    return None if parse is None else parse(fields, now)


def _parse_status(message: Mapping[str, Any], now: int) -> StatusMessage | None:
    status, scope = _text_field(message, "status"), _text_field(message, "scope")
    text, until = _text_field(message, "text"), _until(message, now)
    if text is not None and (len(text) > LONGEST_TEXT or not _is_plain(text)):
        raise MessageError(f"text is longer than {LONGEST_TEXT} characters, or has control ones")
    if scope is None and status in _SAID:
        return StatusMessage(_SAID[status], False)
    if scope == "user" and status in _CHOSEN:
        return StatusMessage(_CHOSEN[status], True, text, until)
    return None


def _until(message: Mapping[str, Any], now: int) -> int | None:
    until = message.get("until")
    if until is None:
        return None
    # What no other node could read, and no database keep, would hold up all that goes with it.
    if type(until) is not int or not 0 <= until <= now + LONGEST_CHOICE:
        raise MessageError("until is no second within the next 30 days")
    return until


def check_data(data: Any) -> dict[str, Any]:
    """Raises MessageError for what cannot be shown of a user in a room."""
    if not isinstance(data, dict) or _size(data) > MOST_DATA:
        raise MessageError(f"data is no object of at most {MOST_DATA} bytes")
    return data


def _parse_data(message: Mapping[str, Any], now: int) -> DataMessage | None:
    return DataMessage(check_data(message["data"])) if "data" in message else None


def _parse_watch(message: Mapping[str, Any], now: int) -> WatchMessage | None:
    if "users" not in message:
        return None
    users, cursor = message["users"], _text_field(message, "cursor")
    if users is None:
        return WatchMessage(None, cursor)
    if not isinstance(users, list) or not all(isinstance(user, str) for user in users):
        raise MessageError("users is no list of texts")
    watched = frozenset(users)
    if len(watched) > MOST_WATCHED:
        raise MessageError(f"more than {MOST_WATCHED} users")
    return WatchMessage(watched, cursor)


def _parse_token(message: Mapping[str, Any], now: int) -> TokenMessage | None:
    token = _text_field(message, "token")
    return None if token is None else TokenMessage(token)


def _parse_leave(message: Mapping[str, Any], now: int) -> LeaveMessage:
    return LeaveMessage()


_PARSERS: dict[str, Callable[[Mapping[str, Any], int], ClientMessage | None]] = {
    "status": _parse_status,
    "data": _parse_data,
    "watch": _parse_watch,
    "token": _parse_token,
    "leave": _parse_leave,
}


def _is_plain(text: str) -> bool:
    # Neither control characters nor halves of a character, which no encoding can carry.
    return not any(unicodedata.category(character) in ("Cc", "Cs") for character in text)


def _size(data: Mapping[str, Any]) -> int:
    """Bytes of an object as JSON."""
    try:
        return len(json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode())
    except (RecursionError, UnicodeEncodeError) as error:
        raise MessageError("cannot be written down") from error


def parse_object(text: str) -> dict[str, Any]:
    """Read one JSON object, refusing what only Python's reader would let through."""
    try:
        message = json.loads(
            text,
            parse_float=_finite,
            parse_constant=_refuse_constant,
            object_pairs_hook=_refuse_repeats,
        )
    except (ValueError, RecursionError) as error:
        raise MessageError("not JSON") from error
    if not isinstance(message, dict):
        raise MessageError("not a JSON object")
    return message


def _text_field(message: Mapping[str, Any], name: str) -> str | None:
    value = message.get(name)
    if value is not None and not isinstance(value, str):
        raise MessageError(f"{name} is not a text")
    return value


def _finite(text: str) -> float:
    # Python would read 1e999, and then write Infinity, which nobody else can read.
    number = float(text)
    if not math.isfinite(number):
        raise MessageError(f"{text[:20]} is too large")
    return number


def _refuse_constant(constant: str) -> None:
    raise MessageError(f"{constant} is not JSON")


def _refuse_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise MessageError("a field is repeated")
    return fields


def _encode_with_people(
    head: Mapping[str, Any],
    people: Collection[tuple[str, Person]],
    about: Mapping[str, Mapping[str, Any]],
) -> str:
    fields = [_encode(head)[1:-1]]
    for status, members in _by_status(people).items():
        fields.append('"%s":{%s}' % (status, ",".join(_encode_members(members))))
    if began := _began(people):
        fields.append('"here":{%s}' % ",".join(_encode_members(began)))
    if about:
        known = {user: dict(fields) for user, fields in about.items()}
        fields.append('"about":{%s}' % ",".join(_encode_members(known)))
    return "{%s}" % ",".join(fields)


def _began(people: Iterable[tuple[str, Person]]) -> dict[str, int]:
    """When those came who are here for longer than how they are."""
    return {
        user: person.here
        for user, person in people
        if 0 < person.here < person.since and person.status in _HERE
    }


def _encode_members(members: Mapping[str, Any]) -> Iterator[str]:
    entries = iter(members.items())
    while chunk := dict(islice(entries, _AT_ONCE)):
        yield _encode(chunk)[1:-1]


def _by_status(people: Iterable[tuple[str, Person]]) -> dict[str, dict[str, int]]:
    fields: dict[str, dict[str, int]] = {}
    for username, person in people:
        if person.since:
            since = 0 if person.hides_since else person.since
            fields.setdefault(person.status, {})[username] = since
    return fields


_encode: Callable[[Any], str] = json.JSONEncoder(separators=(",", ":")).encode
