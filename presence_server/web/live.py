"""The live socket: what is checked before the upgrade, and what a client may send after it."""

import asyncio
import time
from collections.abc import Callable
from typing import cast

import aiohttp_session
from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from presence_server.collector import untie
from presence_server.identity import Identity
from presence_server.keys import IDENTITY, METRICS, PRESENCE, SEATS
from presence_server.live.dialects import PRESENCE_V1, TUTORIAL, Dialect
from presence_server.live.farewells import BINARY, NO_MESSAGE, SESSION_ENDED, TOO_MUCH
from presence_server.live.observer import Observer
from presence_server.live.service import PresenceService
from presence_server.live.wire import WebSocketWire
from presence_server.presence.messages import (
    SUBPROTOCOL,
    MessageError,
    StatusMessage,
    WatchMessage,
    parse_client_message,
)
from presence_server.presence.roster import Status
from presence_server.web.arrivals import Arrivals
from presence_server.web.hosts import has_our_origin
from presence_server.web.proxies import client_address
from presence_server.web.runner import Connection
from presence_server.web.upgrade import asks_for_upgrade, check_upgrade

# aiohttp refuses a message of this size by itself.
_TOO_BIG = 16 * 1024 + 1
# So many messages in so many seconds are more than a page has reason to send.
_MOST_MESSAGES = 20
_PER_SECONDS = 10.0
# The same for pings and pongs.
_MOST_CONTROL_FRAMES = 100
# Seconds that a peer has to answer a close.
_CLOSING = 1.0
_RETRY_SEAT = "10"

# How a connection may begin that is not simply online.
_STATUSES: dict[str | None, Status] = {"away": "away", "busy": "busy"}


async def live(request: web.Request) -> web.StreamResponse:
    """The socket of a logged-in user, from its upgrade until it is gone."""
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
        refusal = web.HTTPServiceUnavailable if limit == "process" else web.HTTPTooManyRequests
        raise refusal(headers={"Retry-After": _RETRY_SEAT})
    seats.take(identity.user, address)
    try:
        return await _serve(request, identity)
    finally:
        seats.give_back(identity.user, address)


async def _serve(request: web.Request, identity: Identity) -> web.WebSocketResponse:
    ws = _response()
    await ws.prepare(request)
    # Neither is needed again, and both would take memory for as long as the socket is open.
    ws.headers.clear()
    request.pop(aiohttp_session.SESSION_KEY)
    transport = cast(asyncio.Transport, request.transport)
    presence = request.app[PRESENCE]
    wire = WebSocketWire(transport, presence.hub.heartbeat.turn)
    dialect: Dialect = TUTORIAL if ws.ws_protocol is None else PRESENCE_V1
    begins_with_nobody = dialect.resumes and request.query.get("watch") == "some"
    observer = Observer(
        session=identity.session,
        user=identity.user,
        room=presence.room,
        dialect=dialect,
        wire=wire,
        view=frozenset() if begins_with_nobody else None,
    )

    def cut_flood() -> None:
        if not ws.closed:
            presence.hub.dismiss(observer, TOO_MUCH)

    _count_arrivals(request, cut_flood)
    status = _STATUSES.get(request.query.get("status"))
    if not presence.connect(observer, identity.who, request.query.get("cursor"), status):
        presence.hub.dismiss(observer, SESSION_ENDED)
    try:
        await _read(ws, wire, observer, presence)
    finally:
        dismissed = observer.dismissed
        presence.disconnect(observer)
        if dismissed:
            # Or aiohttp would send another close frame.
            transport.close()
        elif ws.close_code == WSCloseCode.ABNORMAL_CLOSURE:
            # aiohttp would wait until all that is on its way has gone out.
            transport.abort()
        untie(ws.exception())
    return ws


def _count_arrivals(request: web.Request, flooded: Callable[[], None]) -> None:
    """Frames of no meaning are nowhere seen but on the line."""
    loop = asyncio.get_running_loop()
    arrivals = Arrivals(loop.time())

    def taken(size: int) -> int:
        parsed = arrivals.take(size, loop.time())
        if parsed < size:
            # A turn later: what is parsed may end the socket for a better reason.
            loop.call_soon(loop.call_soon, flooded)
        return parsed

    cast(Connection, request.protocol).on_frames = taken


def _response() -> web.WebSocketResponse:
    # Without a heartbeat: the hub keeps lines alive.
    return web.WebSocketResponse(
        # A context for deflate takes 100 KiB a connection, for messages of some ten bytes.
        compress=False,
        max_msg_size=_TOO_BIG,
        protocols=(SUBPROTOCOL,),
        timeout=_CLOSING,
        # Each ping costs a pong: they are counted first.
        autoping=False,
        # A close of ours is answered by the peer, and needs no further answer.
        autoclose=False,
    )


async def _read(
    ws: web.WebSocketResponse, wire: WebSocketWire, observer: Observer, presence: PresenceService
) -> None:
    began, messages, control_frames = 0.0, 0, 0
    # Goes on after a dismissal until the close is through: only reading brings the peer's answer.
    async for message in ws:
        if observer.dismissed:
            continue
        now = time.monotonic()
        if now - began > _PER_SECONDS:
            began, messages, control_frames = now, 0, 0
        if message.type is WSMsgType.PING or message.type is WSMsgType.PONG:
            control_frames += 1
        else:
            messages += 1
        if messages > _MOST_MESSAGES or control_frames > _MOST_CONTROL_FRAMES:
            presence.hub.dismiss(observer, TOO_MUCH)
        elif message.type is WSMsgType.PING:
            await ws.pong(message.data)
        elif message.type is WSMsgType.PONG:
            wire.pong(message.data)
        else:
            _take(message, observer, presence)


def _take(message: WSMessage, observer: Observer, presence: PresenceService) -> None:
    if message.type is WSMsgType.BINARY:
        presence.hub.dismiss(observer, BINARY)
    elif message.type is WSMsgType.TEXT:
        try:
            said = parse_client_message(message.data, int(time.time()))
        except MessageError:
            presence.hub.dismiss(observer, NO_MESSAGE)
            return
        if isinstance(said, StatusMessage):
            presence.hear(observer, said)
        elif isinstance(said, WatchMessage):
            presence.hub.watch(observer, said.users, said.cursor)
