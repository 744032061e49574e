"""`/api/v1/rooms/{room}`: who is there, asked once, as a stream of events or over a socket; and
what its users say who have no socket to write to."""

import time
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from presence_server.apps.register import App
from presence_server.apps.saying import Said, read_said
from presence_server.apps.tokens import Token
from presence_server.keys import ROOMS, WITHOUT_SOCKET
from presence_server.presence.objects import MessageError
from presence_server.presence.states import Person
from presence_server.web.bearers import identify, identify_user, wants_events
from presence_server.web.bodies import read_json
from presence_server.web.problems import Problem
from presence_server.web.queries import bad_request, one, room_in_path, switch, whole
from presence_server.web.room_lines import open_events, open_socket, permission_in
from presence_server.web.upgrade import asks_for_upgrade

USUAL = 200
MOST = 1_000
_LONGEST_LEFT = 999_999_999  # seconds: all that is remembered


async def read_room(request: web.Request) -> web.StreamResponse:
    if asks_for_upgrade(request):
        return await open_socket(request)
    if wants_events(request):
        return await open_events(request)
    return _answer(request)


async def say(request: web.Request) -> web.Response:
    """POST …/me: what a line would say."""
    token = identify_user(request)
    room = room_in_path(request)
    body = await read_json(request)
    permission = permission_in(request, token, room)
    if not permission.is_seen:
        raise Problem(403, "not_allowed", "The token does not let its user be seen in this room.")
    try:
        said = read_said(body, int(time.time()))
    except MessageError as error:
        raise bad_request(f"The body is not valid: {error}.") from None
    if not token.may_be_invisible and _would_hide(request, token, said):
        raise Problem(403, "not_allowed", "The token does not let its user be invisible.")
    if not request.app[WITHOUT_SOCKET].say(token, room, said):
        raise Problem(503, "busy", "The server that has the user's line cannot be reached.", 1)
    return web.Response(status=204)


def _would_hide(request: web.Request, token: Token, said: Said) -> bool:
    """Whether a user would be invisible by it; by words alone they stay so."""
    if said.choice is not None and said.keeps_status:
        return request.app[ROOMS].is_invisible(token.app, token.user)
    return said.choice is not None and said.choice.status == "invisible"


def _answer(request: web.Request) -> web.Response:
    asking = identify(request)
    name = room_in_path(request)
    if isinstance(asking, App):
        app = asking.id
    else:
        app = asking.app
        if not permission_in(request, asking, name).sees:
            raise Problem(403, "not_allowed", "The token does not let its user see this room.")
    limit = whole(request, "limit", 1, MOST) or USUAL
    after, left = one(request, "after"), whole(request, "left", 0, _LONGEST_LEFT)
    rooms = request.app[ROOMS]
    room = rooms.get(app, name)
    here = room.roster.here
    answer: dict[str, Any] = {
        "room": name,
        "cursor": rooms.cursor(room),
        "count": len(here),
        "degraded": rooms.degraded,
    }
    if not switch(request, "count", "1"):
        # One more than asked for tells whether there are more.
        ids = room.ordered.page(limit + 1, after=after)
        answer["users"] = {user: _person(here[user]) for user in ids[:limit]}
        answer["next"] = ids[limit - 1] if len(ids) > limit else None
    if left is not None:
        answer["left"] = room.roster.left_since(int(time.time()) - left)
    return web.json_response(answer)


def _person(person: Person) -> Mapping[str, Any]:
    return {"status": person.status, "since": person.since, **person.about}
