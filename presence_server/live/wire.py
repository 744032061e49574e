"""What carries messages to one peer: a WebSocket, or a stream of Server-Sent Events.

Bytes are framed once for all peers of a kind, and written to the transport at once: what the
kernel does not take waits in the transport's buffer, and nobody is awaited. aiohttp documents no
way to frame a message once for many (`send_str` frames and awaits for each), but it documents
`request.transport`, and writes each frame of its own in one synchronous step: they never mix.
"""

import asyncio
import struct
from collections.abc import Callable
from typing import NamedTuple, Protocol

from presence_server.live.farewells import Farewell
from presence_server.live.heartbeat import Heartbeat

# Of every stream of events, and against proxies that would gather some before they pass them on.
EVENT_STREAM_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}
# While more bytes than this wait for a peer to read, it is passed over.
MOST_WAITING = 64 * 1024
# Seconds of quiet after which a stream gets a comment.
_QUIET = 15.0

_TEXT, _CLOSE, _PING = 0x81, 0x88, 0x89
_COMMENT = b"3\r\n:\n\n\r\n"
_LAST_CHUNK = b"0\r\n\r\n"


class Message(NamedTuple):
    """One message of a dialect. `kind` and `cursor` are for wires that name them beside it."""

    text: str
    kind: str = ""
    cursor: str | None = None


class Wire(Protocol):
    # Turn of the heartbeat in which something was last written.
    sent: int

    # The same function for all wires of a kind: what it makes is shared.
    @property
    def frame(self) -> Callable[[Message], bytes]: ...

    def write(self, data: bytes, turn: int) -> None:
        """Send what `frame` made, in this turn; nothing happens when the line is closing."""

    def offer(self, data: bytes, turn: int) -> bool:
        """The same, unless too much waits already: then False."""

    def waiting(self) -> int:
        """How many bytes wait in this process for the peer to read."""

    def keep_alive(self, heartbeat: Heartbeat) -> bool:
        """Called each turn; False when the peer has fallen silent."""

    def excuse(self, heartbeat: Heartbeat) -> None:
        """Called instead while it lags: its answers wait behind what it has to read."""

    def close(self, farewell: Farewell, bye: bytes, retry_after: float | None) -> None:
        """Say the last words and end the line; `abort` is still needed if the peer does not."""

    def abort(self) -> None: ...


class _TransportWire:
    __slots__ = ("_transport", "_closed", "sent")

    def __init__(self, transport: asyncio.Transport, turn: int) -> None:
        self._transport = transport
        self._closed = False
        self.sent = turn

    def write(self, data: bytes, turn: int) -> None:
        if not self._closed and not self._transport.is_closing():
            self._transport.write(data)
            self.sent = turn

    def offer(self, data: bytes, turn: int) -> bool:
        # Called for everybody in every flush.
        transport = self._transport
        if transport.get_write_buffer_size() > MOST_WAITING:
            return False
        if not self._closed and not transport.is_closing():
            transport.write(data)
            self.sent = turn
        return True

    def waiting(self) -> int:
        return self._transport.get_write_buffer_size()

    def abort(self) -> None:
        self._closed = True
        self._transport.abort()

    def _end(self, data: bytes) -> None:
        """The last that is written."""
        self.write(data, self.sent)
        self._closed = True


class WebSocketWire(_TransportWire):
    """Unmasked text frames, as a server sends them (RFC 6455, section 5.2).

    A peer shows by its pongs that it reads: each must repeat what stood in the last ping, which
    nobody can know who does not read.
    """

    __slots__ = ("_pinged", "_unanswered")

    def __init__(self, transport: asyncio.Transport, turn: int) -> None:
        super().__init__(transport, turn)
        self._pinged = turn
        self._unanswered: bytes | None = None

    @staticmethod
    def frame(message: Message) -> bytes:
        payload = message.text.encode()
        size = len(payload)
        if size < 126:
            return struct.pack("!BB", _TEXT, size) + payload
        if size < 1 << 16:
            return struct.pack("!BBH", _TEXT, 126, size) + payload
        return struct.pack("!BBQ", _TEXT, 127, size) + payload

    def keep_alive(self, heartbeat: Heartbeat) -> bool:
        since = heartbeat.turn - self._pinged
        if self._unanswered is not None:
            return since < heartbeat.patience
        if since >= heartbeat.turns - 1:
            self._pinged, self._unanswered = heartbeat.turn, heartbeat.payload
            if not self._closed and not self._transport.is_closing():
                head = struct.pack("!BB", _PING, len(heartbeat.payload))
                self._transport.write(head + heartbeat.payload)
        return True

    def excuse(self, heartbeat: Heartbeat) -> None:
        self._pinged = heartbeat.turn

    def pong(self, payload: bytes) -> None:
        """The peer has sent a pong: to the last ping, if it is one that counts."""
        if payload == self._unanswered:
            self._unanswered = None

    def close(self, farewell: Farewell, bye: bytes, retry_after: float | None) -> None:
        # transport.close() would leave the peer no time to answer.
        words = farewell.words.encode()
        head = struct.pack("!BBH", _CLOSE, 2 + len(words), farewell.code)
        self._end(bye + head + words)


class EventStreamWire(_TransportWire):
    """Server-Sent Events in chunks of HTTP/1.1, after the head of a chunked answer.

    Its peer says nothing, so whether it reads is the kernel's to find out (TCP_USER_TIMEOUT).
    """

    __slots__ = ()

    @staticmethod
    def frame(message: Message) -> bytes:
        fields = [("event", message.kind), ("id", message.cursor)]
        lines = [f"{name}: {value}\n" for name, value in fields if value]
        lines += [f"data: {line}\n" for line in message.text.split("\n")]
        return _chunk("".join(lines) + "\n")

    def keep_alive(self, heartbeat: Heartbeat) -> bool:
        if heartbeat.turn - self.sent >= heartbeat.turns_in(_QUIET):
            self.write(_COMMENT, heartbeat.turn)
        return True

    def excuse(self, heartbeat: Heartbeat) -> None:
        """Nothing is asked of it."""

    def close(self, farewell: Farewell, bye: bytes, retry_after: float | None) -> None:
        if retry_after is not None:
            bye = _chunk(f"retry: {retry_after * 1000:.0f}\n\n") + bye
        self._end(bye + _LAST_CHUNK)
        self._transport.close()


def _chunk(text: str) -> bytes:
    data = text.encode()
    return b"%x\r\n%b\r\n" % (len(data), data)
