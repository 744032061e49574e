"""Who must go: what is written of it, and who heeds it."""

import asyncio
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import pytest

from presence_server import endings
from presence_server.accounts import sessions, users
from presence_server.accounts.upkeep import keep_up
from presence_server.endings import Ending, Endings, EndingsReader, Reason
from presence_server.storage.database import Database, Transaction
from testing.waiting import first_answer, until

NOW = 1_795_420_800


class Heeded:
    """A reader of endings, with what it had heeded."""

    def __init__(self, db: Database) -> None:
        self.said: list[object] = []
        self.reader = EndingsReader(
            db,
            due=asyncio.sleep,
            end=lambda session, at: self.said.append(session),
            heed={
                Reason.DELETED: lambda ending: self.said.append(ending.account),
                Reason.REVOKED: lambda ending: self.said.append((ending.app, ending.username)),
            },
        )


async def write(db: Database, *new: Ending) -> None:
    async def work(transaction: Transaction) -> None:
        await endings.record(transaction, new)

    await db.write(work)


def ending(reason: str, **others: str | int | None) -> Ending:
    return Ending(reason=reason, ended_at=NOW, **others)  # type: ignore[arg-type]  # by name


@pytest.mark.both_databases
async def test_an_ending_is_read_as_it_was_written(db: Database) -> None:
    all_of_it = Ending(
        number=1,
        reason="revoked",
        session=None,
        app=7,
        room="doc:42",
        username="mia",
        account=0,
        issued_before=NOW,
        ended_at=NOW + 1,
    )
    await write(db, all_of_it, ending("ended", session="s", username="noah", account=3))
    first, second = await endings.after(db, 0)
    assert first == all_of_it
    assert (second.number, second.session, second.app) == (2, "s", 0)


async def test_each_kind_is_heeded_in_its_order_and_once(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await write(db, ending("ended", session="before the start"))
    heeded = Heeded(db)
    await heeded.reader.open()
    await write(
        db,
        ending("ended", session="s"),
        # Of a newer version: a session ends whatever the reason, of the rest nothing is known.
        ending("moonlight", session="t"),
        ending("moonlight", account=3),
        ending(Reason.DELETED, account=4, username="mia"),
        ending(Reason.REVOKED, app=7, username="noah"),
    )
    await heeded.reader.read()
    await heeded.reader.read()
    assert heeded.said == ["s", "t", 4, (7, "noah")]
    assert heeded.reader.heeded == 6
    (warning,) = caplog.records
    assert warning.levelname == "WARNING" and "moonlight" in warning.message


async def test_whoever_ends_something_has_it_heeded_at_once(db: Database) -> None:
    nudges: list[int] = []

    def nudge() -> None:
        nudges.append(1)

    ends = Endings(db, nudge)
    user = await users.create(db, "Mia", "hash", NOW)

    async def log_in() -> str:
        return (await sessions.start(Endings(db), user.id, "::1", "phone", NOW))[1].key

    for act in (
        sessions.end(ends, await log_in(), NOW),
        sessions.end_all(ends, user.id, NOW),
        sessions.end_expired(ends, NOW),
        users.change_password(ends, user.id, "new", NOW),
        users.disable(ends, user.id, NOW),
        users.delete(ends, user.id, NOW),
    ):
        before = len(nudges)
        await act
        assert len(nudges) == before + 1


@asynccontextmanager
async def upkeep(db: Database, in_use: Collection[str]) -> AsyncIterator[list[str]]:
    """Keeps sessions up meanwhile; which of them are said to have ended."""
    said: list[str] = []
    task = asyncio.create_task(keep_up(Endings(db), lambda: in_use, said.append))
    yield said
    task.cancel()
    await asyncio.wait([task])


async def test_a_page_that_stays_open_keeps_its_session(db: Database) -> None:
    user = await users.create(db, "Mia", "hash", NOW)
    started = int(time.time()) - sessions.LONGEST_UNUSED + 60
    secret, session = await sessions.start(Endings(db), user.id, "::1", "phone", started)
    async with upkeep(db, [session.key]):
        used = "SELECT 1 FROM sessions WHERE used_at > $1"
        await first_answer(lambda: db.read(used, started), bool)
    tomorrow = int(time.time()) + sessions.DAY
    assert await sessions.find(db, secret, tomorrow)


async def test_a_session_whose_ending_was_missed_ends_all_the_same(db: Database) -> None:
    user = await users.create(db, "Mia", "hash", NOW)
    _, session = await sessions.start(Endings(db), user.id, "::1", "phone", int(time.time()))
    async with upkeep(db, [session.key, "of long ago"]) as said:
        await until(lambda: said)
        assert said == ["of long ago"]


async def test_readings_at_once_heed_each_ending_once(db: Database) -> None:
    await write(db, ending("ended", session="s"))
    heeded = Heeded(db)
    await asyncio.gather(*(heeded.reader.catch_up() for _ in range(3)))
    assert heeded.said == ["s"]
