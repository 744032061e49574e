import asyncio

import pytest

from presence_server.accounts import sessions, users
from presence_server.accounts.finding import Finder
from presence_server.accounts.sessions import Session
from presence_server.endings import Endings
from presence_server.storage.database import Database, DatabaseUnavailable
from presence_server.storage.engine import Row, Value

pytestmark = pytest.mark.both_databases

NOW = 1_795_420_800


async def begin(db: Database, name: str) -> tuple[str, Session]:
    user = await users.create(db, name, "hash", NOW)
    return await sessions.start(Endings(db), user.id, "192.0.2.1", "Firefox on Linux", NOW)


async def test_who_asks_together_is_read_together_and_each_gets_their_own(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = [await begin(db, f"user{number}") for number in range(40)]
    reads, read = [], db.read

    async def counted(sql: str, *values: Value) -> list[Row]:
        reads.append(sql)
        return await read(sql, *values)

    monkeypatch.setattr(db, "read", counted)
    finder = Finder(db)
    asking = [finder.find(secret, NOW) for secret, _ in begun]
    *found, nobody, again = await asyncio.gather(
        *asking, finder.find("none", NOW), finder.find(begun[0][0], NOW)
    )
    assert found == [session for _, session in begun]
    assert nobody is None and again == begun[0][1]
    assert len(reads) == 2
    assert await finder.find(begun[1][0], NOW) == begun[1][1]


async def test_whoever_goes_leaves_the_read_to_the_others(db: Database) -> None:
    (one, _), (two, session) = await begin(db, "One"), await begin(db, "Two")
    finder = Finder(db)
    gone = asyncio.create_task(finder.find(one, NOW))
    stays = asyncio.create_task(finder.find(two, NOW))
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays == session
    assert gone.cancelled()


async def test_all_who_asked_hear_that_it_failed(db: Database) -> None:
    secret, session = await begin(db, "One")
    db.close()
    finder = Finder(db)
    failed = await asyncio.gather(
        finder.find(secret, NOW), finder.find("other", NOW), return_exceptions=True
    )
    assert [type(error) for error in failed] == [DatabaseUnavailable] * 2


async def test_who_comes_when_all_others_have_gone_is_read_anew(db: Database) -> None:
    (one, _), (two, session) = await begin(db, "One"), await begin(db, "Two")
    finder = Finder(db)
    gone = [asyncio.create_task(finder.find(one, NOW)) for _ in range(2)]
    await asyncio.sleep(0)
    for asking in gone:
        asking.cancel()
    assert await finder.find(two, NOW) == session
    assert [asking.cancelled() for asking in gone] == [True, True]
