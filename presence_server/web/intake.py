"""What arrives on a connection is counted before it is parsed, for parsing is what costs.

A body may come in chunks of one byte each, a head may never end, and a body may be sent to an
address where nobody reads it: a whole read of such bytes holds everybody else up for 80 ms.
"""

from collections.abc import Callable
from typing import Any

from aiohttp import HttpVersion11, StreamReader, web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import BadHttpMessage

# So many bytes are parsed before it is asked again whether the rest is wanted.
_PART = 1024
# Bytes that a request may take before its head is whole.
_LARGEST_HEAD = 32 * 1024
# A body in chunks may be larger than what it says by this much, and by this part of it.
_CHUNKING, _CHUNKING_SHARE = 1024, 1 / 8
# aiohttp stops reading when so many requests wait to be seen to.
_MOST_QUEUED = 32

_Message = tuple[Any, StreamReader]


class Intake:
    """Stands before aiohttp's parser, and gives it only what may be worth its time.

    `largest_body` says of a path how many bytes are.
    """

    def __init__(self, parser: Any, largest_body: Callable[[str], int]) -> None:
        self._parser = parser
        self._largest = largest_body
        self._rest = b""
        self._queued = 0
        self._head = 0
        self._message: RawRequestMessage | None = None
        self._body: StreamReader | None = None
        self._raw = 0
        # Bytes that came after the last that anybody wanted; None while all are wanted.
        self.unwanted: int | None = None

    def feed_data(self, data: bytes) -> tuple[list[_Message], bool, bytes]:
        """As aiohttp's: requests with their bodies, whether another protocol follows, and what
        came of that."""
        data, self._rest = self._rest + data, b""
        messages: list[_Message] = []
        start = 0
        # Once also without anything new: the parser keeps what followed when the queue was full.
        while self._queued < _MOST_QUEUED and self.unwanted is None:
            part = data[start : start + _PART]
            start += len(part)
            found, upgraded, tail = self._parse(part)
            messages += found
            if upgraded:
                return messages, True, tail + data[start:]
            self._judge(found, len(part))
            if start == len(data):
                break
        if self.unwanted is None:
            self._rest = data[start:]
        else:
            self.unwanted += len(data) - start
        return messages, False, b""

    @property
    def is_amid_a_body(self) -> bool:
        return self._body is not None and not self._body.is_eof()

    def stop(self) -> None:
        """Let whatever else comes fall to the floor."""
        if self.unwanted is None:
            self.unwanted = 0

    def end(self) -> None:
        """Let the parser go: it holds the connection that holds this."""
        self._parser = self._message = self._body = None
        self.stop()

    def message_consumed(self) -> None:
        self._queued -= 1
        self._parser.message_consumed()

    def pause_reading(self) -> None:
        self._parser.pause_reading()

    def set_upgraded(self, upgraded: bool) -> None:
        self._parser.set_upgraded(upgraded)

    def _parse(self, part: bytes) -> tuple[list[_Message], bool, bytes]:
        messages, upgraded, tail = self._parser.feed_data(part)
        self._queued += len(messages)
        return messages, upgraded, tail

    def _judge(self, found: list[_Message], size: int) -> None:
        for message, _ in found:
            _check_framing(message)
        if found:
            self._message, self._body = found[-1]
            self._head = self._raw = 0
        elif self._body is not None:
            self._raw += size
        else:
            self._head += size
        if self._body is not None and self.is_amid_a_body:
            self._judge_body(self._body)
        else:
            self._body = None
        if self._head > _LARGEST_HEAD:
            self.stop()
            raise BadHttpMessage("the head of a request has no end")

    def _judge_body(self, body: StreamReader) -> None:
        assert self._message is not None
        length = int(self._message.headers.get("Content-Length", 0))
        if max(length, body.total_bytes) > self._largest(self._message.path):
            # Whoever reads it says so.
            self.stop()
        elif self._raw - body.total_bytes > _CHUNKING + _CHUNKING_SHARE * body.total_bytes:
            body.set_exception(web.RequestPayloadError("chunks are too small"))
            self.stop()


def _check_framing(message: RawRequestMessage) -> None:
    """Whoever stands in front may see another end of a body that is in anything but chunks."""
    codings = message.headers.getall("Transfer-Encoding", ())
    plain = [coding.lower() for coding in codings] in ([], ["chunked"])
    if not plain or codings and message.version < HttpVersion11:
        raise BadHttpMessage("a body in chunks, by HTTP/1.1, or of a length")
