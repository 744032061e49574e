"""People at a site behind a proxy, each on a machine of their own, with pages that come back."""

import asyncio
import random
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from testing.visitor import LiveSocket, Visitor

WITHIN = 60.0


class Place:
    """A site whose certificate is its own."""

    def __init__(self, url: str, certificate: Path) -> None:
        self.url = url
        self._certificate = certificate

    @asynccontextmanager
    async def visitor(self, address: str = "127.0.0.1") -> AsyncIterator[Visitor]:
        """A browser on a machine with this address."""
        connector = aiohttp.TCPConnector(
            resolver=_Loopback(),
            ssl=ssl.create_default_context(cafile=str(self._certificate)),
            local_addr=(address, 0),
        )
        async with aiohttp.ClientSession(connector=connector) as http:
            yield Visitor(self.url, http)


class _Loopback(AbstractResolver):
    """Every name is this machine."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0
            )
        ]

    async def close(self) -> None:
        pass


class Page:
    """A page that stays open: it comes back as the script of the real page does, and notes
    everybody whom it showed as offline."""

    def __init__(self, visitor: Visitor) -> None:
        self.visitor = visitor
        self.shown_offline: list[str] = []
        self.sockets = 0
        self.live: LiveSocket | None = None
        self._here: set[str] = set()

    async def stay(self) -> None:
        cursor, failures = None, 0
        while True:
            pause = random.uniform(0, min(30, 0.5 * 2**failures))
            try:
                async with self.visitor.live(cursor) as live:
                    self.sockets += 1
                    failures = 0
                    self.live = live
                    live.people.update(dict.fromkeys(self._here, "online"))
                    pause = max(pause, await self._watch(live))
                    cursor = live.cursor
            except (aiohttp.ClientError, OSError):
                failures += 1
            self.live = None
            await asyncio.sleep(pause)

    async def _watch(self, live: LiveSocket) -> float:
        retry_after = 0.0
        async for frame in live.raw:
            message = frame.json()
            live._apply(message)
            self.shown_offline += self._here - live.people.keys()
            self._here = set(live.people)
            retry_after = message.get("retry_after", retry_after)
        return retry_after

    def shows(self, names: set[str]) -> bool:
        return self.live is not None and self._here == names


@asynccontextmanager
async def staying(page: Page) -> AsyncIterator[Page]:
    task = asyncio.create_task(page.stay())
    try:
        yield page
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled(), task.exception()
