"""A running relay, and all that has come out of it."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from presence_server import relay
from presence_server.relay import Relay
from testing.waiting import STALL

KEYS = (b"a key of the tests, of 32 bytes.",)


def open_relay(url: str, namespace: str, node: str) -> Relay:
    """With the keys that all nodes of the tests share."""
    return relay.open_relay(url, namespace, node, keys=KEYS)


class Node:
    """Use as `async with Node(relay) as node`: it is subscribed then."""

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self.heard: list[str] = []
        self.subscriptions = 0
        self.losses = 0
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        self.start()
        await self.until(lambda: self.subscriptions == 1)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.end()

    def start(self) -> None:
        self.life = asyncio.create_task(
            self.relay.run(self._deliver, self._subscribed, self._lost)
        )

    async def end(self) -> None:
        self.life.cancel()
        async with asyncio.timeout(2 + STALL):
            await asyncio.wait([self.life])
        assert self.life.cancelled(), self.life.exception()

    async def until(self, condition: Callable[[], bool], timeout: float = 15) -> None:
        """Wait for what the relay brings."""
        async with asyncio.timeout(timeout):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def hears(self, text: str, timeout: float = 15) -> None:
        await self.until(lambda: text in self.heard, timeout)

    async def hears_itself_say(self, text: str, timeout: float = 15) -> None:
        """Said once: for a time in which nothing may be lost."""
        self.relay.send(text)
        await self.hears(text, timeout)

    def _deliver(self, text: str) -> None:
        self.heard.append(text)
        self._changed.set()

    def _subscribed(self) -> None:
        self.subscriptions += 1
        self._changed.set()

    def _lost(self) -> None:
        self.losses += 1
        self._changed.set()
