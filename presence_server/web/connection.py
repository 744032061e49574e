"""A connection of aiohttp's, with an answer and a log line of our own for what is not HTTP."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from socket import SO_SNDBUF, SOL_SOCKET
from typing import Any, cast

from aiohttp import StreamReader, web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler, RequestPayloadError
from multidict import CIMultiDict, CIMultiDictProxy

from presence_server.collector import untie
from presence_server.web.access_log import printable
from presence_server.web.bodies import largest_body
from presence_server.web.intake import Intake
from presence_server.web.middlewares import add_secure_headers
from presence_server.web.turnstile import Turnstile
from presence_server.web.waiting import Waiting

log = logging.getLogger(__name__)

# An Expect of any bytes: aiohttp repeats it in its refusal, which then cannot be encoded. Errors of
# that kind in our own handlers never come this far.
_OF_A_PEERS_MAKING = (HttpProcessingError, UnicodeEncodeError)

# Seconds in which a peer must have read so much of an answer that the rest fits into the buffers.
_READ_WITHIN = 15.0
# Bytes of a body that nobody reads any more: what is left after them stays with the kernel.
_MOST_UNWANTED = 256 * 1024
# Bytes that one connection may bring in one turn of the event loop.
_AT_ONCE = 64 * 1024
# The same of a line, whose messages cost more: two of the largest.
_AT_ONCE_OF_A_LINE = 32 * 1024
# Bytes that the kernel keeps for a line that does not read; by itself it would let it be megabytes.
_SEND_BUFFER = 64 * 1024
# An empty deque takes 600 bytes.
_NO_MESSAGES: deque[Any] = deque(maxlen=0)
# What only asks, and may be given up at any point.
_SAFE = ("GET", "HEAD")
# What the access log needs when a socket has ended.
_LOGGED = ("User-Agent", "X-Forwarded-For")


class Connection(RequestHandler):
    """What could not be parsed belongs to no application: no middleware or signal sees it.

    aiohttp would log a traceback for it, and answer with its own version and with what was sent.
    It also keeps the headers, as a mapping and as they were sent, in the request and in the parser:
    some kilobytes for each socket, for hours.

    Errors hold, by their tracebacks, the requests that hold them. They are untied wherever they
    come by, so that whatever ends a connection, nothing of it is left for the collector.
    """

    __slots__ = (
        "peer",
        "opened_at",
        "_gone",
        "_on_frames",
        "_intake",
        "_is_line",
        "_first_transport",
        "_turnstile",
        "_waiting",
        "_read_timer",
        "_headers",
        "_half_closed",
        "_has_hung_up",
        "_unread",
        "_answering",
    )

    def __init__(
        self, server: web.Server, *, turnstile: Turnstile, waiting: Waiting, **options: Any
    ) -> None:
        super().__init__(server, **options)
        self._turnstile = turnstile
        self._waiting = waiting
        self._gone: asyncio.Future[None] | None = None
        self._has_hung_up = False
        self._on_frames: Callable[[int], int] | None = None
        self._is_line = False
        self._half_closed = False
        self._unread: StreamReader | None = None
        self._answering: asyncio.Task[Any] | None = None
        self._intake = Intake(self._parser, largest_body)
        self._parser = cast(Any, self._intake)

    @property
    def gone(self) -> asyncio.Future[None]:
        """Done when the peer has hung up, or will send no more: it waits in no queue any longer.

        Made when somebody asks: few do, and each line would have one for hours.
        """
        if self._gone is None:
            self._gone = self._loop.create_future()
            if self._has_hung_up:
                self._gone.set_result(None)
        return self._gone

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        # aiohttp forgets its own as soon as it closes it.
        self._first_transport: asyncio.BaseTransport | None = transport
        if hasattr(transport, "max_size"):
            transport.max_size = _AT_ONCE
        self.peer = self.peername[0] if isinstance(self.peername, tuple) else ""
        self.opened_at = self._loop.time()
        self._waiting.enter(self)
        self._read_timer: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: BaseException | None) -> None:
        self._hang_up()
        super().connection_lost(exc)
        untie(exc)
        # What holds itself only a full collection would find: a socket's methods that hold this
        # connection, and a method that asyncio's transport keeps of itself.
        self._data_received_cb = self._on_frames = None
        self._intake.end()
        if self._unread is not None:
            self._unread.feed_eof()
            self._unread = None
        if self._first_transport is not None and hasattr(self._first_transport, "_read_ready_cb"):
            self._first_transport._read_ready_cb = _nothing
        self._first_transport = None
        self._waiting.leave(self)
        self._stop_timer()
        # Thousands who ask and hang up would otherwise stand before everybody in the database's
        # line. A line's handler sees the end itself, and what changes something is carried through.
        if self._answering is not None and not self._is_line:
            self._answering.cancel()

    def eof_received(self) -> bool:  # type: ignore[override]  # as asyncio wants it
        """Whether the line stays open: a peer that has said all may still wait for its answers."""
        self._hang_up()
        idle = self._waiter is not None and not self._waiter.done()
        asked = self._request_count > 0 and (bool(self._messages) or not idle)
        whole = self._payload_parser is None and not self._intake.is_amid_a_body
        self._half_closed = asked and whole
        return self._half_closed

    def _is_gone(self) -> bool:
        return self.transport is None

    def _is_given_up(self) -> bool:
        """Whether it is for its peer alone that the answer was cancelled."""
        answering = self._answering
        return answering is not None and self._is_gone() and answering.uncancel() == 0

    def _hang_up(self) -> None:
        self._has_hung_up = True
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)

    def pause_writing(self) -> None:
        super().pause_writing()
        # aiohttp waits without end for a peer to read; of a line the hub takes care.
        if not self._is_line:
            self._read_timer = self._loop.call_later(_READ_WITHIN, self.cut)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_timer()

    def data_received(self, data: bytes) -> None:
        if self._on_frames is not None:
            data = data[: self._on_frames(len(data))]
        super().data_received(data)
        if (self._intake.unwanted or 0) > _MOST_UNWANTED:
            if self._is_line:
                # The end of a line that is not read would not be seen.
                self.cut()
            else:
                self._pause_transport_reading()
        if not self._messages:
            return
        message, payload = self._messages[-1]
        if not isinstance(message, RawRequestMessage):
            untie(message.exc)
        else:
            self._headers = CIMultiDict(message.headers)
            headers = CIMultiDictProxy(self._headers)
            self._messages[-1] = message._replace(headers=headers, raw_headers=()), payload

    def set_parser(self, *args: Any, **kwargs: Any) -> None:
        # What follows are the frames of a socket.
        self.become_line()
        super().set_parser(*args, **kwargs)
        self._parser = None
        self._intake.end()

    def bound_frames(self, take: Callable[[int], int]) -> None:
        """From now on `take` is told how many bytes of a socket have come, and says how many of
        them are to be parsed."""
        self._on_frames = take

    def become_line(self) -> None:
        """From now on its peer may be silent, and slow to read: that is for the hub to judge."""
        self._is_line = True
        if self.transport is not None:
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(SOL_SOCKET, SO_SNDBUF, _SEND_BUFFER)
            if hasattr(self.transport, "max_size"):
                self.transport.max_size = _AT_ONCE_OF_A_LINE
        # Nobody asks for anything else on it.
        self._messages = _NO_MESSAGES
        self._intake.stop()
        if self._buffer_paused:
            # By what came behind the head of a stream: nobody would come to resume it.
            self._resume_reading_for_buffer()
        self._waiting.leave(self)
        self._stop_timer()
        self._forget_headers()

    def _forget_headers(self) -> None:
        kept = [(name, value) for name in _LOGGED for value in self._headers.getall(name, ())]
        self._headers.clear()
        self._headers.extend(kept)

    def kept_waiting_since(self) -> float | None:
        """As waiting.py wants it: None while it is not the peer for whom we wait."""
        if self.transport is None or self.transport.is_closing():
            return None
        if self._half_closed:
            # It may wait for its answer, or have gone: that cannot be told apart.
            return self.opened_at
        request = self._current_request
        if request is not None and request.content.is_eof():
            return None
        return self._next_keepalive_close_time - self._keepalive_timeout

    async def _handle_request(
        self,
        request: web.BaseRequest,
        start_time: float | None,
        request_handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
    ) -> tuple[web.StreamResponse, bool]:
        task = asyncio.current_task()
        self._answering = task if request.method in _SAFE else None
        try:
            await self._turnstile.enter(self._is_gone)
            if self._is_gone():
                raise ConnectionResetError("gone before its request began")
            return await super()._handle_request(request, start_time, request_handler)
        except (ConnectionError, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and not self._is_given_up():
                raise
            # Raised any further it would be held by the task that it came out of.
            untie(error)
            response = _Refusal(status=400)
            self.log_access(request, response, start_time)
            return response, True
        finally:
            self._answering = None
            untie(request.content.exception())
            _untie_route(request)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        if isinstance(resp, web.HTTPException):
            untie(resp)
        if not request.content.is_eof():
            # The rest of a body that the handler did not want is not parsed either.
            self._intake.stop()
            self._unread = request.content if self.transport is not None else None
            resp.force_close()
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            if self._half_closed and not self._messages:
                self.close()

    def cut(self) -> None:
        """End it at once, whatever is under way."""
        if self.transport is not None:
            self.transport.abort()

    def _stop_timer(self) -> None:
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None

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
        untie(error)


class _Refusal(web.Response):
    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        add_secure_headers(self)


def _untie_route(request: web.BaseRequest) -> None:
    """The route that aiohttp makes for an address where nothing is keeps a method of itself."""
    match = getattr(request, "_match_info", None)
    if match is not None and match.http_exception is not None:
        match.route._handler = None


def _nothing() -> None:
    """A transport that is gone reads nothing."""
