"""aiohttp's runner, with an answer and a log line of our own for what is not HTTP."""

import asyncio
import logging
import math
from collections.abc import Callable
from socket import SO_SNDBUF, SOL_SOCKET
from typing import Any, cast

from aiohttp import web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler, RequestPayloadError
from multidict import CIMultiDict, CIMultiDictProxy

from presence_server.keys import CONFIG
from presence_server.web.access_log import AccessLogger, printable
from presence_server.web.waiting import Waiting
from presence_server.web.middlewares import add_secure_headers

log = logging.getLogger(__name__)

# An Expect of any bytes: aiohttp repeats it in its refusal, which then cannot be encoded. Errors of
# that kind in our own handlers never come this far.
_OF_A_PEERS_MAKING = (HttpProcessingError, UnicodeEncodeError)


# Seconds in which a peer must have read so much of an answer that the rest fits into the buffers.
_READ_WITHIN = 15.0
# Bytes that the kernel keeps for a line that does not read; by itself it would let it be megabytes.
_SEND_BUFFER = 64 * 1024
# What the access log needs when a socket has ended.
_LOGGED = ("User-Agent", "X-Forwarded-For")


class Runner(web.AppRunner):
    def __init__(
        self, app: web.Application, *, keepalive_timeout: float, shutdown_timeout: float
    ) -> None:
        super().__init__(
            app,
            access_log_class=AccessLogger,
            # Nobody sends compressed forms, and small bombs could.
            auto_decompress=False,
            # Rounded to whole seconds, a thousand sockets would be pinged in one turn of the loop.
            timeout_ceil_threshold=math.inf,
            keepalive_timeout=keepalive_timeout,
            shutdown_timeout=shutdown_timeout,
        )

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        own = _Server(
            server.request_handler, request_factory=server.request_factory, **server._kwargs
        )
        own.waiting = Waiting(self.app[CONFIG])
        return own


class _Server(web.Server):
    waiting: Waiting

    def __call__(self) -> RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)


class Connection(RequestHandler):
    """What could not be parsed belongs to no application: no middleware or signal sees it.

    aiohttp would log a traceback for it, and answer with its own version and with what was sent.
    It also keeps the headers, as a mapping and as they were sent, in the request and in the parser:
    some kilobytes for each socket, for hours.
    """

    __slots__ = (
        "peer", "opened_at", "gone", "on_frames", "_is_line", "_waiting", "_reading", "_headers"
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Done when the peer has hung up.
        self.gone: asyncio.Future[None] = self._loop.create_future()
        # Told of the bytes of a socket before they are parsed; False: they shall not be.
        self.on_frames: Callable[[int], bool] | None = None
        self._is_line = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.peer = self.peername[0] if isinstance(self.peername, tuple) else ""
        self.opened_at = self._loop.time()
        self._waiting = cast(_Server, self._manager).waiting
        self._waiting.enter(self)
        self._reading: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: BaseException | None) -> None:
        transport = self.transport
        super().connection_lost(exc)
        # What holds itself only a full collection would find: a socket's method that holds this
        # connection, and a method that asyncio's transport keeps of itself.
        self._data_received_cb = self.on_frames = None
        if not self.gone.done():
            self.gone.set_result(None)
        if transport is not None and hasattr(transport, "_read_ready_cb"):
            transport._read_ready_cb = _nothing
        self._waiting.leave(self)
        self._stop_timer()

    def pause_writing(self) -> None:
        super().pause_writing()
        # aiohttp waits without end for a peer to read; of a line the hub takes care.
        if not self._is_line:
            self._reading = self._loop.call_later(_READ_WITHIN, self.cut)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_timer()

    def data_received(self, data: bytes) -> None:
        if self.on_frames is not None and not self.on_frames(len(data)):
            return
        super().data_received(data)
        if not self._messages:
            return
        message, payload = self._messages[-1]
        if isinstance(message, RawRequestMessage):
            self._headers = CIMultiDict(message.headers)
            headers = CIMultiDictProxy(self._headers)
            self._messages[-1] = message._replace(headers=headers, raw_headers=()), payload

    def set_parser(self, *args: Any, **kwargs: Any) -> None:
        # What follows are the frames of a socket.
        self.become_line()
        super().set_parser(*args, **kwargs)
        self._parser = None

    def become_line(self) -> None:
        """From now on its peer may be silent, and slow to read: that is for the hub to judge."""
        self._is_line = True
        if self.transport is not None:
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(SOL_SOCKET, SO_SNDBUF, _SEND_BUFFER)
        self._waiting.leave(self)
        self._stop_timer()
        self._forget_headers()

    def _forget_headers(self) -> None:
        kept = [(name, value) for name in _LOGGED for value in self._headers.getall(name, ())]
        self._headers.clear()
        self._headers.extend(kept)

    def kept_waiting_since(self) -> float | None:
        if self.transport is None or self.transport.is_closing():
            return None
        request = self._current_request
        if request is not None and request.content.is_eof():
            return None
        return self._next_keepalive_close_time - self._keepalive_timeout

    def cut(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def _stop_timer(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        gone = isinstance(exc, ConnectionError) and not request.writer.output_size
        if not gone and not isinstance(exc, _OF_A_PEERS_MAKING):
            return super().handle_error(request, status, exc, message)
        self.log_exception(exc_info=exc)
        response = _Refusal(status=400, text="This is not a request that can be understood.\n")
        response.force_close()
        return response

    def log_exception(self, *args: Any, **kwargs: Any) -> None:
        error = kwargs.get("exc_info")
        if isinstance(error, (*_OF_A_PEERS_MAKING, RequestPayloadError, ConnectionError)):
            # The access log has a line for its request.
            log.debug("malformed request: %s", printable(repr(error)))
        else:
            super().log_exception(*args, **kwargs)


class _Refusal(web.Response):
    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        add_secure_headers(self)


def _nothing() -> None:
    """A transport that is gone reads nothing."""
