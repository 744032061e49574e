"""Background work, of which no part may end unseen."""

import asyncio
import logging
from collections.abc import Coroutine
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")

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
