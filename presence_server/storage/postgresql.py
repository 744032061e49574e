"""The other way through the door: a PostgreSQL server, for the processes of several machines."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NoReturn

from presence_server.config import PostgresUrl
from presence_server.resources import POSTGRESQL_MIGRATIONS
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
from presence_server.storage.postgresql_connections import (
    PgConnection,
    PgPool,
    connected,
    open_pool,
    turn,
)
from presence_server.storage.postgresql_statements import Statements, fetch, run_through, to_its_end
from presence_server.storage.postgresql_troubles import POOLED, READ_ONLY, troubles

READERS = 4
# The process has few seconds to end in.
FINISH_PATIENCE = 0.5
_STEPS_PATIENCE = 600.0
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

# All columns whose numbers the database gives.
_NUMBERED = (
    "SELECT table_name, column_name FROM information_schema.columns"
    " WHERE table_schema = current_schema() AND is_identity = 'YES'"
)


class Postgresql:
    """An Engine. Transactions take turns in all processes, as they do on SQLite, so that what was
    read in one still holds when it writes, and endings appear in the order of their numbers."""

    clock = "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)"

    def __init__(self, name: str, writer: PgPool, reader: PgPool) -> None:
        self._name = name
        self._writer = writer
        self._reader = reader
        self._begun = Begun()

    async def read(self, sql: str, values: Sequence[Value]) -> list[Row]:
        with troubles(self._name, DatabaseUnavailable):
            async with connected(self._reader, WRITE_PATIENCE) as connection:
                return await to_its_end(fetch(connection, sql, values))

    async def write(self, work: Work[T]) -> T:
        return await self._begun.run(self._transact(work, time.monotonic() + WRITE_PATIENCE))

    async def take_room(self, transaction: Transaction) -> None:
        # Room for rows is taken at once, also for those that are taken back.
        for statement in _ROOM:
            await transaction.execute(statement)
        raise TakenBack

    async def continue_ids(self) -> None:
        async def work(transaction: Transaction) -> None:
            for table, id in await transaction.execute(_NUMBERED):
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
            async with connected(self._writer, WRITE_PATIENCE) as connection:
                async with turn(connection, deadline - time.monotonic()):
                    return await run_through(work(Statements()), connection)


@asynccontextmanager
async def open_postgresql(url: PostgresUrl, *, create: bool) -> AsyncIterator[Postgresql]:
    """The database with the newest schema. Raises DatabaseUnusable, and ConfigError for a URL
    that is none."""
    name = str(url)
    async with AsyncExitStack() as stack:
        writer = await stack.enter_async_context(open_pool(url, 1))
        # Like SQLite's reader it cannot write by mistake.
        reader = await stack.enter_async_context(open_pool(url, READERS, reads_only=True))
        with troubles(name, DatabaseUnusable):
            await _check_way(writer, reader)
            async with connected(writer, OPEN_PATIENCE) as connection:
                await _migrate(connection, create)
        engine = Postgresql(name, writer, reader)
        stack.push_async_callback(engine.finish)
        yield engine


async def _check_way(writer: PgPool, reader: PgPool) -> None:
    """Raise when two connections are one at the server: what one sets would hold for the other."""
    async with connected(writer, OPEN_PATIENCE) as one, connected(reader, OPEN_PATIENCE) as two:
        asked = [await each.fetchval("SELECT pg_backend_pid()") for each in (one, two)]
    if asked[0] == asked[1]:
        raise UnsoundDatabase(POOLED)


async def _migrate(connection: PgConnection, create: bool) -> None:
    """Take the steps that the database has not taken; without any, no turn is needed."""
    steps = read_steps(POSTGRESQL_MIGRATIONS.read_text("utf-8"))
    if await connection.fetchval("SHOW transaction_read_only") == "on":
        raise UnsoundDatabase(READ_ONLY)
    encoding = await connection.fetchval("SHOW server_encoding")
    if encoding != _ENCODING:
        raise UnsoundDatabase(f"keeps its texts as {encoding}: it must be made with {_ENCODING}")
    if await _taken(connection, steps) == len(steps):
        return
    async with turn(connection, OPEN_PATIENCE):
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


async def _taken(connection: PgConnection, steps: list[str]) -> int:
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
