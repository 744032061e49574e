"""What all WebSockets have in common: how they open, what may come over them, how they end."""

import asyncio
import time
from collections.abc import Callable
from typing import cast

import aiohttp_session
from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from presence_server.collector import untie
from presence_server.keys import PRESENCE, SESSION
from presence_server.live.dialects import BY_SUBPROTOCOL
from presence_server.live.farewells import BINARY, NO_MESSAGE, TOO_MUCH
from presence_server.live.hub import Hub
from presence_server.live.observer import Observer
from presence_server.live.wire import WebSocketWire
from presence_server.presence.client_messages import ClientMessage, parse_client_message
from presence_server.presence.objects import MessageError
from presence_server.web.allowance import Allowance
from presence_server.web.connection import Connection

# aiohttp refuses a message of this size by itself.
_TOO_BIG = 16 * 1024 + 1
# So many messages in so many seconds are more than a page has reason to send.
_MOST_MESSAGES = 20
_PER_SECONDS = 10.0
# The same for pings and pongs.
_MOST_CONTROL_FRAMES = 100
_ENDS = (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED)
# Seconds that a peer has to answer a close.
_CLOSING = 1.0
# Seconds that what is on its way may take after the end of a line.
_GOES_OUT_WITHIN = 10.0


async def open_web_socket(request: web.Request) -> tuple[web.WebSocketResponse, WebSocketWire]:
    ws = _response()
    await ws.prepare(request)
    # None of it is needed again, and all would take memory for as long as the socket is open.
    ws.headers.clear()
    for kept in (aiohttp_session.SESSION_KEY, SESSION):
        request.pop(kept, None)
    transport = cast(asyncio.Transport, request.transport)
    return ws, WebSocketWire(transport, request.app[PRESENCE].hub.heartbeat.turn)


async def read_messages(
    request: web.Request,
    ws: web.WebSocketResponse,
    wire: WebSocketWire,
    observer: Observer,
    take: Callable[[ClientMessage], None],
) -> None:
    """Have what the peer sends taken in, until the line has ended."""
    hub = request.app[PRESENCE].hub
    cast(Connection, request.protocol).bound_frames(_Reads(ws, observer, hub).take)
    began, messages, control_frames = 0.0, 0, 0
    # Goes on after a dismissal until the close is through: only reading brings the peer's answer.
    # As `async for`, which would keep a coroutine more for each socket.
    while (message := await ws.receive()).type not in _ENDS:
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
            hub.dismiss(observer, TOO_MUCH)
        elif message.type is WSMsgType.PING:
            await ws.pong(message.data)
        elif message.type is WSMsgType.PONG:
            wire.pong(message.data)
        else:
            _take(message, observer, hub, take)


def end_socket(request: web.Request, ws: web.WebSocketResponse, *, dismissed: bool) -> None:
    """Close what is left of it, once it belongs to nobody any more."""
    transport = request.transport
    if transport is not None and dismissed:
        # Or aiohttp would send another close frame.
        transport.close()
    elif transport is not None and ws.close_code == WSCloseCode.ABNORMAL_CLOSURE:
        # aiohttp would wait until all that is on its way has gone out.
        transport.abort()
    if transport is not None and transport.get_write_buffer_size():
        # Neither would ever end with a peer that does not read.
        asyncio.get_running_loop().call_later(_GOES_OUT_WITHIN, transport.abort)
    untie(ws.exception())


class _Reads:
    """What comes on one socket, before it is parsed: frames of no meaning are seen nowhere else."""

    __slots__ = ("_ws", "_observer", "_hub", "_allowance")

    def __init__(self, ws: web.WebSocketResponse, observer: Observer, hub: Hub) -> None:
        self._ws = ws
        self._observer = observer
        self._hub = hub
        self._allowance = Allowance(time.monotonic())

    def take(self, size: int) -> int:
        """How many bytes of a read are to be parsed."""
        parsed = self._allowance.take(size, time.monotonic())
        if parsed < size:
            # A turn later: what is parsed may end the socket for a better reason.
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, self._cut_flood)
        return parsed

    def _cut_flood(self) -> None:
        if not self._ws.closed:
            self._hub.dismiss(self._observer, TOO_MUCH)


def _response() -> web.WebSocketResponse:
    # Without a heartbeat: the hub keeps lines alive.
    return web.WebSocketResponse(
        # A context for deflate takes 100 KiB a connection, for messages of some ten bytes.
        compress=False,
        max_msg_size=_TOO_BIG,
        protocols=tuple(filter(None, BY_SUBPROTOCOL)),
        timeout=_CLOSING,
        # Each ping costs a pong: they are counted first.
        autoping=False,
        # A close of ours is answered by the peer, and needs no further answer.
        autoclose=False,
    )


def _take(
    message: WSMessage, observer: Observer, hub: Hub, take: Callable[[ClientMessage], None]
) -> None:
    if message.type is WSMsgType.BINARY:
        hub.dismiss(observer, BINARY)
    elif message.type is WSMsgType.TEXT:
        try:
            said = parse_client_message(message.data, int(time.time()))
        except MessageError:
            hub.dismiss(observer, NO_MESSAGE)
            return
        if said is not None:
            take(said)
