"""One way through the door to the database: an SQLite file, for the processes of one machine."""

import asyncio
import errno
import logging
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiosqlite

from presence_server.storage.engine import (
    CLOSE_PATIENCE,
    WRITE_PATIENCE,
    Begun,
    DatabaseUnavailable,
    DatabaseUnusable,
    Row,
    T,
    Transaction,
    Value,
    Work,
)
from presence_server.storage.schema import open_reader, open_writer
from presence_server.storage.sqlite_troubles import troubles

# Seconds. Those in line wait longer than the first of them, so that they learn what holds it up.
_LEARN_WHY = 0.2
# How the names of SQLite's other files end: what they hold is of the database as much as itself.
_BESIDE_IT = ("-wal", "-shm", "-journal")

log = logging.getLogger(__name__)


class Sqlite:
    """An Engine: transactions go through a connection of their own, reads through another."""

    clock = "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"

    def __init__(self, path: Path, writer: "_Connection", reader: "_Connection") -> None:
        self._path = path
        self._writer = writer
        self._reader = reader
        self._file = _file_id(path)
        self._turn = asyncio.Lock()
        self._begun = Begun()

    async def read(self, sql: str, values: Sequence[Value]) -> list[Row]:
        wanted = True

        def look(connection: sqlite3.Connection) -> list[Row]:
            return _execute(sql, values, connection) if wanted else []

        with troubles(self._path, DatabaseUnavailable):
            try:
                return await self._reader.run(look)
            except asyncio.CancelledError:
                # It stays in the thread's line, and is passed over.
                wanted = False
                raise

    async def write(self, work: Work[T]) -> T:
        return await self._begun.run(self._transact_in_turn(work))

    async def take_room(self, transaction: Transaction) -> None:
        # What changes nothing, or is taken back, never reaches the disk.
        await transaction.execute(
            "INSERT INTO about (name, value) VALUES ('checked', $1)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            str(time.time_ns()),
        )

    async def continue_ids(self) -> None:
        """Nothing to do: AUTOINCREMENT counts on from the highest id it has seen."""

    async def backup(self, target: Path) -> None:
        with troubles(self._path, DatabaseUnavailable):
            await asyncio.to_thread(_copy, self._path, target)

    async def finish(self) -> None:
        """Wait for the transactions that have begun, or wait for their turn."""
        await self._begun.finish(CLOSE_PATIENCE)

    async def _transact_in_turn(self, work: Work[T]) -> T:
        deadline = time.monotonic() + WRITE_PATIENCE
        try:
            async with asyncio.timeout(WRITE_PATIENCE + _LEARN_WHY):
                await self._turn.acquire()
        except TimeoutError:
            raise self._too_slow() from None
        try:
            with troubles(self._path, DatabaseUnavailable):
                return await self._writer.run(partial(self._transact, work, deadline))
        finally:
            self._turn.release()

    def _transact(
        self,
        work: Work[T],
        deadline: float,
        connection: sqlite3.Connection,
    ) -> T:
        patience = max(0, round(1000 * (deadline - time.monotonic())))
        connection.execute(f"PRAGMA busy_timeout = {patience}")
        connection.execute("BEGIN IMMEDIATE")
        try:
            if time.monotonic() > deadline:
                raise self._too_slow()
            self._check_in_place()
            result = _run_through(work(_Statements(connection)))
            connection.execute("COMMIT")
        except BaseException:
            # A full disk has rolled back by itself.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return result

    def _too_slow(self) -> DatabaseUnavailable:
        return DatabaseUnavailable(
            f"The database {self._path} is slow: a transaction has waited in vain for its turn."
        )

    def _check_in_place(self) -> None:
        # SQLite would go on writing to a file that has lost its name, and all of it be lost.
        if _file_id(self._path) != self._file:
            raise DatabaseUnavailable(
                f"The database {self._path} was moved or deleted while it was in use."
            )


@asynccontextmanager
async def open_sqlite(path: Path, *, create: bool) -> AsyncIterator[Sqlite]:
    """The database at the absolute `path`, with the newest schema. Raises DatabaseUnusable."""
    async with AsyncExitStack() as stack:
        with troubles(path, DatabaseUnusable):
            writer = await stack.enter_async_context(
                _connected(partial(open_writer, path, create=create))
            )
            reader = await stack.enter_async_context(_connected(partial(open_reader, path)))
        engine = Sqlite(path, writer, reader)
        stack.push_async_callback(engine.finish)
        yield engine


class _Connection(aiosqlite.Connection):
    """A connection whose thread runs whole functions, and cannot keep the process alive."""

    def __init__(self, connector: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(connector, iter_chunk_size=64)
        # A connection that nobody closed would otherwise hang the process at its end.
        self._thread.daemon = True

    async def open(self) -> None:
        try:
            await self
        except Exception:
            # The thread is about to tell the event loop that it ends; the loop must be there.
            self._thread.join()
            raise

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        # One function is one turn of the thread: nothing comes between its statements, and
        # a caller that is cancelled leaves nothing half done.
        result: T = await self._execute(  # type: ignore[no-untyped-call]  # aiosqlite has no type
            lambda: function(self._conn)
        )
        return result


@asynccontextmanager
async def _connected(connector: Callable[[], sqlite3.Connection]) -> AsyncIterator[_Connection]:
    connection = _Connection(connector)
    await connection.open()
    try:
        yield connection
    finally:
        try:
            await asyncio.wait_for(connection.close(), CLOSE_PATIENCE)
        except (TimeoutError, sqlite3.Error) as error:
            log.error("A database connection did not close: %r", error)


class _Statements:
    """A Transaction on SQLite, whose statements never suspend."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def execute(self, sql: str, *values: Value) -> list[Row]:
        return _execute(sql, values, self._connection)

    async def execute_many(self, sql: str, rows: Iterable[Sequence[Value]]) -> None:
        self._connection.executemany(sql, (_named(row) for row in rows))


def _run_through(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end here and now, on a thread that has no event loop."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    work.close()
    raise RuntimeError("a transaction awaited something other than its own statements")


def _execute(sql: str, values: Sequence[Value], connection: sqlite3.Connection) -> list[Row]:
    return connection.execute(sql, _named(values)).fetchall()


def _named(values: Sequence[Value]) -> dict[str, Value]:
    # To SQLite `$1` is a parameter whose name is 1.
    return {str(number): value for number, value in enumerate(values, 1)}


def _copy(source: Path, target: Path) -> None:
    if target.exists() and target.samefile(source):
        raise FileExistsError(errno.EEXIST, "it is the database itself")
    # SQLite keeps them beside the file that a link leads to.
    if str(target.resolve()) in [f"{source.resolve()}{end}" for end in _BESIDE_IT]:
        raise FileExistsError(errno.EEXIST, "it is a file of the database itself")
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "it is a folder")
    if target.exists() and not target.is_file():
        raise FileExistsError(errno.EEXIST, "it is no file")
    with TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
        unfinished = Path(folder, target.name)
        with closing(open_reader(source)) as reader, closing(sqlite3.connect(unfinished)) as copy:
            # In one step, for a copy in several would begin again at every write in between.
            try:
                reader.backup(copy)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                    raise
                # Only the copy is written.
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
            # Without a -wal file of its own, the copy is one file that can be moved.
            copy.execute("PRAGMA journal_mode = DELETE")
        unfinished.chmod(0o600)
        unfinished.replace(target)


def _file_id(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
