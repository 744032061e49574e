"""A transaction on PostgreSQL: a coroutine that may wait for its own statements only."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Sequence
from typing import Any

from presence_server.storage.engine import Row, T, Value
from presence_server.storage.postgresql_connections import PgConnection

_ALMOST_DONE = 0.1
# So many rows must be written within the patience for one answer.
_AT_ONCE = 1000


class _Asked:
    """What a transaction awaits: the answer to one statement."""

    def __init__(self, ask: Callable[[PgConnection], Awaitable[list[Row]]]) -> None:
        self.ask = ask

    def __await__(self) -> Generator["_Asked", list[Row], list[Row]]:
        return (yield self)


class Statements:
    """A Transaction on PostgreSQL, whose statements are carried out by run_through()."""

    async def execute(self, sql: str, *values: Value) -> list[Row]:
        return await _Asked(lambda connection: fetch(connection, sql, values))

    async def execute_many(self, sql: str, rows: Iterable[Sequence[Value]]) -> None:
        await _Asked(lambda connection: _execute_many(connection, sql, list(rows)))


async def run_through(work: Coroutine[Any, Any, T], connection: PgConnection) -> T:
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


async def fetch(connection: PgConnection, sql: str, values: Sequence[Value]) -> list[Row]:
    return [tuple(record) for record in await connection.fetch(sql, *values)]


async def to_its_end(asked: Coroutine[Any, Any, T]) -> T:
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
    connection: PgConnection, sql: str, rows: list[Sequence[Value]]
) -> list[Row]:
    for start in range(0, len(rows), _AT_ONCE):
        await connection.executemany(sql, rows[start : start + _AT_ONCE])
    return []
