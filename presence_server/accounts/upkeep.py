"""Sessions grow old while nobody uses them; an open page is use."""

import asyncio
import time
from collections.abc import Callable, Collection

from presence_server import submissions
from presence_server.accounts import audit, links, sessions
from presence_server.endings import Endings

_EVERY = 60.0  # seconds


async def keep_up(
    ends: Endings, in_use: Callable[[], Collection[str]], end: Callable[[str], None]
) -> None:
    """Note what is in use, end what is too old, for ever.

    `end` is told the sessions in use that are no more, should their endings have been missed.
    """
    database = ends.database
    while True:
        now = int(time.time())
        await database.attempt(sessions.touch(database, in_use(), now))
        await database.attempt(sessions.end_expired(ends, now))
        await database.attempt(links.forget_old(database, now))
        await database.attempt(audit.forget_old(database, now))
        await database.attempt(submissions.forget_old(database))
        await database.attempt(_end_unknown(ends, in_use(), end))
        await asyncio.sleep(_EVERY)


async def _end_unknown(
    ends: Endings, in_use: Collection[str], end: Callable[[str], None]
) -> None:
    for key in set(in_use) - await sessions.known(ends.database, in_use):
        end(key)
