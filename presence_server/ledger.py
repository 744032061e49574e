"""What passes between the roster and the database: ended sessions in, who is here out.

Who is here must survive a restart, and a session that ends must lose its sockets within a second,
also when another process ended it and the relay is down: so both go by way of the database.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable

from presence_server.accounts import notes, sessions, users
from presence_server.storage.database import Database, DatabaseUnavailable
from presence_server.accounts.sessions import Reason
from presence_server.background import Background
from presence_server.live.service import PresenceService
from presence_server.logs import Seldom
from presence_server.presence.node import Entry, Record

# Seconds. A session that ended must have lost its sockets a second later, all in all.
_READ_ENDINGS_EVERY = 0.7
_WRITE_EVERY = 0.5
_TOUCH_EVERY = 60.0
# Most of it has been written before, and the process has few seconds to end in.
_CLOSE_WITHIN = 1.5
# Who is here is written anew with every touch: what is older is a dead node's.
_NOTES_HOLD = 2 * _TOUCH_EVERY
_UNEXPECTED_EVERY = 60.0

log = logging.getLogger(__name__)


class Ledger:
    """Keeps one database and one node's presence in agreement."""

    def __init__(self, database: Database, presence: PresenceService) -> None:
        self._database = database
        self._presence = presence
        self._last_ending = 0
        # Not written yet: kept while the database cannot be written.
        self._unwritten = Record({}, set(), {})
        self._writing = asyncio.Lock()
        # Nodes that were dropped, and whose notes are still there.
        self._dropped: set[str] = set()
        self._unexpected = Seldom(log, _UNEXPECTED_EVERY)

    async def open(self) -> None:
        """Take over who was here before a restart."""
        self._last_ending = await sessions.last_ending(self._database)
        for was in await notes.who_was_here(self._database):
            entry = Entry(was.status, was.since)
            self._presence.adopt(was.key, was.username, entry, was.noted_at)

    async def forget_departed(self) -> None:
        """Forget what nodes wrote down that do not live; what they knew has been taken over."""
        await self._try(self._write_record())
        node = self._presence.node
        await self._try(
            notes.forget_all_but(self._database, {node.name, *node.cluster.peers})
        )

    async def run(self) -> None:
        """Read and write in turns, for ever."""
        async with Background() as tasks:
            tasks.start("read endings", self._read_endings())
            tasks.start("write who is here", self._write_records())
            tasks.start("read notes", self._read_notes())
            tasks.start("touch sessions", self._touch_sessions())

    async def close(self) -> None:
        """Write down who is here at the end."""
        try:
            async with asyncio.timeout(_CLOSE_WITHIN):
                await self._try(self._write_record(whole=True))
        except TimeoutError:
            log.error("The database takes too long to be waited for at the end.")

    async def _read_endings(self) -> None:
        while True:
            await self._presence.endings_due(_READ_ENDINGS_EVERY)
            await self._try(self._read_new_endings())

    async def _read_new_endings(self) -> None:
        for ending in await sessions.endings_after(self._database, self._last_ending):
            if ending.session_key is not None:
                self._presence.end(ending.session_key)
            elif ending.reason is Reason.DELETED:
                self._presence.delete(ending.username, ending.ended_at)
            self._last_ending = ending.number

    async def _write_records(self) -> None:
        while True:
            await asyncio.sleep(_WRITE_EVERY)
            await self._try(self._write_record())

    async def _write_record(self, *, whole: bool = False) -> None:
        async with self._writing:
            self._unwritten = _joined(self._unwritten, self._presence.take_record(whole=whole))
            here, gone, last_seen = self._unwritten
            node, now = self._presence.node.name, int(time.time())
            await notes.write(self._database, node, here, gone, now)
            if last_seen:
                await users.record_last_seen(self._database, last_seen)
            self._unwritten = Record({}, set(), {})

    async def _read_notes(self) -> None:
        while True:
            await asyncio.sleep(_WRITE_EVERY)
            await self._try(self._heed_notes())
            await self._try(self._forget_dropped())

    async def _heed_notes(self) -> None:
        since = self._presence.unheard_since
        if since is None:
            self._presence.heed({})
            return
        since = max(since, int(time.time() - _NOTES_HOLD))
        noted = await notes.elsewhere(self._database, self._presence.node.name, since)
        self._presence.heed({name: Entry(*entry) for name, entry in noted.items()})

    async def _forget_dropped(self) -> None:
        # A server that starts later must not bring back whom the others have let go.
        cluster = self._presence.node.cluster
        self._dropped |= cluster.take_dropped()
        # Who was dropped may be back by the time that the database can be written.
        self._dropped -= cluster.peers
        if self._dropped:
            forgotten = frozenset(self._dropped)
            await notes.forget(self._database, forgotten)
            self._dropped -= forgotten

    async def _touch_sessions(self) -> None:
        while True:
            now = int(time.time())
            await self._try(sessions.touch(self._database, self._presence.hub.sessions(), now))
            await self._try(sessions.end_expired(self._database, now))
            await self._try(self._write_record(whole=True))
            await asyncio.sleep(_TOUCH_EVERY)

    async def _try(self, work: Awaitable[object]) -> None:
        # A database that cannot serve is no reason to take presence down with it.
        try:
            await work
        except DatabaseUnavailable:
            # It has said so itself.
            pass
        except Exception:
            self._database.failures["unexpected"] += 1
            self._unexpected.error("between roster and database", exc_info=True)


def _joined(older: Record, newer: Record) -> Record:
    here = {key: entry for key, entry in older.here.items() if key not in newer.gone}
    gone = older.gone - newer.here.keys()
    return Record(here | newer.here, gone | newer.gone, older.last_seen | newer.last_seen)
