"""Server-Sent Events: the head of an answer that goes on for hours."""

import asyncio
import socket
from typing import cast

from aiohttp import HttpVersion11, web

from presence_server.keys import CONFIG, PRESENCE
from presence_server.live.wire import EVENT_STREAM_HEADERS, EventStreamWire
from presence_server.web.connection import Connection


async def open_event_stream(request: web.Request) -> tuple[web.StreamResponse, EventStreamWire]:
    """Begin the answer; its wire is good until the connection is `gone`.

    The request's headers are forgotten with that: who needs some has read them before.
    """
    if request.version < HttpVersion11:
        # There an answer without a length cannot be told from one that was cut off.
        raise web.HTTPVersionNotSupported
    response = web.StreamResponse(headers=EVENT_STREAM_HEADERS)
    response.enable_chunked_encoding()
    response.force_close()
    await response.prepare(request)
    transport = cast(asyncio.Transport, request.transport)
    _expect_to_be_read(transport.get_extra_info("socket"), request.app[CONFIG].heartbeat)
    connection = cast(Connection, request.protocol)
    connection.become_line()
    return response, EventStreamWire(transport, request.app[PRESENCE].hub.heartbeat.turn)


def _expect_to_be_read(sock: socket.socket, heartbeat: float) -> None:
    """A peer that takes in nothing for one and a half heartbeats is gone, says the kernel."""
    if sock.family in (socket.AF_INET, socket.AF_INET6) and hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(1500 * heartbeat))
