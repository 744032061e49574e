"""What the backend of an app asks and does, with its key."""

import re
import time
from typing import Any

from aiohttp import web

from presence_server import endings
from presence_server.apps.tokens import info_problem, user_problem
from presence_server.endings import Ending, Reason
from presence_server.keys import APPS, CONFIG, DATABASE, ENDINGS, ENDINGS_READER, ROOMS
from presence_server.presence.client_messages import check_data
from presence_server.presence.names import key_of
from presence_server.presence.objects import MessageError
from presence_server.presence.states import PRECEDENCE
from presence_server.presence.visits import Visit
from presence_server.storage.database import DatabaseUnavailable
from presence_server.visits import written
from presence_server.visits.written import Asked
from presence_server.web.bearers import identify_backend
from presence_server.web.bodies import read_json
from presence_server.web.problems import Problem
from presence_server.web.queries import (
    bad_request,
    one,
    room_in_path,
    second,
    user_in_path,
    user_in_query,
    whole,
)
from presence_server.web.room_lines import check_space
from presence_server.web.rooms import MOST, USUAL
from presence_server.web.turnstile import TURNSTILE

_MOST_ASKED = 1_000
_SHORTEST_TTL, _LONGEST_TTL = 10, 3_600  # seconds


async def list_rooms(request: web.Request) -> web.Response:
    app = identify_backend(request)
    prefix, after = one(request, "prefix") or "", one(request, "after")
    limit = whole(request, "limit", 1, MOST) or USUAL
    counts = request.app[ROOMS].counts(app.id, limit, prefix, after)
    return web.json_response([{"room": name, "count": count} for name, count in counts.items()])


async def list_visits(request: web.Request) -> web.Response:
    """Who was in a room, from when until when."""
    app = identify_backend(request)
    room, limit = room_in_path(request), whole(request, "limit", 1, MOST) or USUAL
    if not app.settings.visits:
        raise Problem(404, "no_visits", "This app keeps no visits: app set NAME --visits DAYS.")
    asked = Asked(
        key_of(app.id, room),
        second(request, "from"),
        second(request, "to"),
        user_in_query(request),
        _after(request),
    )
    try:
        found = await written.find(request.app[DATABASE], asked, limit + 1)
    except DatabaseUnavailable as error:
        raise Problem(503, "busy", "Visits cannot be read just now.", 1) from error
    await request.app[TURNSTILE].go_on()
    last = found[limit - 1] if len(found) > limit else None
    return web.json_response(
        {
            "visits": [_shown(kept.visit) for kept in found[:limit]],
            "next": None if last is None else f"{last.visit.came}.{last.number}",
        }
    )


def _after(request: web.Request) -> tuple[int, int] | None:
    text = one(request, "after")
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]{1,15})\.([0-9]{1,15})", text)
    if found is None:
        raise bad_request("after must be the next of an earlier answer.")
    return int(found[1]), int(found[2])


def _shown(visit: Visit) -> dict[str, Any]:
    return {"user": visit.user, "came": visit.came, "left": visit.left}


async def read_user(request: web.Request) -> web.Response:
    app = identify_backend(request)
    user = user_in_path(request)
    return web.json_response(request.app[ROOMS].whereabouts(app.id, [user])[user])


async def query_users(request: web.Request) -> web.Response:
    app = identify_backend(request)
    users = (await read_json(request)).get("users")
    if not isinstance(users, list) or len(users) > _MOST_ASKED:
        raise bad_request(f"users must be a list of at most {_MOST_ASKED}.")
    for user in users:
        if problem := user_problem(user):
            raise bad_request(f"users names {problem}.")
    return web.json_response({"users": request.app[ROOMS].whereabouts(app.id, users)})


async def revoke(request: web.Request) -> web.Response:
    """DELETE of a user, from one room or from all."""
    app = identify_backend(request)
    room = room_in_path(request) if "room" in request.match_info else None
    user, now = user_in_path(request), int(time.time())
    ending = Ending(
        reason=Reason.REVOKED,
        app=app.id,
        room=room,
        username=user,
        issued_before=now,
        ended_at=now,
    )
    await request.app[ENDINGS].write(lambda transaction: endings.record(transaction, [ending]))
    # What is asked of this node from now on is so, whenever it reads what it wrote.
    request.app[APPS].revoke(ending)
    return web.Response(status=204)


async def place(request: web.Request) -> web.Response:
    """PUT of a user who has no line."""
    app = identify_backend(request)
    room, user = room_in_path(request), user_in_path(request)
    body = await read_json(request)
    status, ttl = body.get("status", "online"), body.get("ttl")
    if status not in PRECEDENCE:
        raise bad_request("status must be online, busy or away.")
    if type(ttl) is not int or not _SHORTEST_TTL <= ttl <= _LONGEST_TTL:
        raise bad_request(f"ttl must be a whole number from {_SHORTEST_TTL} to {_LONGEST_TTL}.")
    about = _about(body)
    # Of two words of a backend the newer holds: whoever was sent away before this is placed anew.
    await request.app[ENDINGS_READER].catch_up()
    # Others are placed while this waits: what is free is known only now.
    check_space(request, app.id, user, room)
    _check_placed(request, app.id, room, user)
    request.app[ROOMS].place(app.id, room, user, status, ttl, about)
    return web.Response(status=204)


def _check_placed(request: web.Request, app: int, room: str, user: str) -> None:
    """Raises Problem when the app has placed as many as it may; of whom it has, it may say more."""
    rooms, most = request.app[ROOMS], request.app[CONFIG].max_people_placed
    if rooms.placed(app) >= most and not rooms.is_placed(app, room, user):
        # One of them may be gone as soon as that.
        raise Problem(429, "too_many", f"The app has placed {most} people.", _SHORTEST_TTL)


def _about(body: dict[str, Any]) -> dict[str, Any]:
    about: dict[str, Any] = {name: body[name] for name in ("info", "data") if name in body}
    if "info" in about and (problem := info_problem(about["info"])):
        raise bad_request(f"The body has {problem}.")
    try:
        if "data" in about:
            check_data(about["data"])
    except MessageError as error:
        raise bad_request(f"The body is not valid: {error}.") from None
    return about
