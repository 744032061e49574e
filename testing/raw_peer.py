"""A peer of the live socket below any WebSocket library."""

import asyncio
import base64
import os
import socket as sockets
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from testing.visitor import Visitor


class RawPeer:
    """A peer that writes frames byte by byte and reads only when told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer

    @classmethod
    @asynccontextmanager
    async def of(
        cls, visitor: Visitor, *, receive_buffer: int | None = None, headers: str = ""
    ) -> "AsyncIterator[RawPeer]":
        host, port = visitor.url.removeprefix("http://").split(":")
        sock = sockets.socket()
        if receive_buffer is not None:
            sock.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (host, int(port)))
        reader, writer = await asyncio.open_connection(sock=sock, limit=4096)
        cookie = "; ".join(f"{c.key}={c.value}" for c in visitor.http.cookie_jar)
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            f"GET /users/ HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: {cookie}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: presence.v1\r\n"
            f"{headers}\r\n".encode()
        )
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            assert b" 101 " in head, head
            yield cls(reader, writer)
        finally:
            writer.close()

    def write(self, data: bytes) -> None:
        self._writer.write(data)

    async def drain(self) -> None:
        """Wait until the kernel takes more; no error when the line is gone."""
        with suppress(ConnectionError):
            await self._writer.drain()

    def reset(self) -> None:
        """Cut the line as a crash does."""
        at_once = struct.pack("ii", 1, 0)
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, at_once)
        self._writer.transport.abort()

    async def frame(self) -> tuple[int, bytes]:
        """The next frame's first byte and payload."""
        first, size = await self.reader.readexactly(2)
        if size >= 126:
            size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8), "big")
        return first, await self.reader.readexactly(size)

    async def close_code(self) -> int | None:
        """Read frames until a close frame, and return its code; None if the line just ends."""
        try:
            while True:
                first, payload = await self.frame()
                if first == 0x88:
                    return int.from_bytes(payload[:2], "big")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
