"""Notices when the event loop stands still, and tells where."""

import asyncio
import logging
import sys
import threading
import traceback
from collections.abc import Callable
from time import monotonic

from presence_server.background import next_round_at

# Seconds between two signs of life of the loop, and the delay of one that is worth a line.
_INTERVAL = 0.25
_TOO_LONG = 1.0

log = logging.getLogger(__name__)


class Watchdog:
    """`observe` is told how late the loop is, a few times a second; from a thread of its own the
    stack of a loop that stands still is logged, once each time."""

    def __init__(self, observe: Callable[[float], None]) -> None:
        self._observe = observe
        self._due = monotonic()
        self._over = threading.Event()

    async def run(self) -> None:
        """Watch the loop that runs this, for ever."""
        watched = threading.get_ident()
        thread = threading.Thread(target=self._watch, args=(watched,), daemon=True, name="watchdog")
        self._due = monotonic()
        thread.start()
        try:
            while True:
                self._due = next_round_at(_INTERVAL, monotonic())
                await asyncio.sleep(self._due - monotonic())
                self._observe(max(0.0, monotonic() - self._due))
        finally:
            self._over.set()

    def _watch(self, watched: int) -> None:
        told = False
        while not self._over.wait(_TOO_LONG / 2):
            late = monotonic() - self._due
            if late > _TOO_LONG and not told:
                log.warning("the event loop stands still at\n%s", stack_of(watched))
            told = late > _TOO_LONG


def stack_of(thread: int) -> str:
    """Where a thread is, as far as its last eight calls."""
    frame = sys._current_frames().get(thread)
    return "".join(traceback.format_stack(frame)[-8:]).rstrip() if frame else "(gone)"
