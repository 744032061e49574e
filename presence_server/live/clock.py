"""The node's time: it ticks a few times a second, sooner when something is due, and sees pauses."""

import asyncio
import logging
import time
from collections.abc import Callable

from presence_server.background import Background
from presence_server.presence.moment import Moment
from presence_server.presence.timing import BATCHING, PAUSE, TICK

# Turns of the event loop in which closed sockets are found: one reads the end of the stream, one
# wakes who waits for it, one lets that see to it.
_TURNS = 3

log = logging.getLogger(__name__)


class Clock:
    """`tick` is called again and again; `woke` after a pause, when all is seen to that came in."""

    def __init__(self, tick: Callable[[Moment], None], woke: Callable[[Moment], None]) -> None:
        self._tick = tick
        self._woke = woke
        self._due = asyncio.Event()
        self._breathe = asyncio.Event()
        # How often this process stood still.
        self.stalls = 0

    def tick_soon(self) -> None:
        """Something is due that waits for more of its kind for a moment only."""
        self._due.set()

    def breathe(self) -> None:
        """This process stood still: see to what came in meanwhile."""
        self._breathe.set()

    async def run(self) -> None:
        """For ever."""
        async with Background() as tasks:
            tasks.start("presence ticks", self._keep_time())
            tasks.start("presence after pauses", self._wake_up())

    async def _keep_time(self) -> None:
        before = time.monotonic()
        while True:
            await self._wait_until_due()
            now = moment()
            if now.elapsed - before >= PAUSE:
                log.warning("this process stood still for %.1f s", now.elapsed - before)
                self.stalls += 1
            before = now.elapsed
            self._due.clear()
            self._tick(now)

    async def _wait_until_due(self) -> None:
        try:
            async with asyncio.timeout(TICK):
                await self._due.wait()
        except TimeoutError:
            return
        await asyncio.sleep(BATCHING)

    async def _wake_up(self) -> None:
        while True:
            await self._breathe.wait()
            self._breathe.clear()
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            self._woke(moment())


def moment() -> Moment:
    return Moment(time.monotonic(), int(time.time()))
