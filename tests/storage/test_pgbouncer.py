"""PostgreSQL behind a pooler."""

import asyncio

import pytest

from presence_server.accounts import sessions, users
from presence_server.config import PostgresUrl
from presence_server.endings import Endings
from presence_server.storage.database import (
    Database,
    DatabaseUnavailable,
    Transaction,
    open_database,
)
from testing.pgbouncer import pooled

NOW = 1_795_420_800


async def test_by_session_everything_works(postgresql: PostgresUrl) -> None:
    async def count_up(db: Database) -> None:
        async def work(transaction: Transaction) -> None:
            ((seen,),) = await transaction.execute("SELECT last_seen FROM users")
            await transaction.execute("UPDATE users SET last_seen = $1", seen + 1)

        for _ in range(25):
            await db.write(work)

    with pooled(postgresql, "session") as url:
        for _ in range(2):
            async with open_database(url) as one, open_database(url) as two:
                await one.check_writable()
                alice = await users.create(one, "alice", "hash", NOW)
                secret, session = await sessions.start(Endings(one), alice.id, "::1", "", NOW)
                await users.record_last_seen(two, {"alice": 0})
                await asyncio.gather(count_up(one), count_up(two))
                assert await users.last_seen_of(two, ["alice"]) == {"alice": 50}
                assert await sessions.find(two, secret, NOW) == session
                with pytest.raises(DatabaseUnavailable):
                    await one.read("DELETE FROM users RETURNING id")
                await users.delete(Endings(one), alice.id, NOW)


async def test_by_transaction_it_says_what_is_wrong(postgresql: PostgresUrl) -> None:
    with pooled(postgresql, "transaction") as url:
        async with open_database(url) as db:
            results = await asyncio.gather(
                *(users.count(db) for _ in range(50)),
                *(users.create(db, f"user{number}", "hash", NOW) for number in range(10)),
                return_exceptions=True,
            )
    said = f"The database {url} lies behind a pooler that works by transaction:"
    assert any(str(result).startswith(said) for result in results), results
