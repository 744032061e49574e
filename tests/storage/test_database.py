import asyncio
import gc
import logging
import os
import sqlite3
import stat
import threading
import time
from contextlib import closing
from pathlib import Path

import asyncpg
import pytest

from presence_server import endings
from presence_server.accounts import sessions, users
from presence_server.endings import Endings
from presence_server.storage import database
from presence_server.storage.database import (
    Database,
    DatabaseUnavailable,
    Transaction,
    open_database,
)
from presence_server.storage.engine import WRITE_PATIENCE
from presence_server.config import PostgresUrl
from presence_server.storage.sqlite import Sqlite
from testing.waiting import STALL, until
from tests.last_seen import last_seen_of
from tests.storage.callers import cancel_at_any_turn
from tests.storage.programs import lock_of_another_program, run

NOW = 1_795_420_800


async def add(transaction: Transaction, username: str) -> None:
    await transaction.execute(
        "INSERT INTO users (username, lower_name, password_hash, created_at)"
        " VALUES ($1, $1, 'hash', 0)",
        username,
    )


async def stored(db: Database) -> list[str]:
    return [name for name, _ in await users.page(db, None, "", 1000)]


@pytest.mark.both_databases
async def test_a_transaction_happens_whole_or_not_at_all(db: Database) -> None:
    async def work(transaction: Transaction) -> None:
        await add(transaction, "alice")
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        await db.write(work)
    assert await stored(db) == []
    await users.create(db, "bob", "hash", NOW)
    assert await stored(db) == ["bob"]


@pytest.mark.both_databases
async def test_mistakes_in_sql_are_no_trouble_of_the_database(db: Database) -> None:
    with pytest.raises((sqlite3.OperationalError, asyncpg.UndefinedTableError)):
        await db.read("SELECT nothing FROM nowhere")
    with pytest.raises((sqlite3.ProgrammingError, asyncpg.InterfaceError)):
        await db.read("SELECT username FROM users WHERE id = $1")

    async def twice(transaction: Transaction) -> None:
        await add(transaction, "alice")
        await add(transaction, "alice")

    with pytest.raises((sqlite3.IntegrityError, asyncpg.UniqueViolationError)):
        await db.write(twice)
    assert await stored(db) == []


@pytest.mark.both_databases
async def test_a_transaction_waits_for_nothing_but_its_statements(db: Database) -> None:
    async def dreamer(transaction: Transaction) -> None:
        await add(transaction, "alice")
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="other than its own"):
        await db.write(dreamer)
    assert await stored(db) == []


@pytest.mark.both_databases
async def test_reads_cannot_write(db: Database) -> None:
    with pytest.raises(DatabaseUnavailable):
        await db.read("DELETE FROM users RETURNING id")


@pytest.mark.both_databases
async def test_transactions_do_not_mix(db: Database) -> None:
    """One that fails takes nothing of another with it, whatever the order of their steps."""

    async def fails(transaction: Transaction) -> None:
        await add(transaction, "ghost")
        raise RuntimeError

    async def fail() -> None:
        with pytest.raises(RuntimeError):
            await db.write(fails)

    names = [f"user{number:02}" for number in range(30)]
    await asyncio.gather(
        *(work for name in names for work in (fail(), users.create(db, name, "hash", NOW)))
    )
    assert await stored(db) == names


async def test_a_caller_who_is_cancelled_leaves_no_lock_behind(
    db: Database, path: Path
) -> None:
    await cancel_at_any_turn(db)
    # Whatever was begun is over when the next is done.
    await users.create(db, "alice", "hash", NOW)
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")


@pytest.mark.both_databases
async def test_a_cancelled_write_that_happens_after_all_happens_whole(db: Database) -> None:
    alice = (await users.create(db, "alice", "hash", NOW)).id
    for _ in range(20):
        _, session = await sessions.start(Endings(db), alice, "::1", "", NOW)
        before = len(await endings.after(db, 0))
        task = asyncio.ensure_future(users.change_password(Endings(db), alice, session.key, NOW))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await db.check_writable()
        changed = await users.password_hash(db, "alice") == session.key
        ended = len(await endings.after(db, 0)) - before
        assert (changed, ended) in [(True, 1), (False, 0)]
        await sessions.end_all(Endings(db), alice, NOW)


@pytest.mark.both_databases
async def test_two_processes_that_read_and_then_write_do_not_collide(
    place: Path | PostgresUrl,
) -> None:
    async def count_up(db: Database) -> None:
        async def work(transaction: Transaction) -> None:
            ((seen,),) = await transaction.execute("SELECT last_seen FROM users")
            await transaction.execute("UPDATE users SET last_seen = $1", seen + 1)

        for _ in range(50):
            await db.write(work)

    async with open_database(place) as one, open_database(place) as two:
        await users.create(one, "alice", "hash", 0)
        await users.record_last_seen(two, {"alice": 0}, NOW)
        await asyncio.gather(count_up(one), count_up(two))
        assert await last_seen_of(one, "alice") == 100


async def test_f16_while_another_program_holds_the_lock_writes_are_refused_in_time(
    db: Database, path: Path
) -> None:
    with lock_of_another_program(path):
        started = time.monotonic()
        results = await asyncio.gather(
            *(users.create(db, f"user{number}", "hash", NOW) for number in range(20)),
            return_exceptions=True,
        )
        # All of them together, not one after the other.
        assert time.monotonic() - started < WRITE_PATIENCE + STALL
    for result in results:
        assert isinstance(result, DatabaseUnavailable)
        assert str(result) == f"The database {path} is locked by another program."
    assert await stored(db) == []
    await users.create(db, "alice", "hash", NOW)


@pytest.mark.parametrize("longer", [0.1, 1.5])
async def test_a_transaction_that_waits_too_long_behind_others_of_its_process_is_not_begun(
    db: Database, path: Path, longer: float
) -> None:
    assert isinstance(db._engine, Sqlite)
    turn, others_wait = db._engine._turn, threading.Event()

    async def slow(transaction: Transaction) -> None:
        assert others_wait.wait(60)
        # A disk that takes its time.
        time.sleep(WRITE_PATIENCE + longer)
        await add(transaction, "slow")

    first = asyncio.ensure_future(db.write(slow))
    await asyncio.sleep(0)
    started = time.monotonic()
    waiting = asyncio.gather(
        *(users.create(db, f"user{number}", "hash", NOW) for number in range(10)),
        return_exceptions=True,
    )
    await until(lambda: len(turn._waiters or ()) == 10)
    others_wait.set()
    results = await waiting
    assert time.monotonic() - started < WRITE_PATIENCE + STALL
    said = f"The database {path} is slow: a transaction has waited in vain for its turn."
    assert [str(result) for result in results] == 10 * [said]
    await first
    assert await stored(db) == ["slow"]
    await users.create(db, "alice", "hash", NOW)


@pytest.mark.both_databases
async def test_what_fails_after_its_caller_has_gone_is_logged_and_retrieved(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    unretrieved: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: unretrieved.append(what))

    async def fails(transaction: Transaction) -> None:
        for number in range(200):
            await add(transaction, f"user{number}")
        await transaction.execute("SELECT nothing FROM nowhere")

    task = asyncio.ensure_future(db.write(fails))
    for _ in range(3):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    await users.create(db, "alice", "hash", NOW)
    del task
    gc.collect()
    await asyncio.sleep(0)
    assert unretrieved == []
    (told,) = caplog.records
    assert told.levelname == "ERROR" and told.exc_info
    assert await stored(db) == ["alice"]


@pytest.mark.both_databases
async def test_one_line_when_it_ceases_to_serve_and_one_when_it_serves_again(
    db: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    with monkeypatch.context() as trouble:

        async def full(*values: object) -> None:
            raise DatabaseUnavailable(f"The database {db.name} is full.")

        trouble.setattr(db._engine, "write", full)
        for _ in range(5):
            with pytest.raises(DatabaseUnavailable):
                await users.create(db, "alice", "hash", NOW)
            # Reading goes on, and proves nothing.
            assert await users.count(db) == 0
            assert await db.why_not_writable() == f"The database {db.name} is full."
    assert [record.getMessage() for record in caplog.records] == [
        f"The database {db.name} is full."
    ]
    assert db.failures == {"write": 10}
    await write_until_told(db, caplog, 2)
    await users.create(db, "bob", "hash", NOW)
    (again,) = caplog.records[1:]
    assert again.getMessage() == f"The database {db.name} serves again."


async def write_until_told(db: Database, caplog: pytest.LogCaptureFixture, lines: int) -> None:
    """Write something that needs no room until the log has so many lines."""
    async with asyncio.timeout(10):
        while len(caplog.records) < lines:
            await users.record_last_seen(db, {"alice": NOW}, NOW)
            await asyncio.sleep(0.05)


@pytest.mark.both_databases
async def test_what_needs_no_room_is_no_sign_of_room(
    db: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    await users.create(db, "alice", "hash", NOW)
    with monkeypatch.context() as trouble:

        async def full(*values: object) -> None:
            raise DatabaseUnavailable(f"The database {db.name} is full.")

        trouble.setattr(db._engine, "take_room", full)
        with pytest.raises(DatabaseUnavailable):
            await db.check_writable()
        await users.record_last_seen(db, {"alice": NOW + 1}, NOW)
        assert await last_seen_of(db, "alice") == NOW + 1
        assert len(caplog.records) == 1
    await write_until_told(db, caplog, 2)
    (again,) = caplog.records[1:]
    assert again.getMessage() == f"The database {db.name} serves again."


async def test_what_failed_late_is_no_new_trouble(
    db: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = asyncio.get_running_loop().create_future()
    begun = asyncio.Event()

    async def waits(*values: object) -> None:
        begun.set()
        await late

    with monkeypatch.context() as slow:
        slow.setattr(db._engine, "read", waits)
        reading = asyncio.ensure_future(users.count(db))
        await begun.wait()
    assert await users.count(db) == 0
    late.set_exception(DatabaseUnavailable("It was away."))
    with pytest.raises(DatabaseUnavailable):
        await reading
    assert caplog.records == []


@pytest.mark.both_databases
async def test_whether_it_can_be_written_is_looked_into_once_a_second(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert database._CHECK_EVERY == 1
    monkeypatch.setattr(database, "_CHECK_EVERY", 60.0)
    check, checks = db.check_writable, 0

    async def counted() -> None:
        nonlocal checks
        checks += 1
        await check()

    monkeypatch.setattr(db, "check_writable", counted)
    assert await asyncio.gather(*(db.why_not_writable() for _ in range(50))) == 50 * [None]
    assert checks == 1


async def test_a_failure_is_known_at_once_also_when_all_was_well_just_before(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await db.why_not_writable() is None

    async def full(*values: object) -> None:
        raise DatabaseUnavailable("It is full.")

    monkeypatch.setattr(db._engine, "write", full)
    with pytest.raises(DatabaseUnavailable):
        await users.create(db, "alice", "hash", NOW)
    assert await db.why_not_writable() == "It is full."


async def test_a_check_reaches_the_disk(db: Database, path: Path) -> None:
    journal = Path(f"{path}-wal")
    for _ in range(3):
        before = journal.stat().st_size
        await db.check_writable()
        assert journal.stat().st_size > before


async def test_a_statement_that_is_interrupted_is_trouble(db: Database) -> None:
    """One of many answers of which nobody made a list."""
    assert isinstance(db._engine, Sqlite)
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"
    reading = asyncio.ensure_future(db.read(endless))
    async with asyncio.timeout(10):
        # Before it has begun there is nothing to interrupt.
        while not reading.done():
            await db._engine._reader.interrupt()
            await asyncio.sleep(0.01)
    with pytest.raises(DatabaseUnavailable, match="cannot be used: interrupted"):
        await reading


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction waits for its turn for as long as a test may take."""
    monkeypatch.setattr("presence_server.storage.sqlite.WRITE_PATIENCE", 60.0)


async def test_f16_a_lock_that_is_let_go_in_time_is_waited_for(
    db: Database, path: Path, patient: None
) -> None:
    with lock_of_another_program(path):
        waiting = asyncio.ensure_future(users.create(db, "alice", "hash", NOW))
        # Time in which it would be refused, did it not wait.
        await asyncio.sleep(0.2)
        assert not waiting.done()
    assert (await waiting).username == "alice"


async def test_f16_reads_and_the_event_loop_go_on_beside_a_lock(
    db: Database, path: Path, patient: None
) -> None:
    alice = await users.create(db, "alice", "hash", NOW)
    secret, session = await sessions.start(Endings(db), alice.id, "::1", "", NOW)
    with lock_of_another_program(path):
        waiting = asyncio.ensure_future(users.create(db, "bob", "hash", NOW))
        for _ in range(100):
            assert await sessions.find(db, secret, NOW) == session
        assert not waiting.done()
    assert (await waiting).username == "bob"


async def limit_pages(db: Database, pages: int | None) -> None:
    """A full disk, as far as SQLite can tell: `pages` more than there are."""

    async def work(transaction: Transaction) -> None:
        ((now,),) = await transaction.execute("PRAGMA page_count")
        most = 1_000_000 if pages is None else now + pages
        await transaction.execute(f"PRAGMA max_page_count = {most}")

    await db.write(work)


async def test_f17_a_full_disk_refuses_writes_until_there_is_room(
    db: Database, path: Path
) -> None:
    alice = await users.create(db, "alice", "hash", NOW)
    secret, session = await sessions.start(Endings(db), alice.id, "::1", "", NOW)
    await limit_pages(db, 1)
    made = ["alice"]
    with pytest.raises(DatabaseUnavailable, match="no room left on its disk"):
        for number in range(1000):
            name = f"user{number:03}"
            await users.create(db, name, "h" * 500, NOW)
            made.append(name)
    assert await sessions.find(db, secret, NOW) == session
    assert await stored(db) == made
    await limit_pages(db, None)
    await users.create(db, "zoe", "hash", NOW)
    assert await stored(db) == [*made, "zoe"]


async def test_f18_a_database_that_became_read_only(db: Database, path: Path) -> None:
    async def forbid(transaction: Transaction) -> None:
        await transaction.execute("PRAGMA query_only = ON")

    await users.create(db, "alice", "hash", NOW)
    await db.write(forbid)
    with pytest.raises(DatabaseUnavailable, match=f"{path} cannot be written"):
        await users.create(db, "bob", "hash", NOW)
    assert await stored(db) == ["alice"]


async def test_f18_a_database_that_was_damaged_while_in_use(path: Path) -> None:
    async with open_database(path) as db:
        await users.create(db, "alice", "h" * 3000, NOW)
    async with open_database(path) as db:
        size = path.stat().st_size
        path.write_bytes(os.urandom(size))
        with pytest.raises(DatabaseUnavailable, match="is damaged|is not a database"):
            await stored(db)


async def test_f18_a_database_that_was_moved_away_takes_nothing_more(
    db: Database, path: Path
) -> None:
    await users.create(db, "alice", "hash", NOW)
    aside = path.rename(path.with_name("aside"))
    with pytest.raises(DatabaseUnavailable, match="moved or deleted"):
        await users.create(db, "bob", "hash", NOW)
    with pytest.raises(DatabaseUnavailable):
        await db.check_writable()
    path.touch()
    with pytest.raises(DatabaseUnavailable, match="moved or deleted"):
        await users.create(db, "bob", "hash", NOW)
    aside.replace(path)
    await users.create(db, "bob", "hash", NOW)
    assert await stored(db) == ["alice", "bob"]


_KILLED = """
import sys
from pathlib import Path
from tests.storage.killed import main

main(Path(sys.argv[1]), int(sys.argv[2]))
"""


@pytest.mark.timeout(300)
async def test_f19_200_kills_lose_nothing_that_was_acknowledged(path: Path) -> None:
    """kill -9 at any moment; the next process goes on with the files as they were left."""
    acknowledged = set(run(_KILLED, path, 200).split())
    assert len(acknowledged) > 2000
    async with open_database(path) as db:
        assert await db.read("PRAGMA integrity_check") == [("ok",)]
        found = {username for (username,) in await db.read("SELECT username FROM users")}
    assert acknowledged <= found


_OPEN_AND_LEAVE = """
import asyncio, sys
from pathlib import Path
from presence_server.storage.database import open_database

async def main():
    global context
    context = open_database(Path(sys.argv[1]))
    await context.__aenter__()
    print("open", flush=True)

asyncio.run(main())
"""


def test_a_database_that_nobody_closed_does_not_keep_the_process(path: Path) -> None:
    assert run(_OPEN_AND_LEAVE, path) == "open\n"


@pytest.mark.both_databases
async def test_closing_waits_for_what_was_begun(place: Path | PostgresUrl) -> None:
    async with open_database(place) as db:
        writing = asyncio.ensure_future(users.create(db, "alice", "hash", NOW))
        await asyncio.sleep(0)
    assert (await writing).username == "alice"
    async with open_database(place) as db:
        assert await stored(db) == ["alice"]
    if isinstance(place, Path):
        assert [file.name for file in place.parent.iterdir()] == [place.name]


@pytest.mark.both_databases
async def test_after_closing_nothing_is_served(place: Path | PostgresUrl) -> None:
    async with open_database(place) as db:
        pass
    with pytest.raises(DatabaseUnavailable, match="closed"):
        await users.create(db, "alice", "hash", NOW)
    with pytest.raises(DatabaseUnavailable, match="closed"):
        await stored(db)


async def test_a_backup_is_whole_private_and_may_be_taken_in_full_use(
    db: Database, path: Path, tmp_path: Path
) -> None:
    target = tmp_path / "backup.sqlite3"
    target.write_text("yesterday's")
    made: list[str] = []

    async def write() -> None:
        for number in range(200):
            made.append((await users.create(db, f"user{number:03}", "hash", NOW)).username)

    writing = asyncio.ensure_future(write())
    await asyncio.sleep(0)
    while len(made) < 50:
        await asyncio.sleep(0)
    before = set(made)
    await db.backup(target)
    await writing
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    names = {file.name for file in tmp_path.iterdir()}
    assert names == {target.name, *(path.name + end for end in ("", "-wal", "-shm"))}
    async with open_database(target) as copy:
        assert before <= set(await stored(copy))
        assert await copy.read("PRAGMA integrity_check") == [("ok",)]
        assert copy.identity == db.identity


async def test_a_backup_never_replaces_the_database_itself(db: Database, path: Path) -> None:
    await users.create(db, "alice", "hash", NOW)
    link = path.with_name("link")
    link.symlink_to(path)
    for target in (path, path.parent / "." / path.name, link):
        with pytest.raises(OSError, match="the database itself"):
            await db.backup(target)
    with pytest.raises(OSError):
        await db.backup(path.parent / "nowhere" / "backup")
    await users.create(db, "bob", "hash", NOW)
