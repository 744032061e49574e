"""A place that is never empty for long: what runs in it is started again, or replaced."""

import asyncio
import logging
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable
from contextlib import suppress
from signal import SIGTERM
from typing import Protocol

# Seconds. So often in a row it may end so soon after it served, or before, until that is given up.
_SOON = 5.0
_MOST_IN_A_ROW = 5
# Before it is started again; each further time in a row twice as long, for what it needs may come
# up later.
_PAUSE = 0.3
# As if it had ended with this status.
_NEVER_BEGAN = 1
# What has not ended so long after it was told to is killed.
ENDS_WITHIN = 5.5

log = logging.getLogger(__name__)


class Started(Protocol):
    """A process that was started."""

    process: Process

    async def ready(self) -> bool:
        """Wait until it serves; False if it has ended instead."""

    def forget(self) -> None:
        """It has ended: let go what was kept for it."""


class GivenUp(Exception):
    """What was tried again and again never lasts. `status` is for our own exit."""

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status = status


class Slot:
    """`start` begins a new process each time it is called; `left` is called when one died."""

    def __init__(
        self,
        name: str,
        start: Callable[[], Awaitable[Started]],
        left: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self._left = left
        # What serves; and all that have not ended, which are more while one is replaced.
        self.current: Started | None = None
        self._living: set[Started] = set()
        self._start = start
        self._changing = asyncio.Lock()

    async def fill(self) -> int | None:
        """The exit status of one that ended before it served."""
        new = await self._serving()
        if isinstance(new, int):
            return new
        self.current = new
        return None

    async def keep(self) -> None:
        """Start it again whenever it ends by itself, for ever. Raises GivenUp."""
        in_a_row, failed = 0, None
        while True:
            served, current = asyncio.get_running_loop().time(), self.current
            assert current is not None
            status = await self._wait(current) if failed is None else failed
            lasted = asyncio.get_running_loop().time() - served
            async with self._changing:
                failed = None
                if self.current is current:
                    in_a_row = in_a_row + 1 if lasted < _SOON else 1
                    failed = await self._start_again(status, in_a_row)

    async def replace(self) -> bool:
        """Start another, and end the one that is there once it serves; whether it came to that."""
        async with self._changing:
            former, new = self.current, await self._serving()
            if isinstance(new, int):
                status = worded(new)
                log.error("%s is not replaced: the new one has ended %s.", self.name, status)
                return False
            self.current = new
        if former is not None:
            await self._end(former)
        return True

    async def end(self) -> int:
        """End whatever runs; the worst exit status."""
        statuses = await asyncio.gather(*map(self._end, tuple(self._living)))
        # One that was just being started knows no better way to end.
        return max((abs(status) for status in statuses if status != -SIGTERM), default=0)

    async def _serving(self) -> Started | int:
        """A new one, once it serves; the exit status of one that ended before."""
        try:
            started = await self._start()
        except OSError as error:
            log.error("%s cannot be started: %s.", self.name, error)
            return _NEVER_BEGAN
        self._living.add(started)
        return started if await started.ready() else await self._wait(started)

    async def _start_again(self, status: int, in_a_row: int) -> int | None:
        if in_a_row > _MOST_IN_A_ROW:
            raise GivenUp(
                f"{self.name} has ended {in_a_row} times in a row soon after its start, "
                f"at last {worded(status)}: given up.",
                max(status, 1),
            )
        log.warning("%s has ended %s and is started again.", self.name, worded(status))
        self._left()
        await asyncio.sleep(_PAUSE * 2 ** (in_a_row - 1))
        return await self.fill()

    async def _end(self, started: Started) -> int:
        with suppress(ProcessLookupError):
            started.process.terminate()
        try:
            async with asyncio.timeout(ENDS_WITHIN):
                return await self._wait(started)
        except TimeoutError:
            log.critical("%s did not end by itself, and was killed.", self.name)
            started.process.kill()
            return await self._wait(started)

    async def _wait(self, started: Started) -> int:
        status = await started.process.wait()
        self._living.discard(started)
        started.forget()
        return status


def worded(status: int) -> str:
    return f"with status {status}" if status >= 0 else f"by signal {-status}"
