"""The live socket: what is checked before the upgrade, and what a client may send after it."""

from functools import partial

from aiohttp import web

from presence_server.identity import Identity
from presence_server.keys import CONFIG, IDENTITY, METRICS, PRESENCE, SEATS
from presence_server.live.dialects import BY_SUBPROTOCOL
from presence_server.live.farewells import SESSION_ENDED
from presence_server.live.observer import Observer
from presence_server.live.seats import RETRY_SEAT
from presence_server.live.wire import Wire
from presence_server.presence.client_messages import (
    ClientMessage,
    DataMessage,
    LeaveMessage,
    StatusMessage,
    WatchMessage,
)
from presence_server.presence.states import Status
from presence_server.web.hosts import has_our_origin
from presence_server.web.proxies import client_address
from presence_server.web.sockets import end_socket, open_web_socket, read_messages
from presence_server.web.upgrade import asks_for_upgrade, check_upgrade

# How a connection may say that it begins.
_STATUSES: dict[str | None, Status] = {"online": "online", "away": "away", "busy": "busy"}


async def live(request: web.Request) -> web.StreamResponse:
    """The socket of a logged-in user, from its upgrade until it is gone."""
    # One coroutine for all of it: each would stay for as long as the socket does.
    identity, address = _admit(request)
    try:
        ws, wire = await open_web_socket(request)
        presence = request.app[PRESENCE]
        observer = _observer(request, identity, ws, wire)
        status = _STATUSES.get(request.query.get("status"))
        if status is None:
            await presence.hear_of(presence.room.key, identity.who)
        if not presence.connect(observer, identity.who, request.query.get("cursor"), status):
            presence.hub.dismiss(observer, SESSION_ENDED)
        try:
            await read_messages(request, ws, wire, observer, partial(_hear, request, observer))
        finally:
            dismissed = observer.dismissed
            presence.disconnect(observer)
            end_socket(request, ws, dismissed=dismissed)
        return ws
    finally:
        request.app[SEATS].give_back(identity.user, address)


def _admit(request: web.Request) -> tuple[Identity, str]:
    """Whose socket it is, and the address for which a seat is taken. Raises a refusal."""
    if not asks_for_upgrade(request):
        # Somebody opened the address in a browser.
        raise web.HTTPSeeOther("/")
    # Browsers always send it with an upgrade; other programs carry no cookies of a browser's.
    if not has_our_origin(request):
        raise web.HTTPForbidden
    if IDENTITY not in request:
        raise web.HTTPUnauthorized
    check_upgrade(request)
    identity, address = request[IDENTITY], client_address(request)
    seats = request.app[SEATS]
    if (limit := seats.refusal(identity.user, address)) is not None:
        request.app[METRICS].refused_sockets.labels(limit).inc()
        if limit == "process":
            presence = request.app[PRESENCE]
            presence.send_away(presence.room.key, identity.who, RETRY_SEAT)
        refusal = web.HTTPServiceUnavailable if limit == "process" else web.HTTPTooManyRequests
        raise refusal(headers={"Retry-After": str(RETRY_SEAT)})
    seats.take(identity.user, address)
    return identity, address


def _observer(
    request: web.Request, identity: Identity, ws: web.WebSocketResponse, wire: Wire
) -> Observer:
    dialect = BY_SUBPROTOCOL[ws.ws_protocol]
    begins_with_nobody = dialect.resumes and request.query.get("watch") == "some"
    return Observer(
        session=identity.session,
        user=identity.user,
        room=request.app[PRESENCE].room,
        dialect=dialect,
        wire=wire,
        view=frozenset() if begins_with_nobody else None,
    )


def _hear(request: web.Request, observer: Observer, said: ClientMessage) -> None:
    presence = request.app[PRESENCE]
    if isinstance(said, StatusMessage):
        allowed = request.app[CONFIG].invisible == "everybody"
        presence.hear(observer, said, may_be_invisible=allowed)
    elif isinstance(said, WatchMessage):
        presence.hub.watch(observer, said.users, said.cursor)
    elif isinstance(said, DataMessage):
        presence.set_data(observer, said.data)
    elif isinstance(said, LeaveMessage):
        presence.leave_by(observer)
