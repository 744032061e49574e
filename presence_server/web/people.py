"""The list of users: its first screen, the next ones, and what a search finds."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from aiohttp import web

from presence_server.accounts import users
from presence_server.accounts.names import is_found
from presence_server.keys import DATABASE, IDENTITY, PRESENCE
from presence_server.presence.records import OWN
from presence_server.presence.states import Status
from presence_server.web.directory import (
    AWAY,
    ONLINE,
    Row,
    count_here,
    everybody,
    is_search,
    is_username_part,
    people_here,
    person_here,
)
from presence_server.web.onward import log_in_first, page_named
from presence_server.web.rendering import render
from presence_server.web.sign_up import sign_up_open, site_address

SCREEN = 80  # rows
# With so many here at most a page is told of everybody; with more, of those whom it shows.
EVERYBODY = 3_000


async def list_users(request: web.Request) -> web.Response:
    identity = request.get(IDENTITY)
    if identity is None:
        raise log_in_first(page_named(f"/?{request.query_string}"))
    # Whoever opens the list is here, and sees so, before the page's socket is open.
    request.app[PRESENCE].claim(OWN, identity.who)
    search = request.query.get("q", "").strip()
    here_only = request.query.get("here") == "1"
    total = await users.count(request.app[DATABASE])
    groups, next_url = await _screen(request, search, here_only, total)
    context = {
        "groups": groups,
        "here_count": len(request.app[PRESENCE].here),
        "total": total,
        "everybody": EVERYBODY,
        "me": identity.user,
        "q": search,
        "here_only": here_only,
        "next": next_url,
        "address": site_address(request) if sign_up_open(request) else None,
    }
    return await render(request, "users.html", context)


@dataclass(frozen=True, slots=True)
class Group:
    """A part of the list; `count` is how many belong to it, as far as that is known."""

    key: str
    title: str
    people: Sequence[Row] = ()
    count: int | None = None


async def _screen(
    request: web.Request, search: str, here_only: bool, total: int
) -> tuple[list[Group], str | None]:
    """What fits on one screen, and the address of the next one."""
    after = request.query.get("after")
    if not is_search(search) or not is_username_part(after or ""):
        return _grouped((), (), (), ()), None
    if after is None:
        return await _first_screen(request, search, here_only, total)
    # One more than fits tells whether there are more.
    if here_only:
        rows = await people_here(request.app, after=after, search=search, limit=SCREEN + 1)
    else:
        rows = await everybody(request.app, after=after, search=search, limit=SCREEN + 1)
    more = len(rows) > SCREEN
    next_url = _next_url(search, here_only, rows[SCREEN - 1].username) if more else None
    # In the order of names, whatever their status.
    return [*_grouped((), (), (), ()), Group("all", "People", rows[:SCREEN])], next_url


async def _first_screen(
    request: web.Request, search: str, here_only: bool, total: int
) -> tuple[list[Group], str | None]:
    """Who is online, who is away, then as many of the others as fit."""
    app = request.app
    online = await _here(request, search, ONLINE)
    away = (await _here(request, search, AWAY))[: SCREEN - len(online)]
    counts = [await count_here(app, search, statuses) for statuses in (ONLINE, AWAY)]
    if here_only:
        more = sum(counts) > len(online) + len(away)
        return _grouped(online, away, [], counts), _next_url(search, True, "") if more else None
    others, after = await _others(app, search, SCREEN - len(online) - len(away))
    if not search:
        counts.append(total - sum(counts))
    elif after is None:
        counts.append(len(others))
    next_url = None if after is None else _next_url(search, False, after)
    return _grouped(online, away, others, counts), next_url


async def _here(request: web.Request, search: str, statuses: Collection[Status]) -> list[Row]:
    """Oneself first."""
    app, me = request.app, request[IDENTITY].user
    rows = await people_here(app, after=None, search=search, limit=SCREEN, statuses=statuses)
    myself = [
        row
        for row in person_here(app, me)
        if row.status in statuses and is_found(me, row.name or "", search)
    ]
    return [*myself, *(row for row in rows if row.username != me)][:SCREEN]


async def _others(app: web.Application, search: str, room: int) -> tuple[list[Row], str | None]:
    """The first who are not here, and the name that was read last if there may be more."""
    rows: list[Row] = []
    after = ""
    while True:
        found = await everybody(app, after=after, search=search, limit=SCREEN)
        for row in found:
            if len(rows) == room:
                return rows, after
            after = row.username
            if row.status == "offline":
                rows.append(row)
        if len(found) < SCREEN:
            return rows, None


def _grouped(
    online: Sequence[Row], away: Sequence[Row], others: Sequence[Row], counts: Sequence[int]
) -> list[Group]:
    online_count, away_count, others_count = [*counts, None, None, None][:3]
    return [
        # Which these are the browser knows.
        Group("favourites", "Favourites"),
        Group("online", "Online", online, online_count),
        Group("away", "Away", away, away_count),
        Group("offline", "Offline", others, others_count),
    ]


def _next_url(search: str, here_only: bool, after: str) -> str:
    asked = {"q": search, "here": "1" if here_only else ""}
    query = {name: value for name, value in asked.items() if value}
    # An empty `after` counts too: it begins the list in the order of names.
    return "/?" + urlencode({**query, "after": after})
