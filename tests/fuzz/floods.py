"""Floods that a server must stand, each from a process of its own, for some seconds and no longer.

`python -m tests.fuzz.floods NAME PORT SECONDS COOKIE TOKEN [tls]`
"""

import asyncio
import base64
import contextlib
import json
import socket
import ssl
import struct
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

from testing.visitor import PASSWORD
from tests.fuzz.hostile import URLENCODED, frame

_Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_AT_ONCE = 150
_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_TLS.check_hostname, _TLS.verify_mode = False, ssl.CERT_NONE
# How long one who floods waits for the server to take any more.
_PATIENCE = 1.0
# Seconds in which a server begins with what has come, before the end of it comes.
_MOMENT = 0.02


@dataclass(frozen=True, slots=True)
class Aim:
    port: int
    cookie: str
    token: str
    tls: bool

    def head(self, start: str, *lines: str) -> bytes:
        host = "Host: example.com" if self.tls else "Host: x"
        return "\r\n".join([f"{start} HTTP/1.1", host, *lines, "", ""]).encode()

    def form(self, path: str, *lines: str) -> bytes:
        return self.head(f"POST {path}", f"Content-Type: {URLENCODED}", *lines)

    @contextlib.asynccontextmanager
    async def connection(self, source: str = "127.0.7.1") -> AsyncIterator[_Line]:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1",
            self.port,
            local_addr=(source, 0),
            ssl=_TLS if self.tls else None,
        )
        try:
            yield reader, writer
        finally:
            writer.transport.abort()


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def half_bodies(aim: Aim) -> None:
    """Begun and not finished, with the end in either way."""
    for number in range(2):
        async with aim.connection() as (_, writer):
            writer.write(aim.form("/log_in/", "Content-Length: 1000") + b"username=")
            await asyncio.sleep(_MOMENT)
            if number:
                _reset(writer)


async def pages_not_read(aim: Aim) -> None:
    async with aim.connection() as (_, writer):
        writer.write(aim.head("GET /", f"Cookie: {aim.cookie}") * 20)
        await asyncio.sleep(_MOMENT)
        _reset(writer)


async def pages_read(aim: Aim) -> None:
    async with aim.connection() as (reader, writer):
        writer.write(aim.head("GET /", f"Cookie: {aim.cookie}") * 20)
        async with asyncio.timeout(_PATIENCE):
            while await reader.read(2**16):
                pass


async def log_ins_hung_up(aim: Aim) -> None:
    body = f"csrf_token={aim.token}&username=mallory&password={PASSWORD}".encode()
    async with aim.connection() as (_, writer):
        length = f"Content-Length: {len(body)}"
        writer.write(aim.form("/log_in/", f"Cookie: {aim.cookie}", length) + body)
        await writer.drain()
        if aim.tls:
            await asyncio.sleep(_MOMENT)


async def _pour(aim: Aim, first: bytes, flood: bytes) -> None:
    async with aim.connection() as (_, writer):
        writer.write(first)
        async with asyncio.timeout(_PATIENCE):
            while True:
                writer.write(flood)
                await writer.drain()


async def tiny_chunks(aim: Aim) -> None:
    for path in ("/log_in/", "/nothing"):
        with contextlib.suppress(OSError, TimeoutError):
            chunked = aim.form(path, "Transfer-Encoding: chunked")
            await _pour(aim, chunked, b"1\r\na\r\n" * 10_000)


async def endless_heads(aim: Aim) -> None:
    await _pour(aim, b"GET / HTTP/1.1\r\n", b"A: b\r\n" * 10_000)


@contextlib.asynccontextmanager
async def _socket(aim: Aim, path: str) -> AsyncIterator[_Line]:
    upgrade = aim.head(
        f"GET {path}",
        f"Cookie: {aim.cookie}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {base64.b64encode(b'k' * 16).decode()}",
        "Sec-WebSocket-Protocol: presence.v1",
    )
    async with aim.connection() as (reader, writer):
        writer.write(upgrade)
        await reader.readuntil(b"\r\n\r\n")
        yield reader, writer


def _all_that_may_be_said() -> Iterator[bytes]:
    for number in range(10):
        watched = {"type": "watch", "users": [f"{number}-{n}" for n in range(500)]}
        said = {"type": "status", "status": ("away", "online")[number % 2]}
        for message in (watched, said):
            yield frame(1, json.dumps(message).encode())


_ALL_THAT_MAY_BE_SAID = b"".join(_all_that_may_be_said())


async def talking_sockets(aim: Aim) -> None:
    """All that a socket may say, at once, and the next socket."""
    async with _socket(aim, "/users/?watch=some") as (_, writer):
        writer.write(_ALL_THAT_MAY_BE_SAID)
        await asyncio.sleep(_MOMENT)
        _reset(writer)


async def empty_continuations(aim: Aim) -> None:
    async with _socket(aim, "/users/") as (_, writer):
        async with asyncio.timeout(_PATIENCE):
            writer.write(frame(1, b"", final=False))
            while True:
                writer.write(frame(0, b"", final=False) * 10_000)
                await writer.drain()


_sources = iter(f"127.0.8.{1 + number % 6}" for number in range(10**9))


async def slow_heads(aim: Aim) -> None:
    """From six addresses, as many as there are workers."""
    async with aim.connection(next(_sources)) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        await reader.read()


FLOODS: dict[str, tuple[Callable[[Aim], Coroutine[Any, Any, None]], int]] = {
    "half bodies": (half_bodies, _AT_ONCE),
    "pages not read": (pages_not_read, _AT_ONCE),
    "pages read": (pages_read, _AT_ONCE),
    "log-ins hung up": (log_ins_hung_up, _AT_ONCE),
    "tiny chunks": (tiny_chunks, _AT_ONCE),
    "endless heads": (endless_heads, _AT_ONCE),
    "empty continuations": (empty_continuations, 10),
    "talking sockets": (talking_sockets, 15),
    "slow heads": (slow_heads, 1200),
}


async def _flood(name: str, aim: Aim, seconds: float) -> int:
    act, workers = FLOODS[name]
    until = time.monotonic() + seconds
    acts = 0

    async def work() -> None:
        nonlocal acts
        while time.monotonic() < until:
            try:
                async with asyncio.timeout(max(0.01, until - time.monotonic())):
                    await act(aim)
            except (OSError, TimeoutError, asyncio.IncompleteReadError):
                # Cut, refused, or full: again.
                await asyncio.sleep(0.01)
            acts += 1

    await asyncio.gather(*(work() for _ in range(workers)))
    return acts


if __name__ == "__main__":
    name, port, seconds, cookie, token = sys.argv[1:6]
    aim = Aim(int(port), cookie, token, tls="tls" in sys.argv[6:])
    print(asyncio.run(_flood(name, aim, float(seconds))))
