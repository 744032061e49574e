"""What observers are told, encoded.

The formats are described in docs/protocol.md. Everything here is text; framing it is the hub's.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from json.encoder import encode_basestring_ascii as _quote
from typing import Any

from presence_server.presence.choices import Choice, words_of
from presence_server.presence.states import Person

SUBPROTOCOL = "presence.v1"

# json makes a tuple for each entry of an object: very many at once set off the garbage collector.
_AT_ONCE = 500

_HERE = ("online", "busy", "away")


def encode_snapshot(cursor: str, heartbeat: float, here: Mapping[str, Person]) -> str:
    """Everyone who is here; `about` of those of whom something is known."""
    # A whole number where it is one: not every language reads 20.0 as that.
    seconds = int(heartbeat) if heartbeat == int(heartbeat) else heartbeat
    head = {"type": "snapshot", "cursor": cursor, "heartbeat": seconds}
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


def _encode_with_people(
    head: Mapping[str, Any],
    people: Iterable[tuple[str, Person]],
    about: Mapping[str, Mapping[str, Any]],
) -> str:
    fields = [_encode(head)[1:-1]]
    statuses, began = _encode_people(people)
    fields += ['"%s":{%s}' % (status, ",".join(members)) for status, members in statuses.items()]
    if began:
        fields.append('"here":{%s}' % ",".join(began))
    if about:
        known = {user: dict(fields) for user, fields in about.items()}
        fields.append('"about":{%s}' % ",".join(_encode_members(known)))
    return "{%s}" % ",".join(fields)


def _encode_people(
    people: Iterable[tuple[str, Person]],
) -> tuple[Mapping[str, Sequence[str]], Sequence[str]]:
    """Since when they are how they are, by status; and when those came who are here for longer."""
    # Called with all who are here whenever somebody comes: they are looked at once.
    statuses: dict[str, list[str]] = {}
    began = []
    for user, person in people:
        since = person.since
        if since:
            member = f"{_quote(user)}:{0 if person.hides_since else since}"
            statuses.setdefault(person.status, []).append(member)
        if 0 < person.here < since and person.status in _HERE:
            began.append(f"{_quote(user)}:{person.here}")
    return statuses, began


def _encode_members(members: Mapping[str, Any]) -> Iterator[str]:
    entries = iter(members.items())
    while chunk := dict(islice(entries, _AT_ONCE)):
        yield _encode(chunk)[1:-1]


_encode: Callable[[Any], str] = json.JSONEncoder(separators=(",", ":")).encode
