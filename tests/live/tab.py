"""A browser's tab as far as its socket goes."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection
from typing import Any

import aiohttp

from presence_server.presence.states import Status
from tests.presence.truth import Believer

# So long it waits for what must come: a busy machine breaks no promise.
WITHIN = 20.0


class Tab(Believer):
    """One socket, read all the while; `told` is what it was told of each user, in order."""

    def __init__(self, tutorial: bool, before: Believer | None = None) -> None:
        """`before`: the tab that it follows, with the cursor of which it comes."""
        super().__init__(tutorial)
        # Of whom it asked to be told; None: of everybody.
        self.view: frozenset[str] | None = None
        if before is not None:
            self.people, self.cursor = dict(before.people), before.cursor
        # Its number among the connections of its session.
        self.number = 0
        self.first: dict[str, Any] | None = None
        self.told: defaultdict[str, list[str]] = defaultdict(list)
        self._socket: aiohttp.ClientWebSocketResponse
        self._reader: asyncio.Task[None]
        self._changed = asyncio.Event()
        self._pongs = 0
        self._bye = False
        # Snapshots that it has asked for, and that it has had.
        self._asked, self._had = 1, 0

    async def open(
        self, http: aiohttp.ClientSession, url: str, query: str = "", **options: Any
    ) -> None:
        self._socket = await http.ws_connect(
            f"{url}/users/?{query or f'cursor={self.cursor}'}",
            protocols=() if self.tutorial else ("presence.v1",),
            # Pongs are to be seen.
            autoping=False,
            **options,
        )
        self._reader = asyncio.create_task(self._read())
        self._reader.add_done_callback(lambda reader: self._changed.set())
        await self.until(lambda: self.first is not None, "a first message")

    async def until(self, true: Callable[[], bool], what: str) -> None:
        try:
            async with asyncio.timeout(WITHIN):
                while not true():
                    if self._reader.done():
                        # With its error, if that is why it ended.
                        self._reader.result()
                        raise AssertionError(f"{self._socket.close_code} instead of {what}")
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"not within {WITHIN:.0f} s: {what}") from None

    async def catch_up(self) -> None:
        """Until it has read all that the server has written so far, and the server all of it."""
        pongs = self._pongs
        await self._socket.ping()
        await self.until(lambda: self._pongs > pongs, "a pong")

    async def watch(self, users: Collection[str] | None) -> None:
        """Be told of these only, from now on, or of everybody."""
        self.view = None if users is None else frozenset(users)
        self._asked = self._had + 1
        listed = None if users is None else sorted(users)
        await self._socket.send_json({"type": "watch", "users": listed})
        await self.until(lambda: self._had == self._asked, "those whom it watches")

    async def watch_again(self, before: "Tab") -> None:
        """The same as the tab that it follows, on a line that began with nobody."""
        self.view, self.people = before.view, dict(before.people)
        users = sorted(before.view or ())
        await self._socket.send_json({"type": "watch", "users": users, "cursor": before.cursor})
        await self.catch_up()

    async def say(self, status: Status, **more: str) -> None:
        await self._socket.send_json({"type": "status", "status": status, **more})

    async def close(self) -> None:
        await self._socket.close()
        await self._reader

    async def lose(self) -> None:
        """The line breaks without a word of WebSocket."""
        connection = self._socket._response.connection
        assert connection is not None and connection.transport is not None
        connection.transport.abort()
        await self._reader

    async def ended(self) -> int | None:
        """Wait until the server closes it, and return the code."""
        async with asyncio.timeout(WITHIN):
            await self._reader
        return self._socket.close_code

    async def _read(self) -> None:
        async for frame in self._socket:
            if frame.type is aiohttp.WSMsgType.PING:
                await self._socket.pong(frame.data)
            elif frame.type is aiohttp.WSMsgType.PONG:
                self._pongs += 1
            elif frame.type is aiohttp.WSMsgType.TEXT:
                self._hear(frame.json())
            self._changed.set()

    def _hear(self, message: dict[str, Any]) -> None:
        assert not self._bye, f"{message} after the bye"
        kind = message.get("type", "news")
        assert kind != "degraded", "one node alone is degraded"
        self._had += kind == "snapshot"
        # One who comes back is told what it missed.
        assert self._had <= self._asked, "a snapshot that nobody asked for"
        self.first = self.first or message
        self._bye = kind == "bye"
        if kind in ("news", "snapshot", "changes"):
            self._note(message)
            self.take(message)

    def _note(self, message: dict[str, Any]) -> None:
        if self.tutorial:
            word = "here" if message["is_logged_in"] else "offline"
            self.told[message["username"]].append(word)
            return
        for status in ("online", "away", "offline", "deleted"):
            for username in message.get(status, ()):
                self.told[username].append(status)
