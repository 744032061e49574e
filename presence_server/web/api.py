"""The list of users for programs."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from aiohttp import web

from presence_server.keys import IDENTITY
from presence_server.presence.states import Status
from presence_server.web.directory import (
    AWAY,
    ONLINE,
    Row,
    count_here,
    everybody,
    is_search,
    is_username_part,
    name_here,
    not_here,
    people_here,
    place_here,
)
from presence_server.web.middlewares import BadValue

_MOST = 200
_USUAL = 50
_DIGITS = 9

_HERE: Mapping[str | None, Collection[Status]] = {"online": ONLINE, "away": AWAY}


async def list_users(request: web.Request) -> web.Response:
    if IDENTITY not in request:
        raise web.HTTPUnauthorized()
    asked = _Asked(_after(request), _search(request), _limit(request))
    status, here_only, at = _status(request), _here_only(request), _at(request)
    if at is not None and (status not in _HERE or asked.after is not None):
        raise BadValue("at may go with the status online or away only, and not with after.")
    if status is not None and here_only:
        raise BadValue("here may not go with status.")
    if status in _HERE:
        return await _stretch(request.app, asked, at or 0, _HERE[status])
    if status is not None:
        return _page(*await not_here(request.app, **asked._asdict()))
    # One more than asked for tells whether there are more.
    found = people_here if here_only else everybody
    more = asked._replace(limit=asked.limit + 1)
    return _page(*_cut(await found(request.app, **more._asdict()), asked.limit))


class _Asked(NamedTuple):
    after: str | None
    search: str
    limit: int


def _cut(rows: list[Row], limit: int) -> tuple[list[Row], str | None]:
    return rows[:limit], rows[limit - 1].username if len(rows) > limit else None


def _page(rows: list[Row], behind: str | None, **more: int) -> web.Response:
    users = [row._asdict() for row in rows]
    return web.json_response({"users": users, "next": behind, **more})


async def _stretch(
    app: web.Application, asked: _Asked, at: int, statuses: Collection[Status]
) -> web.Response:
    """A page from anywhere in the order of names; where that is, and how many there are."""
    after, search, limit = asked
    count = await count_here(app, search, statuses)
    start = max(0, min(at, count - limit))
    if start:
        after = await name_here(app, start - 1, search, statuses)
    rows = await people_here(
        app, after=after, search=search, limit=limit + 1, statuses=statuses
    )
    place = await place_here(app, rows[0].username, search, statuses) if rows else count
    return _page(*_cut(rows, limit), at=place, count=count)


def _one(request: web.Request, name: str) -> str | None:
    values = request.query.getall(name, [])
    if len(values) > 1:
        raise BadValue(f"{name} may stand there only once.")
    return values[0] if values else None


def _after(request: web.Request) -> str | None:
    value = _one(request, "after")
    if value is not None and not is_username_part(value):
        raise BadValue(
            "after must be the beginning of a username: "
            "at most 32 letters, digits, dots, dashes and underscores."
        )
    return value


def _search(request: web.Request) -> str:
    value = (_one(request, "q") or "").strip()
    if not is_search(value):
        raise BadValue(
            "q must be the beginning of a username or of a word of a name: "
            "at most 64 characters that can be seen."
        )
    return value


def _limit(request: web.Request) -> int:
    value = _one(request, "limit")
    if value is None:
        return _USUAL
    if not (value.isascii() and value.isdigit() and len(value) <= 3 and 1 <= int(value) <= _MOST):
        raise BadValue(f"limit must be a whole number from 1 to {_MOST}.")
    return int(value)


def _here_only(request: web.Request) -> bool:
    value = _one(request, "here")
    if value not in (None, "1"):
        raise BadValue("here must be 1, or not there at all.")
    return value == "1"


def _status(request: web.Request) -> str | None:
    value = _one(request, "status")
    if value not in (None, "offline", *_HERE):
        raise BadValue("status must be online, away or offline.")
    return value


def _at(request: web.Request) -> int | None:
    value = _one(request, "at")
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) <= _DIGITS):
        raise BadValue("at must be a whole number.")
    return int(value)
