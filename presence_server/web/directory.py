"""Pages of people, out of any number of accounts and of people who are here."""

import heapq
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from aiohttp import web

from presence_server.accounts import users
from presence_server.keys import DATABASE, PRESENCE
from presence_server.presence.roster import Person

_NAME_PART = re.compile(r"[A-Za-z0-9_.-]{0,32}")


@dataclass(frozen=True, slots=True)
class Row:
    username: str
    status: str
    since: int | None


def is_name_part(text: str) -> bool:
    """Whether some user's name could begin like this."""
    return _NAME_PART.fullmatch(text) is not None


async def everybody(
    app: web.Application, *, after: str | None, prefix: str, limit: int
) -> list[Row]:
    found = await users.page(app[DATABASE], after, prefix, limit)
    presence = app[PRESENCE]
    return [
        _row(name, presence.status_of(name), presence.left(name) or last_seen)
        for name, last_seen in found
    ]


def people_here(
    app: web.Application, *, after: str | None, prefix: str, limit: int
) -> list[Row]:
    here = app[PRESENCE].here
    names = heapq.nsmallest(limit, _matching(here, after, prefix), key=str.lower)
    return [_row(name, here[name], None) for name in names]


def person_here(app: web.Application, username: str) -> list[Row]:
    person = app[PRESENCE].status_of(username)
    return [] if person is None else [_row(username, person, None)]


def _matching(here: Mapping[str, Person], after: str | None, prefix: str) -> Iterator[str]:
    prefix = prefix.lower()
    after = (after or "").lower()
    return (name for name in here if name.lower().startswith(prefix) and name.lower() > after)


def _row(username: str, person: Person | None, last_seen: int | None) -> Row:
    if person is None:
        # A clock was wrong, and nobody knows when it really was.
        to_come = last_seen is not None and last_seen > time.time() + users.CLOCKS_DIFFER
        return Row(username, "offline", None if to_come else last_seen)
    return Row(username, person.status, person.since)
