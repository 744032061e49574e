"""What goes over the wire to browsers: encoded and parsed.

The formats are described in docs/protocol.md. Everything here is text; framing it is the hub's.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from presence_server.presence.roster import Person, Status

SUBPROTOCOL = "presence.v1"

# json makes a tuple for each entry of an object: very many at once set off the garbage collector.
_AT_ONCE = 500

_STATUSES: dict[str | None, Status] = {"online": "online", "away": "away"}


class MessageError(ValueError):
    """The peer sent what is no message: not JSON, no object, or a field of the wrong type."""


class StatusMessage(NamedTuple):
    """A client says how its user is: for its own connection, or for all of the user's."""

    status: Status
    whole_user: bool


def encode_snapshot(cursor: str, heartbeat: float, here: Mapping[str, Person]) -> str:
    head = {"type": "snapshot", "cursor": cursor, "heartbeat": heartbeat}
    return _encode_with_people(head, here.items())


def encode_changes(cursor: str, changes: Iterable[tuple[str, Person]]) -> str:
    return _encode_with_people({"type": "changes", "cursor": cursor}, changes)


def encode_alive(cursor: str) -> str:
    return _encode({"type": "alive", "cursor": cursor})


def encode_degraded(value: bool) -> str:
    return _encode({"type": "degraded", "value": value})


def encode_own(usernames: Iterable[str]) -> str:
    return _encode({"type": "own", "usernames": list(usernames)})


def encode_bye(reason: str, retry_after: float | None) -> str:
    bye: dict[str, Any] = {"type": "bye", "reason": reason}
    if retry_after is not None:
        bye["retry_after"] = round(retry_after, 1)
    return _encode(bye)


def encode_tutorial(username: str, is_logged_in: bool) -> str:
    """One message of the tutorial's own format, to the letter."""
    return json.dumps({"username": username, "is_logged_in": is_logged_in})


def parse_client_message(text: str) -> StatusMessage | None:
    """Read what a client sent; None if it is of a type or a status not known here."""
    message = parse_object(text)
    kind, status, scope = (_text_field(message, name) for name in ("type", "status", "scope"))
    if kind != "status" or scope not in (None, "user") or status not in _STATUSES:
        return None
    return StatusMessage(_STATUSES[status], scope == "user")


def parse_object(text: str) -> dict[str, Any]:
    """Read one JSON object, refusing what only Python's reader would let through."""
    try:
        message = json.loads(
            text, parse_constant=_refuse_constant, object_pairs_hook=_refuse_repeats
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


def _refuse_constant(constant: str) -> None:
    raise MessageError(f"{constant} is not JSON")


def _refuse_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise MessageError("a field is repeated")
    return fields


def _encode_with_people(head: Mapping[str, Any], people: Iterable[tuple[str, Person]]) -> str:
    fields = [_encode(head)[1:-1]]
    for status, members in _by_status(people).items():
        fields.append('"%s":{%s}' % (status, ",".join(_encode_members(members))))
    return "{%s}" % ",".join(fields)


def _encode_members(members: Mapping[str, int]) -> Iterator[str]:
    entries = iter(members.items())
    while chunk := dict(islice(entries, _AT_ONCE)):
        yield _encode(chunk)[1:-1]


def _by_status(people: Iterable[tuple[str, Person]]) -> dict[str, dict[str, int]]:
    fields: dict[str, dict[str, int]] = {}
    for username, person in people:
        fields.setdefault(person.status, {})[username] = person.since
    return fields


_encode: Callable[[Any], str] = json.JSONEncoder(separators=(",", ":")).encode
