"""Background work: none of it may end unseen, and what is done again and again is done together."""

import asyncio
import logging
import math
import random
from collections.abc import Coroutine
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")

# The processes of a machine read the same clock, and are not all to work at the same instants.
_PHASE = random.random()
# What is left of a round when the next one has come: clocks and timers are not exact.
_NEAR = 1e-6

log = logging.getLogger(__name__)


class Background(asyncio.TaskGroup):
    """A TaskGroup of endless work: if any of it ends by itself, all of it ends with an error.

    A plain TaskGroup says nothing of a task that ends in a CancelledError, although it may come
    from what the task awaits, and not from whoever has the right to stop it.
    """

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self.create_task(_endless(name, work), name=name)


async def _endless(name: str, work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise RuntimeError(f"{name!r} was cancelled by what it waited for") from error
    raise RuntimeError(f"{name!r} has ended")


async def next_round(seconds: float) -> None:
    """Wait until what is done every so many seconds is to be done again: so long at most.

    Such rounds begin together, however long they are: a process that has slept finds the caches of
    the processor cold, and to wake up costs more than what there is to do.
    """
    now = asyncio.get_running_loop().time()
    await asyncio.sleep(next_round_at(seconds, now) - now)


def next_round_at(seconds: float, now: float) -> float:
    """When that is, by the clock of the event loop."""
    return _PHASE + (math.floor((now - _PHASE) / seconds + _NEAR) + 1) * seconds


async def carried_through(
    work: asyncio.Future[T], *, expected: tuple[type[Exception], ...] = ()
) -> T:
    """What comes of `work`, which goes on to its end when the caller is cancelled.

    Nobody hears then of its failure, so that it is logged, unless it is one of the `expected`.
    """
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        work.add_done_callback(partial(_tell_failure, expected))
        raise


def _tell_failure(
    expected: tuple[type[Exception], ...], work: asyncio.Future[Any]
) -> None:
    error = None if work.cancelled() else work.exception()
    if error is not None and not isinstance(error, expected):
        log.error("work that nobody waited for any more has failed", exc_info=error)
