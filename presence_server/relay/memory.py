"""The relay of a server that is alone: nothing leaves the process."""

import asyncio
from collections.abc import Callable

from presence_server.relay.backlog import Backlog

BATCH_MESSAGES = 100
BATCH_CHARACTERS = 1024 * 1024
RESUBSCRIBE = "resubscribe"


class MemoryBus:
    """Joins the relays of several nodes in one process."""

    def __init__(self) -> None:
        self.relays: dict[str, MemoryRelay] = {}


class MemoryRelay:
    def __init__(self, node: str, bus: MemoryBus | None = None) -> None:
        self.sent = 0
        self.received = 0
        self.forged = self.repeated = 0
        self.resubscribed = 0
        self._node = node
        self._bus = bus or MemoryBus()
        self._inbox = Backlog()
        self._resubscribing = False

    @property
    def connected(self) -> bool:
        return self._node in self._bus.relays

    @property
    def dropped(self) -> int:
        return self._inbox.dropped

    async def check(self) -> bool:
        return True

    def send(self, text: str, to: str | None = None) -> None:
        for node, relay in self._bus.relays.items():
            if to is None or to == node:
                relay._inbox.put(text)
        self.sent += 1

    def resubscribe(self) -> None:
        if self.connected and not self._resubscribing:
            self._resubscribing = True
            self._inbox.put("", kind=RESUBSCRIBE)

    async def run(
        self,
        deliver: Callable[[str], None],
        subscribed: Callable[[], None],
        lost: Callable[[], None],
    ) -> None:
        self._bus.relays[self._node] = self
        try:
            subscribed()
            while True:
                await self._inbox.wait()
                for message in self._inbox.take(BATCH_MESSAGES, BATCH_CHARACTERS):
                    if message.kind == RESUBSCRIBE:
                        self._resubscribing = False
                        lost()
                        self.resubscribed += 1
                        subscribed()
                    else:
                        self.received += 1
                        deliver(message.text)
                await asyncio.sleep(0)
        finally:
            del self._bus.relays[self._node]

    async def flush(self, timeout: float) -> None:
        """What was sent lies in the inboxes already."""
