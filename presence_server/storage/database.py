"""The only door to the database: opening it, reading, whole transactions, a copy of it.

Two ways lead through it: sqlite.py and postgresql.py. What differs between the two is there, and in
the two scripts of migrations; the SQL of all others is written for both.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from pathlib import Path

from presence_server.storage.engine import (
    DatabaseUnavailable,
    DatabaseUnusable,
    Engine,
    NoBackup,
    Read,
    Row,
    T,
    TakenBack,
    Transaction,
    Value,
    Work,
    Writer,
)
from presence_server.storage.sqlite import open_sqlite
from presence_server.config import ConfigError, PostgresUrl
from presence_server.logs import Seldom

__all__ = [
    "Database",
    "DatabaseUnavailable",
    "DatabaseUnusable",
    "UNFINISHED",
    "NoBackup",
    "Read",
    "Row",
    "TakenBack",
    "Transaction",
    "Value",
    "Writer",
    "open_database",
]


# Stands in `about` of a database that holds a part of another: the identity of that one.
UNFINISHED = "unfinished copy of"
# Stands in `about` of a copy: the site whose database it was copied from.
SITE = "site"

_CHECK_EVERY = 1.0  # seconds
_UNEXPECTED_EVERY = 60.0

log = logging.getLogger(__name__)

Timed = Callable[[str, float], None]


class Database:
    """An open database, as open_database() gives it.

    Transactions go one after the other; reads never wait for them. The log has one line when it
    ceases to serve, and one when it serves again.
    """

    def __init__(self, name: str, engine: Engine, timed: Timed) -> None:
        # As sentences call it.
        self.name = name
        # A random name, given when the database was made.
        self.identity = ""
        # Names whom it serves: a copy serves those of the database that it was copied from.
        self.site = ""
        # How often it could not serve, by kind.
        self.failures: Counter[str] = Counter()
        # SQL for the Unix milliseconds by the database's clock, which all who use it share.
        self.clock = engine.clock
        self._engine = engine
        self._closed = False
        # When each kind was last asked for what it then served.
        self._served: dict[str, float] = {}
        self._not_serving: set[str] = set()
        self._checking = asyncio.Lock()
        self._check_due = 0.0
        self._not_writable: str | None = None
        self._unexpected = Seldom(log, _UNEXPECTED_EVERY)
        self._timed = timed

    async def identify(self, *, unfinished: bool) -> None:
        """Read which database it is. Raises DatabaseUnusable."""
        try:
            rows = await self.read("SELECT name, value FROM about")
        except DatabaseUnavailable as error:
            raise DatabaseUnusable(str(error)) from error
        about: dict[str, str] = dict(rows)
        if UNFINISHED in about and not unfinished:
            raise DatabaseUnusable(
                f"The database {self.name} is an unfinished copy of another: copy it again."
            )
        if "identity" not in about:
            raise DatabaseUnusable(f"The database {self.name} is damaged: it has no identity.")
        self.identity = about["identity"]
        self.site = about.get(SITE, self.identity)

    async def read(self, sql: str, *values: Value) -> list[Row]:
        with self._serving("read"):
            return await self._engine.read(sql, values)

    async def write(self, work: Work[T], /) -> T:
        """Run `work` as one transaction: all of it happens or nothing, whoever is cancelled.

        `work` may await nothing but its own statements. A transaction that has waited too long
        for its turn is not begun.
        """
        done = await self._write(work)
        if "write" in self._not_serving:
            # On a full disk much can be written that needs no room, and proves nothing.
            await self.why_not_writable()
        return done

    async def attempt(self, work: Awaitable[object]) -> None:
        """Await background work, which is done again later whatever becomes of it now.

        A database that cannot serve is no reason to take all else down with it.
        """
        try:
            await work
        except DatabaseUnavailable:
            # It has said so itself.
            pass
        except Exception:
            self.failures["unexpected"] += 1
            self._unexpected.error("between presence and database", exc_info=True)

    async def check_writable(self) -> None:
        """Raise DatabaseUnavailable unless an account could be made and somebody log in.

        It writes: what everybody may ask is why_not_writable().
        """
        with suppress(TakenBack):
            await self._write(self._engine.take_room)
        self._end_trouble("write")

    async def why_not_writable(self) -> str | None:
        """A sentence, or None. Looked into once a second, and after a failure, whoever asks."""
        async with self._checking:
            if time.monotonic() >= self._check_due:
                self._not_writable = await self._check()
                self._check_due = time.monotonic() + _CHECK_EVERY
            return self._not_writable

    async def backup(self, target: Path) -> None:
        """Write what is committed to `target`, which appears complete or not at all.

        Raises OSError when it cannot be written there, and NoBackup.
        """
        await self._engine.backup(target)

    async def continue_ids(self) -> None:
        """Let new users have higher ids than all there are, after ids were given to them."""
        await self._engine.continue_ids()

    def close(self) -> None:
        """Take nothing new; what has begun goes on. open_database() calls this."""
        self._closed = True

    async def _write(self, work: Work[T]) -> T:
        with self._serving("write"):
            return await self._engine.write(work)

    async def _check(self) -> str | None:
        try:
            await self.check_writable()
        except DatabaseUnavailable as error:
            return str(error)
        return None

    @contextmanager
    def _serving(self, kind: str) -> Iterator[None]:
        if self._closed:
            raise DatabaseUnavailable(f"The database {self.name} is closed.")
        started = time.monotonic()
        try:
            yield
        except DatabaseUnavailable as error:
            self._note_failure(kind, started, error)
            raise
        except TakenBack:
            self._note_success(kind, started)
            raise
        else:
            self._note_success(kind, started)
        finally:
            self._timed(kind, time.monotonic() - started)

    def _note_failure(self, kind: str, started: float, error: DatabaseUnavailable) -> None:
        self.failures[kind] += 1
        # Whatever was found out before.
        self._check_due = 0.0
        # What was asked for before it served again, and failed only now, is no news.
        if started < self._served.get(kind, 0.0):
            return
        if not self._not_serving:
            log.error("%s", error)
        self._not_serving.add(kind)

    def _note_success(self, kind: str, started: float) -> None:
        self._served[kind] = started
        if kind == "read":
            self._end_trouble(kind)

    def _end_trouble(self, kind: str) -> None:
        if kind in self._not_serving:
            self._not_serving.remove(kind)
            if not self._not_serving:
                log.info("The database %s serves again.", self.name)


@asynccontextmanager
async def open_database(
    place: Path | PostgresUrl,
    *,
    create: bool = True,
    unfinished: bool = False,
    timed: Timed = lambda kind, seconds: None,
) -> AsyncIterator[Database]:
    """The database at `place`, made if need be, with the newest schema.

    An `unfinished` copy of another database is for nobody but the one who goes on copying. `timed`
    is given the kind of each read and write, and the seconds that it took. Raises DatabaseUnusable,
    and ConfigError where PostgreSQL needs what is not installed.
    """
    # Absolute: SQLite gives some relative names a meaning of their own, such as ":memory:".
    try:
        place = place.absolute()
    except FileNotFoundError as error:
        raise DatabaseUnusable(
            f"The database {place} is nowhere: the current folder is no more."
        ) from error
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(_opened(place, create))
        database = Database(str(place), engine, timed)
        stack.callback(database.close)
        await database.identify(unfinished=unfinished)
        yield database


def _opened(place: Path | PostgresUrl, create: bool) -> AbstractAsyncContextManager[Engine]:
    if isinstance(place, Path):
        return open_sqlite(place, create=create)
    try:
        # Here, because few need it: it comes with an extra of its own.
        from presence_server.storage.postgresql import open_postgresql
    except ImportError as error:
        raise ConfigError(
            "--database (PRESENCE_DATABASE) names a PostgreSQL server, and its driver is not "
            "installed: pip install 'presence-server[postgresql]'."
        ) from error
    return open_postgresql(place, create=create)
