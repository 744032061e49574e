"""Connections to a PostgreSQL server, as they are lent: each in the state that we rely on."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import asyncpg

from presence_server.config import ConfigError, PostgresUrl
from presence_server.storage.engine import OPEN_PATIENCE
from presence_server.storage.postgresql_troubles import trouble_of

PgConnection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
PgPool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

# Seconds for one statement; a server that takes longer is as good as none.
ANSWER_PATIENCE = 5.0
CLOSE_PATIENCE = 0.3
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

log = logging.getLogger(__name__)


@asynccontextmanager
async def open_pool(
    url: PostgresUrl, size: int, *, reads_only: bool = False
) -> AsyncIterator[PgPool]:
    settings = _RELIED_ON + (_READS_ONLY if reads_only else "")

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
async def connected(pool: PgPool, patience: float) -> AsyncIterator[PgConnection]:
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
async def turn(connection: PgConnection, patience: float) -> AsyncIterator[None]:
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


def _is_lost(connection: PgConnection) -> bool:
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:
        # The pool has taken it back already.
        return True
