"""The node's time: it ticks a few times a second, sooner when something is due, and sees pauses."""

import asyncio
import logging
import time
from collections.abc import Callable

from presence_server.background import Background, next_round_at
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
        # Whether the next tick does not wait for its round.
        self._hurries = False
        self._timer: asyncio.TimerHandle | None = None
        self._breathe = asyncio.Event()
        # How often this process stood still.
        self.stalls = 0

    def tick_soon(self) -> None:
        """Something is due that waits for more of its kind for a moment only."""
        if not self._hurries:
            self._hurries = True
            if self._timer is not None:
                self._timer.cancel()
                self._begin_to_wait()

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
            self._begin_to_wait()
            await self._due.wait()
            now = moment()
            if now.elapsed - before >= PAUSE:
                log.warning("this process stood still for %.1f s", now.elapsed - before)
                self.stalls += 1
            before = now.elapsed
            self._due.clear()
            self._hurries, self._timer = False, None
            self._tick(now)

    def _begin_to_wait(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        at = now + BATCHING if self._hurries else next_round_at(TICK, now)
        self._timer = loop.call_at(at, self._due.set)

    async def _wake_up(self) -> None:
        while True:
            await self._breathe.wait()
            self._breathe.clear()
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            self._woke(moment())


def moment() -> Moment:
    return Moment(time.monotonic(), int(time.time()))
