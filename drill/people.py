"""People who keep a page open, come back when it is lost, and write down what they were shown."""

import asyncio
import json
import random
from collections.abc import Callable
from time import monotonic
from typing import Protocol

import aiohttp

from drill.evidence import Evidence, Stay, View

# The room of an app, in which its people are.
ROOM = "doc"
# Seconds a page waits for its socket before it tries elsewhere.
PATIENCE = 2.0
# Seconds until the next attempt, when the server named no time.
LONGEST_PAUSE = 0.6


class Door(Protocol):
    """Where a server is to be found."""

    @property
    def url(self) -> str: ...


# Where to look for a socket, best first.
Choice = Callable[[], list[tuple[str, Door]]]


class Person:
    """One tab of one user."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        evidence: Evidence,
        username: str,
        cookie: str,
        choice: Choice,
        *,
        token: str = "",
    ) -> None:
        self.username = username
        self.cookie = cookie
        self.choice = choice
        # An app's, for somebody who is in its room.
        self.token = token
        # How each line says that it begins, if it says so.
        self.status = ""
        self.closes: list[int | None] = []
        # Whether to come back when the line is lost.
        self.returns = True
        self._http = http
        self._evidence = evidence
        self._attempt = 0
        self._retry_after: float | None = None
        self._stay: Stay | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._open = asyncio.Event()
        self._life: asyncio.Task[None] | None = None

    @property
    def node(self) -> str | None:
        return self._stay.node if self._stay is not None else None

    @property
    def is_open(self) -> bool:
        return self._open.is_set()

    def start(self) -> None:
        """Open the page; it is kept open until leave()."""
        assert self._life is None, f"{self.username} is here already"
        self._attempt = 0
        self._life = asyncio.create_task(self._live(), name=self.username)

    async def come(self, within: float = 15) -> None:
        self.start()
        await self.opened(within)

    async def opened(self, within: float = 15) -> None:
        async with asyncio.timeout(within):
            await self._open.wait()

    async def say(self, status: str, **further: str) -> None:
        """How this line is; with scope="user" it is a choice for all of them."""
        assert self._socket is not None
        await self._socket.send_json({"type": "status", "status": status, **further})

    def vanish(self) -> None:
        """Nothing passes on the line any more: from now on this is no socket of anybody's."""
        assert self._stay is not None
        self._stay.closed = monotonic()
        self.returns = False

    async def leave(self) -> None:
        """Close the tab."""
        life, self._life = self._life, None
        if life is not None:
            if self._stay is not None:
                self._stay.closed = min(self._stay.closed, monotonic())
            life.cancel()
            await asyncio.wait([life])

    async def _live(self) -> None:
        while True:
            pause = random.uniform(0, LONGEST_PAUSE)
            choice = self.choice()
            name, server = choice[self._attempt % len(choice)]
            try:
                await self._visit(name, server)
            except (aiohttp.ClientError, OSError, TimeoutError):
                pass
            if not self.returns:
                return
            self._attempt += 1
            if self._retry_after is not None:
                pause, self._retry_after = self._retry_after, None
            await asyncio.sleep(pause)

    async def _visit(self, name: str, server: Door) -> None:
        async with asyncio.timeout(PATIENCE):
            socket = await self._http.ws_connect(
                f"{server.url}{self._path()}",
                headers={"Cookie": self.cookie} if self.cookie else {},
                protocols=("presence.v1", *([f"token.{self.token}"] if self.token else [])),
                timeout=aiohttp.ClientWSTimeout(ws_close=0.3),
            )
        self._attempt = 0
        self._socket = socket
        stay = self._stay = Stay(self.username, name, monotonic())
        self._evidence.stays.append(stay)
        self._open.set()
        try:
            async for frame in socket:
                self._hear(frame.data)
            self.closes.append(socket.close_code)
        finally:
            stay.closed = min(stay.closed, monotonic())
            self._stay = self._socket = None
            self._open.clear()
            self._lost()
            await socket.close()

    def _path(self) -> str:
        path = f"/api/v1/rooms/{ROOM}" if self.token else "/users/"
        return f"{path}?status={self.status}" if self.status else path

    def _hear(self, text: str) -> None:
        if text.startswith('{"type":"bye"'):
            self._retry_after = json.loads(text).get("retry_after")

    def _lost(self) -> None:
        """The line is gone."""


class Observer(Person):
    """Stays at one node and records what it shows."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        evidence: Evidence,
        username: str,
        cookie: str,
        home: tuple[str, Door],
        *,
        token: str = "",
    ) -> None:
        super().__init__(http, evidence, username, cookie, lambda: [home], token=token)
        self.view = View(home[0])
        evidence.views.append(self.view)

    @property
    def is_told(self) -> bool:
        """Whether it is shown now exactly who has a socket open now."""
        return self._evidence.is_told(self.view)

    def _hear(self, text: str) -> None:
        self.view.hear(json.loads(text), monotonic())
        super()._hear(text)

    def _lost(self) -> None:
        self.view.lose(monotonic())
