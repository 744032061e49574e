"""What operators read, on a listener of their own: behind a proxy everybody comes from loopback."""

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from presence_server.apps.permissions import is_room
from presence_server.keys import APPS, METRICS, PRESENCE, ROOMS, SITE
from presence_server.presence.names import LOBBY
from presence_server.web.access_log import printable
from presence_server.web.operations import reasons_not_ready


async def metrics(request: web.Request) -> web.Response:
    site = request.app[SITE]
    return web.Response(
        body=site[METRICS].exposition(), headers={"Content-Type": CONTENT_TYPE_LATEST}
    )


async def readyz(request: web.Request) -> web.Response:
    """Whether this process should get visitors and why not; a node that hears no other stays ready,
    or an outage of Redis would leave a balancer without any."""
    site = request.app[SITE]
    reasons = await reasons_not_ready(site)
    answer = {"ready": not reasons, "reasons": reasons, "degraded": site[PRESENCE].degraded}
    return web.json_response(answer, status=503 if reasons else 200)


async def roster(request: web.Request) -> web.Response:
    """Who is here; with `app`, and `room` or without it the lobby, who is in a room of an app."""
    site = request.app[SITE]
    presence, name = site[PRESENCE], request.query.get("app")
    here = presence.here
    if name is not None:
        app, room = site[APPS].named(name), request.query.get("room", LOBBY)
        if app is None or not is_room(room):
            raise web.HTTPNotFound(text=f"There is no app {printable(name)}, or no such room.\n")
        here = site[ROOMS].get(app.id, room).roster.here
    people = {
        username: {"status": person.status, "since": person.since}
        for username, person in sorted(here.items(), key=lambda item: item[0].lower())
    }
    return web.json_response(
        {
            "node": presence.node.name,
            "other_nodes": sorted(presence.peers),
            "degraded": presence.degraded,
            "sockets": len(presence.hub),
            "people": people,
        }
    )
