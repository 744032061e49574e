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
        # The secret ids of the next read, and what it will find.
        self._asked: list[str] = []
        self._found: asyncio.Task[dict[str, Session]] | None = None

    async def find(self, secret: str, now: int) -> Session | None:
        """The live session that a cookie's secret id opens."""
        if self._found is None:
            self._asked = []
            self._found = asyncio.create_task(self._find(self._asked, now))
        found = self._found
        self._asked.append(secret)
        if len(self._asked) == _MOST:
            self._found = None
        # Whoever goes leaves it to the others.
        return (await asyncio.shield(found)).get(secret)

    async def _find(self, asked: list[str], now: int) -> dict[str, Session]:
        # It begins when all have asked who ask in this turn.
        if asked is self._asked:
            self._found = None
        return await find_all(self._database, asked, now)
