"""PostgreSQL behind a pooler."""

import asyncio

import pytest

from presence_server.accounts import sessions, users
from presence_server.config import PostgresUrl
from presence_server.endings import Endings
from presence_server.storage.database import (
    Database,
    DatabaseUnavailable,
    DatabaseUnusable,
    Transaction,
    open_database,
)
from testing.pgbouncer import pooled
from tests.last_seen import last_seen_of

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
                await users.record_last_seen(two, {"alice": 0}, 0)
                await asyncio.gather(count_up(one), count_up(two))
                assert await last_seen_of(two, "alice") == 50
                assert await sessions.find(two, secret, NOW) == session
                with pytest.raises(DatabaseUnavailable):
                    await one.read("DELETE FROM users RETURNING id")
                await users.delete(Endings(one), alice.id, NOW)


@pytest.mark.parametrize("mode", ["transaction", "statement"])
async def test_otherwise_it_does_not_open_and_says_why(postgresql: PostgresUrl, mode: str) -> None:
    with pooled(postgresql, mode) as url:
        for _ in range(3):
            with pytest.raises(DatabaseUnusable) as refused:
                async with open_database(url):
                    pass
            assert str(refused.value) == (
                f"The database {url} lies behind a pooler that works by transaction: it must work "
                "by session."
            )
