"""Sessions for which several requests ask in one turn of the event loop are read together.

When thousands come back at once, the ways to the database and back would cost more than what is
read there.
"""

import asyncio

from presence_server.accounts.sessions import Session, find_all
from presence_server.storage.database import Database

# A statement for each number of them is kept prepared.
_MOST = 32


class Finder:
    def __init__(self, database: Database) -> None:
        self._database = database
        # What others may still join.
        self._next: _Read | None = None

    async def find(self, secret: str, now: int) -> Session | None:
        """The live session that a cookie's secret id opens."""
        read = self._next
        if read is None:
            read = self._next = _Read(self, now)
        read.asked.append(secret)
        if len(read.asked) == _MOST:
            self._next = None
        try:
            return (await asyncio.shield(read.task)).get(secret)
        except asyncio.CancelledError:
            self._leave(read, secret)
            raise

    async def carry_out(self, read: "_Read", now: int) -> dict[str, Session]:
        # It begins when all have asked who ask in this turn.
        self._close(read)
        return await find_all(self._database, tuple(read.asked), now)

    def _leave(self, read: "_Read", secret: str) -> None:
        """Whoever goes leaves it to the others; for nobody at all nothing is read."""
        read.asked.remove(secret)
        if not read.asked:
            self._close(read)
            read.task.cancel()

    def _close(self, read: "_Read") -> None:
        if read is self._next:
            self._next = None


class _Read:
    def __init__(self, finder: Finder, now: int) -> None:
        # The secret ids of those who still wait.
        self.asked: list[str] = []
        self.task = asyncio.create_task(finder.carry_out(self, now))
