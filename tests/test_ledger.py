"""What passes between the roster and the database, in both directions and whatever happens."""

import asyncio
import logging
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from presence_server.accounts import notes, sessions, users
from presence_server.accounts.sessions import Session
from presence_server.config import PostgresUrl
from presence_server.ledger import Ledger
from presence_server.live.service import PresenceService
from presence_server.live.sockets import Socket
from presence_server.presence.cluster import Cluster
from presence_server.relay.memory import MemoryRelay
from presence_server.storage.database import Database, DatabaseUnavailable, open_database
from presence_server.storage.engine import Engine
from tests.conftest import Serve

# The day before.
NOW = int(time.time()) - sessions.DAY
WITHIN = 10
OURS, DEAD, BACK = "a" * 16, "d" * 16, "b" * 16


@pytest.fixture
async def db(place: Path | PostgresUrl) -> AsyncIterator[Database]:
    async with open_database(place) as db:
        yield db


@pytest.fixture
def presence() -> PresenceService:
    return PresenceService(OURS, MemoryRelay(OURS), grace=60, lease=10, heartbeat=20)


@pytest.fixture
async def alice(db: Database) -> Session:
    """On a device that she has not used for a day."""
    user = await users.create(db, "alice", "hash", NOW)
    _, session = await sessions.start(db, user.id, "::1", "", NOW)
    return session


@asynccontextmanager
async def running(ledger: Ledger) -> AsyncIterator[None]:
    task = asyncio.create_task(ledger.run())
    try:
        yield
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.wait([task])


async def noted(db: Database, node: str) -> list[str]:
    rows = await db.read(
        "SELECT users.username FROM here JOIN sessions ON sessions.key = here.session_key"
        " JOIN users ON users.id = sessions.user_id WHERE node = $1",
        node,
    )
    return [username for (username,) in rows]


async def until_noted(db: Database, people: list[str], node: str = OURS) -> None:
    async with asyncio.timeout(WITHIN):
        while await noted(db, node) != people:
            await asyncio.sleep(0.02)


class Trouble:
    """What the database answers meanwhile."""

    def __init__(self, db: Database) -> None:
        self._engine: Engine = db._engine
        self.refused = 0

    @asynccontextmanager
    async def of(self, error: Exception, *kinds: str) -> AsyncIterator[None]:
        """While the body runs, and then until it has been met."""

        async def refuse(*values: object) -> None:
            self.refused += 1
            raise error

        with pytest.MonkeyPatch.context() as broken:
            for kind in kinds:
                broken.setattr(self._engine, kind, refuse)
            yield
            before = self.refused
            async with asyncio.timeout(WITHIN):
                while self.refused < before + 2:
                    await asyncio.sleep(0.02)


@pytest.fixture
def trouble(db: Database) -> Trouble:
    return Trouble(db)


def connect(presence: PresenceService, session: Session) -> Socket:
    socket = Socket(
        session=session.key,
        username=session.username,
        tutorial=False,
        transport=asyncio.Transport(),
    )
    assert presence.connect(socket, None)
    return socket


UNAVAILABLE = DatabaseUnavailable("The database is away.")


@pytest.mark.parametrize("error", [UNAVAILABLE, sqlite3.OperationalError("nobody knows why")])
async def test_what_could_not_be_written_is_written_later(
    db: Database, presence: PresenceService, alice: Session, trouble: Trouble, error: Exception
) -> None:
    async with running(Ledger(db, presence)):
        # What is written at the start says nothing of later changes.
        await asyncio.sleep(0)
        async with trouble.of(error, "write"):
            socket = connect(presence, alice)
        await until_noted(db, ["alice"])
        async with trouble.of(error, "write"):
            presence.disconnect(socket)
            presence.end(alice.key)
        await until_noted(db, [])


async def test_sessions_of_open_sockets_are_in_use(
    db: Database, presence: PresenceService, alice: Session
) -> None:
    connect(presence, alice)
    async with running(Ledger(db, presence)):
        async with asyncio.timeout(WITHIN):
            while (await sessions.of_user(db, alice.user_id))[0].used_at < time.time() - 60:
                await asyncio.sleep(0.02)


async def test_everybody_here_is_written_anew_now_and_then(
    db: Database,
    presence: PresenceService,
    alice: Session,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Or what is noted of somebody who stays would be taken for a dead node's."""
    monkeypatch.setattr("presence_server.ledger._TOUCH_EVERY", 0.1)
    connect(presence, alice)
    async with running(Ledger(db, presence)):
        await until_noted(db, ["alice"])
        await notes.forget(db, [OURS])
        await until_noted(db, ["alice"])


async def test_a_dead_nodes_notes_are_forgotten_at_the_start(
    db: Database, alice: Session, serve: Serve
) -> None:
    await notes.write(db, DEAD, {alice.key: ("online", NOW)}, (), NOW)
    await serve()
    await until_noted(db, [], DEAD)


@pytest.mark.parametrize("error", [UNAVAILABLE, sqlite3.OperationalError("nobody knows why")])
async def test_a_dropped_nodes_notes_are_forgotten_also_when_the_database_was_busy(
    db: Database,
    presence: PresenceService,
    alice: Session,
    trouble: Trouble,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    await notes.write(db, DEAD, {alice.key: ("online", NOW)}, (), NOW)
    drop(monkeypatch, DEAD)
    async with running(Ledger(db, presence)):
        async with trouble.of(error, "write"):
            pass
        await until_noted(db, [], DEAD)


async def test_what_a_node_wrote_that_came_back_meanwhile_is_kept(
    db: Database,
    presence: PresenceService,
    alice: Session,
    trouble: Trouble,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for node in (DEAD, BACK):
        await notes.write(db, node, {alice.key: ("online", NOW)}, (), NOW)
    drop(monkeypatch, DEAD, BACK)
    async with running(Ledger(db, presence)):
        async with trouble.of(UNAVAILABLE, "write"):
            connect(presence, alice)
        monkeypatch.setattr(Cluster, "peers", frozenset({BACK}))
        await until_noted(db, [], DEAD)
        assert await noted(db, BACK) == ["alice"]


def drop(monkeypatch: pytest.MonkeyPatch, *nodes: str) -> None:
    """Nodes are given up, and this is told once."""
    told = [set(nodes)]
    monkeypatch.setattr(Cluster, "take_dropped", lambda cluster: told.pop() if told else set())


async def test_unexpected_errors_are_outlived_loudly_and_counted(
    db: Database,
    presence: PresenceService,
    alice: Session,
    trouble: Trouble,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running(Ledger(db, presence)):
        async with trouble.of(sqlite3.OperationalError("nobody knows why"), "read", "write"):
            pass
        connect(presence, alice)
        await until_noted(db, ["alice"])
    (told,) = caplog.records
    assert told.levelno == logging.ERROR and told.exc_info
    assert db.failures["unexpected"] >= 2
