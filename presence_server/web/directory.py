"""Pages of people, out of any number of accounts and of people who are here."""

import heapq
import re
import time
from bisect import bisect_left
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from aiohttp import web

from presence_server.accounts import names, profiles, users
from presence_server.keys import DATABASE, PRESENCE
from presence_server.live.service import PresenceService
from presence_server.presence.choices import words_of
from presence_server.presence.states import PRECEDENCE, Person, Status
from presence_server.presence.timing import CLOCKS_DIFFER
from presence_server.web.turnstile import TURNSTILE

# Whoever is busy is online, too.
ONLINE: tuple[Status, ...] = ("online", "busy")
AWAY: tuple[Status, ...] = ("away",)

# Accounts, for a page of those who are not here.
_LOOKED_AT = 1_000

_USERNAME_PART = re.compile(r"[A-Za-z0-9_.-]{0,32}")


class Row(NamedTuple):
    """Somebody as others see them; `since` is None if nobody knows or nobody is told."""

    username: str
    status: str
    since: int | None
    name: str | None = None
    text: str | None = None
    until: int | None = None


def is_username_part(text: str) -> bool:
    """Whether some user name could begin like this."""
    return _USERNAME_PART.fullmatch(text) is not None


def is_search(text: str) -> bool:
    """Whether some name could begin like this."""
    return not text or names.name_problem(text) is None


async def everybody(
    app: web.Application, *, after: str | None, search: str, limit: int
) -> list[Row]:
    found = await users.page(app[DATABASE], after, search, limit)
    await app[TURNSTILE].go_on()
    presence = app[PRESENCE]
    return [
        _row(presence, name, presence.status_of(name), presence.left(name) or last_seen)
        for name, last_seen in found
    ]


async def people_here(
    app: web.Application,
    *,
    after: str | None,
    search: str,
    limit: int,
    statuses: Collection[Status] = PRECEDENCE,
) -> list[Row]:
    presence, behind = app[PRESENCE], (after or "").lower()
    ordered = presence.room.ordered
    found = ordered.page(limit, after=after, prefix=names.fold(search), statuses=statuses)
    named = await _named_here(app, search, statuses)
    worded = (name for name in named if name.lower() > behind)
    people = heapq.nsmallest(limit, {*found, *worded}, key=str.lower)
    here = presence.here
    return [_row(presence, name, here[name], None) for name in people if name in here]


async def place_here(
    app: web.Application, name: str, search: str, statuses: Collection[Status]
) -> int:
    """How many of those stand before a name."""
    worded = await _only_worded(app, search, statuses)
    ordered = app[PRESENCE].room.ordered
    before = ordered.place(name, names.fold(search), statuses)
    return before + bisect_left(worded, name.lower(), key=str.lower)


async def name_here(
    app: web.Application, index: int, search: str, statuses: Collection[Status]
) -> str | None:
    """The one before whom so many of them stand."""
    worded = await _only_worded(app, search, statuses)
    ordered, beginning = app[PRESENCE].room.ordered, names.fold(search)
    if not worded:
        return ordered.name_at(index, beginning, statuses)

    def place(name: str) -> int:
        before = ordered.place(name, beginning, statuses)
        return before + bisect_left(worded, name.lower(), key=str.lower)

    def name_at(at: int) -> str:
        return ordered.name_at(at, beginning, statuses) or ""

    count = ordered.count(beginning, statuses)
    reach = bisect_left(range(count), index, key=lambda at: place(name_at(at)))
    candidates = [name_at(reach)] if reach < count else []
    reach = bisect_left(worded, index, key=place)
    candidates += worded[reach : reach + 1]
    return min(candidates, key=place, default=None)


async def not_here(
    app: web.Application, *, after: str | None, search: str, limit: int
) -> tuple[list[Row], str | None]:
    """Perhaps fewer than asked for, or none; and behind whom to go on, if there may be more."""
    rows = await everybody(app, after=after, search=search, limit=_LOOKED_AT)
    offline = [row for row in rows if row.status == "offline"]
    if len(offline) > limit:
        return offline[:limit], offline[limit - 1].username
    return offline, rows[-1].username if len(rows) == _LOOKED_AT else None


async def count_here(app: web.Application, search: str, statuses: Collection[Status]) -> int:
    worded = await _only_worded(app, search, statuses)
    return app[PRESENCE].room.ordered.count(names.fold(search), statuses) + len(worded)


async def _only_worded(
    app: web.Application, search: str, statuses: Collection[Status]
) -> list[str]:
    """Those who are found by their name alone, in the order of usernames."""
    named, beginning = await _named_here(app, search, statuses), names.fold(search)
    return sorted(
        (name for name in named if not name.lower().startswith(beginning)), key=str.lower
    )


async def _named_here(
    app: web.Application, search: str, statuses: Collection[Status]
) -> list[str]:
    """Those who are here and have a word in their name that begins like this."""
    if not search:
        return []
    named = await profiles.named(app[DATABASE], search)
    await app[TURNSTILE].go_on()
    here = app[PRESENCE].here
    return [name for name in named if name in here and here[name].status in statuses]


def person_here(app: web.Application, username: str) -> list[Row]:
    person = app[PRESENCE].status_of(username)
    return [] if person is None else [_row(app[PRESENCE], username, person, None)]


def _row(
    presence: PresenceService, username: str, person: Person | None, last_seen: int | None
) -> Row:
    profile = presence.profile_of(username)
    name = profile.name or None
    if person is not None:
        return Row(username, person.status, person.since, name, **_words(person.about))
    # A clock was wrong, and nobody knows when it really was.
    to_come = last_seen is not None and last_seen > time.time() + CLOCKS_DIFFER
    since = None if to_come or profile.hides_last_seen else last_seen
    left_behind = words_of(*presence.left_behind(username))
    return Row(username, "offline", since, name, **_words(left_behind))


def _words(about: Mapping[str, Any]) -> dict[str, Any]:
    return {"text": about.get("text"), "until": about.get("until")}
