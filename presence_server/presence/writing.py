"""Letters as texts, and what is too much for one cut into several."""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from presence_server.presence.choices import Choice
from presence_server.presence.letters import LONGEST_LETTER, Letter, People, Said

# Behind this many characters nothing more is put into a letter.
_FULL = LONGEST_LETTER * 3 // 4
# Numbers, a status and what stands between them take no more characters than this; nor do the
# numbers of somebody without a line.
_NUMBERS = 64


def encode_letter(letter: Letter) -> str:
    fields = letter._asdict()
    for marks in ("heard", "known"):
        if marks in fields:
            fields[marks] = dict(fields[marks])
    if "people" in fields:
        fields["people"] = _bare(fields["people"])
    return _encode({"kind": type(letter).__name__.lower()} | fields)


def cut(
    states: Iterable[tuple[str, str, Said | int]], choices: Iterable[tuple[int, str, Choice]]
) -> Iterator[People]:
    """People in as many pieces as letters are needed; none if there is nothing."""
    people, size = People({}, {}), 0
    for room, tag, said in states:
        size += _size(room, tag, said)
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


def _size(room: str, tag: str, said: Said | int) -> int:
    """Characters that it takes at most."""
    if isinstance(said, int):
        return len(room) + len(_encode(tag)) + _NUMBERS
    if not said.about:
        numbers = _NUMBERS if _is_plain(said) else 2 * _NUMBERS
        return len(room) + len(_encode(tag)) + len(_encode(said.user)) + numbers
    return len(_encode([room, tag, _bare_said(said)]))


def _is_plain(said: Said) -> bool:
    """Most are here, and have nothing beside their status."""
    return said.resting is None and not said.order and not said.about


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
            app: {user: _bare_choice(choice) for user, choice in choices.items()}
            for app, choices in people.choices.items()
        },
    ]


def _bare_choice(choice: Choice) -> list[Any]:
    *fields, since, is_dated = choice
    return [*fields, since if is_dated else 0]


def _bare_said(said: Said) -> list[Any]:
    fields: list[Any] = list(said[:4])
    came = 0 if said.came == said.since else said.came
    if _is_plain(said):
        return [*fields, came] if came else fields
    resting = None if said.resting is None else round(said.resting, 2)
    return [*fields, came, resting, said.left, said.order, dict(said.about)]


_encode: Callable[[Any], str] = json.JSONEncoder(separators=(",", ":")).encode
