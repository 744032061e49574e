"""A TCP proxy that fails as networks do: slow, silent one way or both ways, thin, or cut."""

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

Way = Literal["up", "down"]
CHUNK = 16 * 1024


class Proxy:
    """Use as `async with Proxy(to) as proxy`, then connect to proxy.port on 127.0.0.1.

    `to` is a (host, port) or the path of a Unix socket; it may be changed later, for new
    connections. "up" is the way to the server. Everything can be changed while it runs:
    delay (seconds, each way), rate (bytes a second, each way; None: no limit), stop() and go(),
    cut(), shut() and open(). With `tls` the proxy is the TLS end of the server.
    """

    def __init__(self, to: tuple[str, int] | Path, tls: ssl.SSLContext | None = None) -> None:
        self.to = to
        self.delay = 0.0
        self.rate: int | None = None
        self.port = 0
        self.accepted = 0
        self._tls = tls
        self._flowing: dict[Way, asyncio.Event] = {"up": asyncio.Event(), "down": asyncio.Event()}
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.go()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.shut()
        self.cut()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def stop(self, *ways: Way) -> None:
        """Copy nothing more in these ways (both when none is named); connections stay open."""
        for way in ways or self._flowing:
            self._flowing[way].clear()

    def go(self, *ways: Way) -> None:
        for way in ways or self._flowing:
            self._flowing[way].set()

    def cut(self) -> None:
        """End all connections at once; new ones are welcome."""
        for connection in self._connections:
            connection.cancel()

    def shut(self) -> None:
        """Refuse new connections; those there are stay."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def open(self) -> None:
        """Take connections again, on the same port."""
        self._server = await asyncio.start_server(
            self._welcome, "127.0.0.1", self.port, ssl=self._tls, backlog=1024
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        connection = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        try:
            with suppress(OSError):
                if isinstance(self.to, Path):
                    server = await asyncio.open_unix_connection(self.to)
                else:
                    server = await asyncio.open_connection(*self.to)
                writers.append(server[1])
                await self._copy_both(reader, writer, *server)
            # What one side said last still reaches the other; a stuck one is not waited for.
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(1):
                    for each in writers:
                        each.close()
                        await each.wait_closed()
        finally:
            for each in writers:
                each.transport.abort()
            await asyncio.gather(*(each.wait_closed() for each in writers), return_exceptions=True)

    async def _copy_both(
        self,
        client_reader: asyncio.StreamReader,
        client_writer: asyncio.StreamWriter,
        server_reader: asyncio.StreamReader,
        server_writer: asyncio.StreamWriter,
    ) -> None:
        """Until either side has ended: a presence server and its peers never half-close."""
        ways = [
            asyncio.create_task(self._copy("up", client_reader, server_writer)),
            asyncio.create_task(self._copy("down", server_reader, client_writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _copy(
        self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Chunks wait in a queue, so that a delay does not thin the stream."""
        loop = asyncio.get_running_loop()
        chunks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(64)

        async def take() -> None:
            with suppress(OSError):
                while data := await reader.read(CHUNK):
                    await chunks.put((loop.time(), data))
            await chunks.put((loop.time(), b""))

        taking = asyncio.create_task(take())
        try:
            while True:
                taken_at, data = await chunks.get()
                await asyncio.sleep(max(0.0, taken_at + self.delay - loop.time()))
                # A stopped way carries no end of the stream either.
                await self._flowing[way].wait()
                if not data:
                    return
                writer.write(data)
                await writer.drain()
                if self.rate is not None:
                    await asyncio.sleep(len(data) / self.rate)
        except OSError:
            return
        finally:
            taking.cancel()
