"""Who comes and leaves is written down, also what happened while the database was away."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest

from presence_server.accounts import users
from presence_server.live.feed import Feeds
from presence_server.nodes.duty import Duty
from presence_server.presence.members import Who
from presence_server.presence.moment import Moment
from presence_server.presence.node import Node
from presence_server.presence.records import OWN
from presence_server.presence.visits import Visit
from presence_server.storage.database import Database, DatabaseUnavailable
from presence_server.visits import written
from presence_server.visits.attendance import Attendance
from presence_server.visits.written import Asked, find
from testing.waiting import first_answer, until

LEASE = 0.6
CAME = int(time.time()) - 1000


class Site:
    """People of a node come and go; who does so is followed by its attendance."""

    def __init__(self, db: Database, days: dict[int, int]) -> None:
        self.db = db
        self.node = Node("one", grace=8.0, lease=10.0, now=Moment(0.0, CAME))
        self.feeds = Feeds(self.node.rooms)
        self.duty = Duty(
            db, "one", lease=LEASE, alone=True, wanted=lambda: True, degraded=lambda: False
        )
        self.attendance = Attendance(db, self.feeds, self.duty, lambda: days, memory=0.0)

    async def account(self, user: str) -> int:
        return (await users.create(self.db, user, "hash", CAME)).id

    def comes(self, user: str, account: int, second: int) -> None:
        now = Moment(float(second), CAME + second)
        self.node.open(OWN, Who(user, user, account), account, now, "online")
        self.feeds.changed({OWN})

    def leaves(self, user: str, second: int) -> None:
        self.node.end(user, CAME + second, Moment(float(second), CAME + second))
        self.feeds.changed({OWN})

    async def kept(self) -> list[Visit]:
        return [kept.visit for kept in await find(self.db, Asked(OWN), 100)]


@asynccontextmanager
async def running(db: Database, days: dict[int, int]) -> AsyncIterator[Site]:
    site = Site(db, days)
    tasks = [asyncio.create_task(work) for work in (site.duty.run(), site.attendance.run())]
    yield site
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


@pytest.fixture
async def site(db: Database) -> AsyncIterator[Site]:
    async with running(db, {0: 7000}) as site:
        yield site


class Forgetting:
    """Forgets two visits in a transaction, and begins only as often as it is let."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ended = 0
        self._may = asyncio.Semaphore(0)
        self._forget = written.forget
        monkeypatch.setattr(written, "_AT_ONCE", 2)
        monkeypatch.setattr(written, "forget", self._counted)

    async def _counted(self, *args: Any, **kwargs: Any) -> list[int]:
        await self._may.acquire()
        rest = await self._forget(*args, **kwargs)
        self.ended += 1
        return rest

    def let(self, times: int) -> None:
        for _ in range(times):
            self._may.release()


@pytest.fixture
def forgetting(monkeypatch: pytest.MonkeyPatch) -> Forgetting:
    return Forgetting(monkeypatch)


async def write_old(db: Database, number: int) -> None:
    """Visits of long ago, of an own account."""
    insert = (
        "INSERT INTO visits (room, account, username, came, left_at) VALUES ('', $1, $2, 5, 6)"
    )
    account = (await users.create(db, "of old", "hash", CAME)).id
    people = [(account, f"user-{number}") for number in range(number)]
    await db.write(lambda transaction: transaction.execute_many(insert, people))


@contextmanager
def away(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The database cannot be reached."""

    async def fail(*_: Any) -> Any:
        raise DatabaseUnavailable("The database is away.")

    with monkeypatch.context() as patched:
        patched.setattr(Database, "read", fail)
        patched.setattr(Database, "write", fail)
        yield


@pytest.mark.both_databases
async def test_visits_that_end_while_nobody_can_write_are_written_later(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = await site.account("alice"), await site.account("bob")
    site.comes("alice", alice, 0)
    await first_answer(site.kept, lambda kept: len(kept) == 1)
    with away(monkeypatch):
        await until(lambda: site.duty.term is None)
        site.leaves("alice", 10)
        site.comes("bob", bob, 20)
        await site.attendance.write()
        site.leaves("bob", 30)
        for _ in range(2):
            await site.attendance.write()
    kept = await first_answer(site.kept, lambda kept: len(kept) == 2)
    times = [(visit.user, visit.came - CAME, visit.left) for visit in kept]
    assert times == [("alice", 0, CAME + 10), ("bob", 20, CAME + 30)]


async def test_while_many_old_visits_are_forgotten_others_are_written(
    db: Database, forgetting: Forgetting
) -> None:
    await write_old(db, 30)
    alice = (await users.create(db, "alice", "hash", CAME)).id
    async with running(db, {0: 7000}) as site:
        forgetting.let(1)
        await until(lambda: forgetting.ended == 1)
        site.comes("alice", alice, 0)
        # As at the end, too.
        await asyncio.wait_for(site.attendance.write(), 5)
        kept = [visit.user for visit in await site.kept()]
        assert "alice" in kept and len(kept) == 23
        forgetting.let(100)
        await first_answer(site.kept, lambda kept: [visit.user for visit in kept] == ["alice"])


async def test_what_is_left_from_when_own_visits_were_kept_is_forgotten_without_the_duty(
    db: Database, forgetting: Forgetting
) -> None:
    await write_old(db, 30)
    forgetting.let(100)
    async with running(db, {0: 0}) as site:
        await site.duty.lay_down()
        await first_answer(site.kept, lambda kept: not kept)
        assert site.duty.term is None
    assert forgetting.ended == 4
