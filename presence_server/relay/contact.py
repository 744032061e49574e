"""Whether there is contact with Redis, as it stands in the log, and how soon it is tried again."""

import asyncio
import logging
import math
import random
from time import monotonic

from presence_server.relay.redis_server import NoContact

log = logging.getLogger(__name__)

FIRST_DELAY = 0.05
LONGEST_DELAY = 1.0
LOG_INTERVAL = 60.0


class Pause:
    """The time between two attempts: longer each time, never the same for two nodes."""

    def __init__(self) -> None:
        self._delay = FIRST_DELAY

    def reset(self) -> None:
        self._delay = FIRST_DELAY

    async def wait(self) -> None:
        await asyncio.sleep(self._delay * random.uniform(0.5, 1))
        self._delay = min(self._delay * 2, LONGEST_DELAY)


class Contact:
    """Says once in the log when Redis is lost and once when it is back, at most once a minute."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._open: set[str] = set()
        self._told_at = -math.inf
        self._told = False

    @property
    def whole(self) -> bool:
        return self._open == {"publishing", "listening"}

    def lost(self, way: str, failure: NoContact) -> None:
        self._open.discard(way)
        if not self._told and monotonic() - self._told_at >= LOG_INTERVAL:
            log.warning(
                "No contact with Redis at %s: alone for now, and trying again: %s",
                self._name,
                failure,
            )
            self._told_at = monotonic()
            self._told = True

    def made(self, way: str) -> None:
        self._open.add(way)
        if self.whole and self._told:
            log.info("Redis at %s is back", self._name)
            self._told = False

    def end(self) -> None:
        self._open.clear()
