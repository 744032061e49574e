"""The list of users for programs."""

from aiohttp import web

from presence_server.keys import IDENTITY
from presence_server.web.directory import everybody, is_search, is_username_part, people_here
from presence_server.web.middlewares import BadValue

_MOST = 200
_USUAL = 50


async def list_users(request: web.Request) -> web.Response:
    if IDENTITY not in request:
        raise web.HTTPUnauthorized()
    after, search = _after(request), _search(request)
    limit = _limit(request)
    # One more than asked for tells whether there are more.
    if _here_only(request):
        rows = await people_here(request.app, after=after, search=search, limit=limit + 1)
    else:
        rows = await everybody(request.app, after=after, search=search, limit=limit + 1)
    more = len(rows) > limit
    return web.json_response(
        {
            "users": [row._asdict() for row in rows[:limit]],
            "next": rows[limit - 1].username if more else None,
        }
    )


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
