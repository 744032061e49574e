"""The live socket: what is checked before the upgrade, and what a client may send after it."""

import asyncio
import time
from collections.abc import Callable
from socket import SO_SNDBUF, SOL_SOCKET
from typing import cast

import aiohttp_session
from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from presence_server.identity import Identity
from presence_server.collector import untie
from presence_server.keys import CONFIG, IDENTITY, METRICS, PRESENCE, SEATS
from presence_server.live.hub import SESSION_ENDED
from presence_server.live.sockets import Socket
from presence_server.live.service import PresenceService
from presence_server.presence.messages import (
    SUBPROTOCOL,
    MessageError,
    parse_client_message,
)
from presence_server.web.hosts import has_our_origin
from presence_server.web.proxies import client_address
from presence_server.web.runner import Connection
from presence_server.web.upgrade import asks_for_upgrade, check_upgrade

# aiohttp refuses a message of this size by itself; the contract allows 4 KiB.
_TOO_BIG = 4097
# So many messages in so many seconds are more than a page has reason to send.
_MOST_MESSAGES = 20
_PER_SECONDS = 10.0
# The same for pings and pongs.
_MOST_CONTROL_FRAMES = 100
_CONTROL = (WSMsgType.PING, WSMsgType.PONG)
# And so many bytes in that time, whatever they mean: all of the above fit in.
_MOST_BYTES = 128 * 1024
# Seconds that a peer has to answer a close.
_CLOSING = 1.0
_RETRY_SEAT = "10"
# Bytes that the kernel keeps for a peer that does not read; by itself it would let it be megabytes.
_SEND_BUFFER = 64 * 1024


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
    ws = _response(request)
    await ws.prepare(request)
    # Neither is needed again, and both would take memory for as long as the socket is open.
    ws.headers.clear()
    request.pop(aiohttp_session.SESSION_KEY)
    transport = cast(asyncio.Transport, request.transport)
    transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_SNDBUF, _SEND_BUFFER)
    socket = Socket(
        session=identity.session,
        username=identity.user,
        tutorial=ws.ws_protocol is None,
        transport=transport,
    )
    presence = request.app[PRESENCE]
    if not presence.connect(socket, request.query.get("cursor")):
        await ws.close(code=SESSION_ENDED)
        return ws

    def cut_flood() -> None:
        if not ws.closed:
            presence.hub.dismiss(socket, WSCloseCode.POLICY_VIOLATION)

    _count_bytes(request, cut_flood)
    try:
        await _read(ws, socket, presence)
    finally:
        presence.disconnect(socket)
        if socket.dismissed:
            # Or aiohttp would send another close frame.
            socket.transport.close()
        elif ws.close_code == WSCloseCode.ABNORMAL_CLOSURE:
            # aiohttp closes a peer that fell silent only after all that waits for it has gone out.
            socket.transport.abort()
        untie(ws.exception())
    return ws


def _count_bytes(request: web.Request, flooded: Callable[[], None]) -> None:
    """Frames of no meaning are nowhere seen but on the line."""
    if not isinstance(request.protocol, Connection):
        return
    loop = asyncio.get_running_loop()
    began, size = loop.time(), 0

    def taken(arrived: int) -> int:
        nonlocal began, size
        if loop.time() - began > _PER_SECONDS:
            began, size = loop.time(), 0
        left = max(0, _MOST_BYTES - size)
        size += arrived
        if size - arrived <= _MOST_BYTES < size:
            # A turn later: what is left may end the socket for a better reason.
            loop.call_soon(loop.call_soon, flooded)
        return left

    request.protocol.on_frames = taken


def _response(request: web.Request) -> web.WebSocketResponse:
    return web.WebSocketResponse(
        heartbeat=request.app[CONFIG].heartbeat,
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


async def _read(ws: web.WebSocketResponse, socket: Socket, presence: PresenceService) -> None:
    began, messages, control_frames = 0.0, 0, 0
    # Goes on after a dismissal until the close is through: only reading brings the peer's answer.
    async for message in ws:
        if socket.dismissed:
            continue
        now = time.monotonic()
        if now - began > _PER_SECONDS:
            began, messages, control_frames = now, 0, 0
        if message.type in _CONTROL:
            control_frames += 1
        else:
            messages += 1
        if messages > _MOST_MESSAGES or control_frames > _MOST_CONTROL_FRAMES:
            presence.hub.dismiss(socket, WSCloseCode.POLICY_VIOLATION)
        elif message.type is WSMsgType.PING:
            await ws.pong(message.data)
        else:
            _take(message, socket, presence)


def _take(message: WSMessage, socket: Socket, presence: PresenceService) -> None:
    if message.type is WSMsgType.BINARY:
        presence.hub.dismiss(socket, WSCloseCode.UNSUPPORTED_DATA)
    elif message.type is WSMsgType.TEXT:
        try:
            told = parse_client_message(message.data)
        except MessageError:
            presence.hub.dismiss(socket, WSCloseCode.INVALID_TEXT)
            return
        if told is not None:
            presence.hear(socket, told)
