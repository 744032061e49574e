"""Who must go: ended sessions, deleted accounts, tokens that hold no more.

An end is a numbered row, so that it reaches every process on the database, relay or not. What
accounts show of themselves has to reach every process as surely, and is told in the same way.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from presence_server.presence.timing import ENDINGS
from presence_server.storage.database import Database, Transaction
from presence_server.storage.engine import T, Work

# Seconds. A token lives for a day at most, and every node reads the endings each second.
KEEP = 2 * 24 * 60 * 60

_COLUMNS = "reason, session, app, room, username, account, issued_before, ended_at"

log = logging.getLogger(__name__)


class Reason(StrEnum):
    """Why somebody must go; PROFILE: nobody must, but an account shows something else of itself.

    Of another version of this server there may be others.
    """

    LOG_OUT = "log_out"
    PASSWORD = "password"
    DISABLED = "disabled"
    DELETED = "deleted"
    EXPIRED = "expired"
    ENDED = "ended"
    REVOKED = "revoked"
    PROFILE = "profile"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """The end of a session; without one, of an account with all it had; of an app, of tokens.

    Numbers grow in the order in which things ended. Tokens are those of an app that were issued in
    the second `issued_before` or before, of one user, for one room or for all.
    """

    number: int = 0
    reason: str
    session: str | None = None
    app: int = 0
    room: str | None = None
    # Empty: nobody's.
    username: str = ""
    account: int = 0
    issued_before: int | None = None
    ended_at: int


class Endings:
    """The one way to end anything: what is written here is heeded at once, not a second later.

    `nudge` is called after each transaction that may have ended something.
    """

    def __init__(self, database: Database, nudge: Callable[[], None] = lambda: None) -> None:
        self.database = database
        self._nudge = nudge

    async def write(self, work: Work[T], /) -> T:
        """Run a transaction that records endings, as Database.write() does."""
        try:
            return await self.database.write(work)
        finally:
            # Also for a caller who is cancelled: the transaction is carried through.
            self._nudge()


async def record(transaction: Transaction, endings: Collection[Ending]) -> None:
    """Write down endings, within the transaction that makes them so; their numbers are given."""
    # All at once: the way to the database may be long.
    await transaction.execute_many(
        f"INSERT INTO endings ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        [
            (
                str(ending.reason),
                ending.session,
                ending.app,
                ending.room,
                ending.username,
                ending.account,
                ending.issued_before,
                ending.ended_at,
            )
            for ending in endings
        ],
    )


async def forget_old(transaction: Transaction, now: int) -> None:
    """Forget endings that every node has read, and that no living token can be met by."""
    await transaction.execute("DELETE FROM endings WHERE ended_at < $1", now - KEEP)


async def after(database: Database, known: int) -> list[Ending]:
    """Those behind a number, in their order."""
    return [
        Ending(
            number=number,
            reason=reason,
            session=session,
            app=app,
            room=room,
            # NULL where another version has named nobody.
            username=username or "",
            account=account,
            issued_before=issued_before,
            ended_at=ended_at,
        )
        for number, reason, session, app, room, username, account, issued_before, ended_at in (
            await database.read(
                f"SELECT number, {_COLUMNS} FROM endings WHERE number > $1 ORDER BY number", known
            )
        )
    ]


async def why_ended(database: Database, session: str) -> str | None:
    rows = await database.read("SELECT reason FROM endings WHERE session = $1", session)
    return str(rows[0][0]) if rows else None


async def last(database: Database) -> int:
    """The highest number among the endings: what a node that starts need not read."""
    ((number,),) = await database.read("SELECT coalesce(max(number), 0) FROM endings")
    return int(number)


class EndingsReader:
    """Reads the endings that any process has written, in their order, and has them heeded.

    `due` waits until it is worth reading, at most so many seconds. `end` is told the session of
    each ending that has one, and its second; of the others, by their reason, somebody in `heed` is
    told.
    """

    def __init__(
        self,
        database: Database,
        *,
        due: Callable[[float], Awaitable[None]],
        end: Callable[[str, int], None],
        heed: Mapping[str, Callable[[Ending], None]],
    ) -> None:
        self._database = database
        self._due = due
        self._end = end
        self._heed = heed
        self._last = 0
        self._reading = asyncio.Lock()

    @property
    def heeded(self) -> int:
        """The number of the last ending that was heeded."""
        return self._last

    async def open(self) -> None:
        """Begin with what will end: what has ended is nobody's here."""
        self._last = await last(self._database)

    async def run(self) -> None:
        while True:
            await self._due(ENDINGS)
            await self.catch_up()

    async def read(self) -> None:
        # One at a time: what has been heeded is not heeded again, after something newer.
        async with self._reading:
            for ending in await after(self._database, self._last):
                self._take(ending)
                self._last = ending.number

    async def catch_up(self) -> None:
        """Heed what ended before this, as far as that can be read now."""
        await self._database.attempt(self.read())

    def _take(self, ending: Ending) -> None:
        if ending.session is not None:
            # Whatever the reason: it is over.
            self._end(ending.session, ending.ended_at)
        elif (heed := self._heed.get(ending.reason)) is not None:
            heed(ending)
        else:
            log.warning("ending %d is of a kind unknown here: %s", ending.number, ending.reason)
