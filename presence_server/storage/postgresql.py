"""The other way through the door: a PostgreSQL server, for the processes of several machines."""

import asyncio
import logging
import ssl
import time
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Sequence,
)
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import asyncpg

from presence_server.storage.engine import (
    OPEN_PATIENCE,
    WRITE_PATIENCE,
    Begun,
    DatabaseUnavailable,
    DatabaseUnusable,
    NoBackup,
    Row,
    T,
    TakenBack,
    Transaction,
    Value,
    Work,
)
from presence_server.storage.migrations import UnsoundDatabase, check_known, read_steps
from presence_server.storage.postgresql_troubles import POOLED, READ_ONLY, trouble_of, troubles
from presence_server.config import ConfigError, PostgresUrl
from presence_server.resources import POSTGRESQL_MIGRATIONS

_Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
_Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

READERS = 4
# Seconds for one statement; a server that takes longer is as good as none.
ANSWER_PATIENCE = 5.0
# The process has few seconds to end in.
FINISH_PATIENCE = 0.5
CLOSE_PATIENCE = 0.3
_STEPS_PATIENCE = 600.0
_ALMOST_DONE = 0.1
# So many rows must be written within the patience for one answer.
_AT_ONCE = 1000
# Any number, the same in all processes: "pres".
_TURN = 0x70726573

# What we rely on, whatever the server, the database or the user has been given as usual. Said after
# connecting: poolers refuse what they do not know at the start.
_RELIED_ON = f"""
-- What one transaction has committed, the next one sees.
SET default_transaction_isolation = 'read committed';
-- A process that stands still must not keep the others from their turns.
SET idle_in_transaction_session_timeout = '{ANSWER_PATIENCE:.0f}s';
-- The patience is ours: a step of the schema may take minutes.
SET statement_timeout = 0;
-- What has been acknowledged is kept.
SELECT set_config('synchronous_commit', 'on', false)
    WHERE current_setting('synchronous_commit') = 'off';
"""
_READS_ONLY = "SET default_transaction_read_only = on"
# Others cannot hold every name; SQL_ASCII also holds what is no text, and cannot be read then.
_ENCODING = "UTF8"

# All that somebody who logs in anew may need, under numbers and keys that nobody has.
_ROOM = (
    "INSERT INTO users (id, username, lower_name, password_hash, created_at)"
    " VALUES (0, '', '', '', 0)",
    "INSERT INTO sessions (key, user_id, started_at, used_at, expires_at, address, device)"
    " VALUES ('', 0, 0, 0, 0, '', '')",
    "INSERT INTO endings (number, reason, app, account, ended_at) OVERRIDING SYSTEM VALUE"
    " VALUES (0, '', 0, 0, 0)",
    "INSERT INTO here (node, room, session, username, account, status, since, about)"
    " VALUES ('', '', '', '', 0, '', 0, '')",
)

log = logging.getLogger(__name__)


class Postgresql:
    """An Engine. Transactions take turns in all processes, as they do on SQLite, so that what was
    read in one still holds when it writes, and endings appear in the order of their numbers."""

    clock = "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)"

    def __init__(self, name: str, writer: _Pool, reader: _Pool) -> None:
        self._name = name
        self._writer = writer
        self._reader = reader
        self._begun = Begun()

    async def read(self, sql: str, values: Sequence[Value]) -> list[Row]:
        with troubles(self._name, DatabaseUnavailable):
            async with _connected(self._reader, WRITE_PATIENCE) as connection:
                return await _to_its_end(_fetch(connection, sql, values))

    async def write(self, work: Work[T]) -> T:
        return await self._begun.run(self._transact(work, time.monotonic() + WRITE_PATIENCE))

    async def take_room(self, transaction: Transaction) -> None:
        # Room for rows is taken at once, also for those that are taken back.
        for statement in _ROOM:
            await transaction.execute(statement)
        raise TakenBack

    async def continue_ids(self) -> None:
        async def work(transaction: Transaction) -> None:
            for table, id in (("users", "id"), ("apps", "id"), ("audit", "number")):
                numbers = f"{table}_{id}_seq"
                await transaction.execute(
                    f"SELECT setval('{numbers}', greatest("
                    f"(SELECT max({id}) FROM {table}), (SELECT last_value FROM {numbers})))"
                )

        await self.write(work)

    async def backup(self, target: Path) -> NoReturn:
        raise NoBackup(f"The database {self._name} is copied with PostgreSQL's own pg_dump.")

    async def finish(self) -> None:
        """Wait for the transactions that have begun."""
        await self._begun.finish(FINISH_PATIENCE)

    async def _transact(self, work: Work[T], deadline: float) -> T:
        with troubles(self._name, DatabaseUnavailable):
            async with _connected(self._writer, WRITE_PATIENCE) as connection:
                async with _turn(connection, deadline - time.monotonic()):
                    return await _run_through(work(_Statements()), connection)


@asynccontextmanager
async def open_postgresql(url: PostgresUrl, *, create: bool) -> AsyncIterator[Postgresql]:
    """The database with the newest schema. Raises DatabaseUnusable, and ConfigError for a URL
    that is none."""
    name = str(url)
    async with AsyncExitStack() as stack:
        writer = await stack.enter_async_context(_pool(url, 1, _RELIED_ON))
        # Like SQLite's reader it cannot write by mistake.
        reader = await stack.enter_async_context(_pool(url, READERS, _RELIED_ON + _READS_ONLY))
        with troubles(name, DatabaseUnusable):
            await _check_way(writer, reader)
            async with _connected(writer, OPEN_PATIENCE) as connection:
                await _migrate(connection, create)
        engine = Postgresql(name, writer, reader)
        stack.push_async_callback(engine.finish)
        yield engine


@asynccontextmanager
async def _pool(url: PostgresUrl, size: int, settings: str) -> AsyncIterator[_Pool]:
    async def set_up(connection: Any) -> None:
        await connection.execute(settings)

    pool = await asyncpg.create_pool(
        url.url,
        min_size=0,
        max_size=size,
        timeout=OPEN_PATIENCE,
        command_timeout=ANSWER_PATIENCE,
        # Nothing is left behind on a connection that would have to be cleared away.
        reset=_leave_as_is,
        init=set_up,
        server_settings={"application_name": "presence-server"},
    )
    try:
        yield pool
    finally:
        try:
            await asyncio.wait_for(pool.close(), CLOSE_PATIENCE)
        except TimeoutError:
            # It has cut its connections.
            log.error("A database connection did not close.")


async def _leave_as_is(connection: object) -> None: ...


@asynccontextmanager
async def _connected(pool: _Pool, patience: float) -> AsyncIterator[_Connection]:
    try:
        connection = await pool.acquire(timeout=patience)
    except ssl.CertificateError:
        # It is a ValueError.
        raise
    except ValueError:
        # What the driver says of a URL that is none may hold parts of the password.
        raise ConfigError(
            "--database (PRESENCE_DATABASE) must be a URL such as postgresql://user@host/name."
        ) from None
    try:
        yield connection
    except asyncpg.InterfaceError as error:
        # The driver calls mistakes by the same name.
        if not _is_lost(connection):
            raise
        raise asyncpg.ConnectionDoesNotExistError(str(error)) from error
    except Exception as error:
        # The next connection may find another server, or the same one started anew.
        if trouble_of(error) is not None and not _is_lost(connection):
            connection.terminate()
        raise
    finally:
        await pool.release(connection)


@asynccontextmanager
async def _turn(connection: _Connection, patience: float) -> AsyncIterator[None]:
    """A transaction, begun when no other process is in one of its own."""
    milliseconds = max(1, round(1000 * patience))  # 0 would be for ever
    try:
        await connection.execute(
            f"BEGIN; SET LOCAL lock_timeout = {milliseconds}; SELECT pg_advisory_xact_lock({_TURN})"
        )
        yield
        await connection.execute("COMMIT")
    except BaseException as error:
        # Of a connection in trouble nothing more is asked.
        if trouble_of(error) is None and not _is_lost(connection):
            await connection.execute("ROLLBACK")
        raise


async def _check_way(writer: _Pool, reader: _Pool) -> None:
    """Raise when two connections are one at the server: what one sets would hold for the other."""
    async with _connected(writer, OPEN_PATIENCE) as one, _connected(reader, OPEN_PATIENCE) as two:
        asked = [await each.fetchval("SELECT pg_backend_pid()") for each in (one, two)]
    if asked[0] == asked[1]:
        raise UnsoundDatabase(POOLED)


async def _migrate(connection: _Connection, create: bool) -> None:
    """Take the steps that the database has not taken; without any, no turn is needed."""
    steps = read_steps(POSTGRESQL_MIGRATIONS.read_text("utf-8"))
    if await connection.fetchval("SHOW transaction_read_only") == "on":
        raise UnsoundDatabase(READ_ONLY)
    encoding = await connection.fetchval("SHOW server_encoding")
    if encoding != _ENCODING:
        raise UnsoundDatabase(f"keeps its texts as {encoding}: it must be made with {_ENCODING}")
    if await _taken(connection, steps) == len(steps):
        return
    async with _turn(connection, OPEN_PATIENCE):
        # Asked again: another process may have taken the steps meanwhile.
        taken = await _taken(connection, steps)
        if not (taken or create):
            raise UnsoundDatabase("is empty")
        for step in steps[taken:]:
            await connection.execute(step, timeout=_STEPS_PATIENCE)
        await connection.execute(
            "INSERT INTO about (name, value) VALUES ('schema', $1)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            str(len(steps)),
        )


async def _taken(connection: _Connection, steps: list[str]) -> int:
    found = await connection.fetch(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = current_schema()"
        " AND table_name IN ('about', 'users', 'sessions', 'endings', 'here')"
    )
    if not found:
        return 0
    taken = None
    if {("about", "name"), ("about", "value")} <= {tuple(column) for column in found}:
        taken = await connection.fetchval("SELECT value FROM about WHERE name = 'schema'")
    if taken is None:
        raise UnsoundDatabase("belongs to another program")
    return check_known(int(taken), steps)


class _Asked:
    """What a transaction awaits: the answer to one statement."""

    def __init__(self, ask: Callable[[_Connection], Awaitable[list[Row]]]) -> None:
        self.ask = ask

    def __await__(self) -> Generator["_Asked", list[Row], list[Row]]:
        return (yield self)


class _Statements:
    """A Transaction on PostgreSQL, whose statements are carried out by _run_through()."""

    async def execute(self, sql: str, *values: Value) -> list[Row]:
        return await _Asked(lambda connection: _fetch(connection, sql, values))

    async def execute_many(self, sql: str, rows: Iterable[Sequence[Value]]) -> None:
        await _Asked(lambda connection: _execute_many(connection, sql, list(rows)))


async def _run_through(work: Coroutine[Any, Any, T], connection: _Connection) -> T:
    """Run a coroutine that may wait for its statements only: all others wait for their turn."""
    try:
        asked = work.send(None)
        while isinstance(asked, _Asked):
            try:
                answer = await asked.ask(connection)
            except Exception as error:
                asked = work.throw(error)
            else:
                asked = work.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        work.close()
    raise RuntimeError("a transaction awaited something other than its own statements")


async def _fetch(connection: _Connection, sql: str, values: Sequence[Value]) -> list[Row]:
    return [tuple(record) for record in await connection.fetch(sql, *values)]


async def _to_its_end(asked: Coroutine[Any, Any, T]) -> T:
    """What is asked; a caller who is cancelled waits a moment for the answer, for to stop it the
    driver would open another connection."""
    work = asyncio.ensure_future(asked)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait({work}, timeout=_ALMOST_DONE)
        work.cancel()
        raise


async def _execute_many(
    connection: _Connection, sql: str, rows: list[Sequence[Value]]
) -> list[Row]:
    for start in range(0, len(rows), _AT_ONCE):
        await connection.executemany(sql, rows[start : start + _AT_ONCE])
    return []


def _is_lost(connection: _Connection) -> bool:
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:
        # The pool has taken it back already.
        return True
