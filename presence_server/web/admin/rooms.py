"""Rooms: which are alive, how many are in each, and who."""

import heapq

from aiohttp import web

from presence_server.apps.permissions import is_room
from presence_server.keys import APPS, PRESENCE, ROOMS
from presence_server.presence.names import LOBBY
from presence_server.web.admin.gate import show as show_page

# So many are shown; the counts are of all.
_SHOWN = 200


async def show(request: web.Request) -> web.Response:
    """All rooms, those with most people first; with `app` and `room`, who is in one."""
    query = request.query
    if "room" in query:
        return await _show_room(request, query.get("app", ""), query["room"])
    largest, number = request.app[ROOMS].largest(_SHOWN)
    apps = {known.id: known for known in request.app[APPS].all()}
    context = {
        "section": "rooms",
        "own": len(request.app[PRESENCE].here),
        "rooms": [(apps[app], room, count) for app, room, count in largest if app in apps],
        "more": number - len(largest),
        "degraded": request.app[PRESENCE].degraded,
    }
    return await show_page(request, "admin_rooms.html", context)


async def _show_room(request: web.Request, app_name: str, room: str) -> web.Response:
    app = request.app[APPS].named(app_name)
    if not app_name and not room:
        here = request.app[PRESENCE].here
    elif app is not None and is_room(room):
        here = request.app[ROOMS].get(app.id, room).roster.here
    else:
        raise web.HTTPNotFound
    names = heapq.nsmallest(_SHOWN, here, key=str.lower)
    context = {
        "section": "rooms",
        "app": app,
        "room": room,
        "is_lobby": app is not None and room == LOBBY,
        "people": [(name, here[name]) for name in names],
        "count": len(here),
        "degraded": request.app[PRESENCE].degraded,
    }
    return await show_page(request, "admin_room.html", context)
