"""A backend that receives webhooks: what it was told, and whether that can be right."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from random import Random
from typing import Any, NamedTuple

from aiohttp import web

Place = tuple[str, str]
Handler = Callable[[web.Request, "Delivered"], Awaitable[web.StreamResponse]]


class Delivered(NamedTuple):
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def data(self) -> Any:
        return json.loads(self.body)["data"]


class Receiver:
    """Believes what it is told, as long as that is not older than what it was told before."""

    def __init__(self) -> None:
        self.delivered: list[Delivered] = []
        self.accepted: list[Delivered] = []
        # By room and user, what it was told last.
        self.told: dict[Place, dict[str, Any]] = {}
        # Whether it believed something without acknowledging it.
        self.is_moody = False
        self.at_once = self.most_at_once = 0
        # What was older than what it was told before, and counts of others than it was told of.
        self.wrong: list[str] = []
        self.miscounted: list[str] = []
        # Answers in its place, while there is one.
        self.instead: Handler | None = None
        self._heard = asyncio.Event()
        self.url = ""

    def here(self, room: str = "doc") -> set[str]:
        """Who is in a room, as far as it was told."""
        return {
            user
            for (place, user), said in self.told.items()
            if place == room and said["status"] == "here"
        }

    async def until(self, holds: Callable[[], bool], within: float = 15) -> None:
        """Wait until something holds after a delivery."""
        try:
            async with asyncio.timeout(within):
                while not holds():
                    self._heard.clear()
                    await self._heard.wait()
        except TimeoutError:
            raise AssertionError(f"it was told {self.told}") from None

    async def hears(self, room: str, user: str, status: str, within: float = 15) -> Any:
        """Wait until somebody is said to be so: the last change."""
        def is_so() -> bool:
            return self.told.get((room, user), {}).get("status") == status

        await self.until(is_so, within)
        return self.told[room, user]

    @asynccontextmanager
    async def serve(self, port: int = 0) -> AsyncIterator[str]:
        """Receives at a URL, until it ends as if it had been killed."""
        app = web.Application()
        app.router.add_post("/hook", self._receive)
        runner = web.AppRunner(app, shutdown_timeout=0, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        found = runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{found}/hook"
        try:
            yield self.url
        finally:
            await runner.cleanup()

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            delivered = Delivered(request.headers.copy(), await request.read())
            self.delivered.append(delivered)
            self._heard.set()
            if self.instead is not None:
                return await self.instead(request, delivered)
            self.take(delivered)
            return web.Response(status=204)
        finally:
            self.at_once -= 1
            self._heard.set()

    def be_moody(self, chance: Random) -> None:
        """Fail now and then, before or after believing what it is told."""

        async def answer(request: web.Request, delivered: Delivered) -> web.StreamResponse:
            mood = chance.random()
            if mood > 0.1:
                self.take(delivered)
            if mood < 0.2:
                assert request.transport is not None
                request.transport.abort()
            return web.Response(status=200 if mood > 0.3 else 500)

        self.instead, self.is_moody = answer, True

    def knows(self) -> set[Place]:
        """Who is where, as far as it was told."""
        return {place for place, said in self.told.items() if said["status"] == "here"}

    def take(self, delivered: Delivered) -> None:
        """Believe it."""
        self.accepted.append(delivered)
        for change in delivered.data["changes"]:
            place = change["room"], change["user"]
            before = self.told.get(place)
            if before is not None and change["since"] < before["since"]:
                self.wrong.append(f"{change} after {before}")
            self.told[place] = change
        for change in delivered.data["changes"]:
            if change["count"] != len(self.here(change["room"])):
                self.miscounted.append(f"{change}, of {self.here(change['room'])}")
