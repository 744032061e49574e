"""What clients say: the kinds of their messages, and how each is read."""

import json
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from presence_server.presence.objects import MessageError, parse_object

# What a client may say: bytes of data, characters of a text, users to watch, and how far ahead
# the end of a choice may be, in seconds.
MOST_DATA = 512
LONGEST_TEXT = 100
MOST_WATCHED = 500
LONGEST_CHOICE = 30 * 24 * 3600


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


def parse_client_message(text: str, now: int) -> ClientMessage | None:
    """Read what a client sent, at the Unix second `now`.

    None if it is of a type or a status not known here, or lacks what its type needs.
    """
    message = parse_object(text)
    return parse_client_fields(_text_field(message, "type"), message, now)


def parse_client_fields(
    kind: str | None, fields: Mapping[str, Any], now: int
) -> ClientMessage | None:
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


_PARSERS: dict[str | None, Callable[[Mapping[str, Any], int], ClientMessage | None]] = {
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


def _text_field(message: Mapping[str, Any], name: str) -> str | None:
    value = message.get(name)
    if value is not None and not isinstance(value, str):
        raise MessageError(f"{name} is not a text")
    return value
