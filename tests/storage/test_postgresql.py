"""What only a PostgreSQL server can do to us; what it shares with SQLite is tested beside that."""

import asyncio
import sqlite3
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from asyncpg import connect_utils

from presence_server import endings
from presence_server.accounts import sessions, users
from presence_server.storage.database import (
    Database,
    DatabaseUnavailable,
    DatabaseUnusable,
    NoBackup,
    Row,
    Transaction,
    open_database,
)
from presence_server.storage.engine import WRITE_PATIENCE
from presence_server.storage.migrations import read_steps
from presence_server.storage.postgresql import READERS
from presence_server.storage.postgresql_connections import ANSWER_PATIENCE
from presence_server.config import ConfigError, PostgresUrl
from presence_server.endings import Endings
from presence_server.resources import MIGRATIONS, POSTGRESQL_MIGRATIONS
from testing.waiting import STALL
from tests.last_seen import last_seen_of
from tests.storage.callers import cancel_at_any_turn
from tests.storage.programs import run_at_once
from testing.certificate import Certificate
from testing.postgresql_server import PASSWORD, PostgresqlServer
from testing.redis_server import free_port

NOW = 1_795_420_800
RECOVERED_WITHIN = 20


@pytest.fixture
async def db(postgresql: PostgresUrl) -> AsyncIterator[Database]:
    async with open_database(postgresql) as db:
        yield db


async def refusal(url: str | PostgresUrl, *, create: bool = True) -> str:
    """What is said when the database is opened."""
    place = PostgresUrl(url) if isinstance(url, str) else url
    with pytest.raises(DatabaseUnusable) as raised:
        async with open_database(place, create=create):
            pass
    sentence = str(raised.value)
    assert sentence.startswith(f"The database {place} ") and sentence.endswith(".")
    assert PASSWORD not in sentence and "\n" not in sentence
    return sentence


@asynccontextmanager
async def other_program(url: PostgresUrl) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url.url)
    try:
        yield connection
    finally:
        await connection.close()


async def recovered(db: Database, name: str) -> None:
    """Until an account can be made again, by itself."""
    async with asyncio.timeout(RECOVERED_WITHIN):
        while True:
            try:
                await users.create(db, name, "hash", NOW)
                return
            except DatabaseUnavailable:
                await asyncio.sleep(0.1)


async def test_f18_what_cannot_be_opened(postgresql: PostgresUrl) -> None:
    server = postgresql.url.rpartition("/")[0]
    assert "the user or the password is wrong" in await refusal(
        postgresql.url.replace(PASSWORD, "wrong")
    )
    assert "the user or the password is wrong" in await refusal(
        postgresql.url.replace("presence:", "nobody:")
    )
    assert "does not exist" in await refusal(f"{server}/nowhere")
    assert "cannot be reached" in await refusal(f"postgresql://x@127.0.0.1:{free_port()}/x")
    assert "cannot be reached" in await refusal("postgresql://x@no-such-host.invalid/x")


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://x:{PASSWORD}@host:port/x",
        f"postgresql://x:{PASSWORD}@host/x?sslmode={PASSWORD}",
        f"postgresql://x:{PASSWORD}@[::1/x",
    ],
)
async def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises(ConfigError) as raised:
        async with open_database(PostgresUrl(url)):
            pass
    assert "--database (PRESENCE_DATABASE) must be " in str(raised.value)
    assert PASSWORD not in str(raised.value)


async def test_f18_what_is_not_ours(postgresql_server: PostgresqlServer) -> None:
    with postgresql_server.empty_database() as url:
        assert "is empty" in await refusal(url, create=False)
        async with other_program(url) as other:
            await other.execute("CREATE TABLE users (name TEXT)")
            assert "belongs to another program" in await refusal(url)
            await other.execute("DROP TABLE users; CREATE TABLE unrelated (name TEXT)")
            async with open_database(url) as db:
                assert await users.count(db) == 0
            await other.execute("UPDATE about SET value = '99' WHERE name = 'schema'")
            assert "newer version" in await refusal(url)
            await other.execute("DROP TABLE about CASCADE; CREATE TABLE about (name TEXT)")
            assert "belongs to another program" in await refusal(url)


_OPEN = """
import asyncio
from presence_server.storage.database import open_database
from presence_server.config import PostgresUrl

async def main():
    go()
    async with open_database(PostgresUrl(sys.argv[1])) as db:
        print(db.identity)

asyncio.run(main())
"""


def test_of_several_processes_that_start_at_once_one_makes_the_schema(
    postgresql_server: PostgresqlServer,
) -> None:
    with postgresql_server.empty_database() as url:
        said = run_at_once(4, _OPEN, url.url)
    assert len(set(said)) == 1
    assert len(said[0]) == 33


async def test_steps_are_taken_once_and_all_of_them_or_none(
    postgresql_server: PostgresqlServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "steps.sql"
    monkeypatch.setattr("presence_server.storage.postgresql.POSTGRESQL_MIGRATIONS", script)
    first = POSTGRESQL_MIGRATIONS.read_text()
    script.write_text(first)
    with postgresql_server.empty_database() as url:
        async with open_database(url) as db:
            await users.create(db, "alice", "hash", NOW)
        next_step = f"{first}\n-- step {len(read_steps(first)) + 1}\n\n"
        script.write_text(next_step + "CREATE TABLE rooms (); CREATE TABLE here ();\n")
        with pytest.raises(asyncpg.DuplicateTableError):
            async with open_database(url):
                pass
        script.write_text(next_step + "CREATE TABLE rooms (name TEXT);\n")
        for _ in range(2):
            async with open_database(url) as db:
                assert await db.read("SELECT * FROM rooms") == []
                assert await users.find(db, "alice")


async def test_both_schemas_are_the_same(db: Database, tmp_path: Path) -> None:
    scripts = [path.read_text("utf-8") for path in (MIGRATIONS, POSTGRESQL_MIGRATIONS)]
    numbers = [len(read_steps(script)) for script in scripts]
    assert numbers[0] == numbers[1]
    path = tmp_path / "presence.sqlite3"
    async with open_database(path):
        pass
    with closing(sqlite3.connect(path)) as connection:
        of_sqlite = connection.execute(
            "SELECT t.name, c.name, c.\"notnull\" OR c.pk > 0, c.type"
            " FROM sqlite_schema t JOIN pragma_table_info(t.name) c"
            " WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%'"
        ).fetchall()
    of_postgresql = await db.read(
        "SELECT table_name, column_name, CASE is_nullable WHEN 'NO' THEN 1 ELSE 0 END,"
        " CASE data_type WHEN 'bigint' THEN 'INTEGER' ELSE upper(data_type) END"
        " FROM information_schema.columns WHERE table_schema = 'public'"
    )
    assert sorted(of_sqlite) == sorted(of_postgresql)
    # Every text sorts by its bytes, whatever the language of the server.
    assert await db.read(
        "SELECT table_name, column_name FROM information_schema.columns WHERE data_type = 'text'"
        " AND table_schema = 'public' AND collation_name IS DISTINCT FROM 'C'"
    ) == [("about", "value")]


async def test_endings_appear_in_the_order_of_their_numbers(
    db: Database, postgresql: PostgresUrl
) -> None:
    """A reader that has seen one never finds a lower one later, whoever writes at once."""
    made = [(await users.create(db, f"user{number:03}", "hash", NOW)).id for number in range(60)]
    seen: list[int] = []

    async def watch(reader: Database) -> None:
        while len(seen) < len(made):
            new = await endings.after(reader, seen[-1] if seen else 0)
            seen.extend(ending.number for ending in new)

    async def delete(writer: Database, ids: list[int]) -> None:
        for id in ids:
            await users.delete(Endings(writer), id, NOW)

    async with open_database(postgresql) as two, open_database(postgresql) as reader:
        watching = asyncio.create_task(watch(reader))
        await asyncio.gather(delete(db, made[::2]), delete(two, made[1::2]))
        async with asyncio.timeout(RECOVERED_WITHIN):
            await watching
    assert seen == sorted(set(seen))


@asynccontextmanager
async def usual_of_the_server(url: PostgresUrl, **settings: str) -> AsyncIterator[None]:
    """What its administrator has given the database as usual."""
    name = url.url.rpartition("/")[2]
    async with other_program(url) as other:
        for setting, value in settings.items():
            await other.execute(f"ALTER DATABASE {name} SET {setting} = '{value}'")
        try:
            yield
        finally:
            await other.execute(f"ALTER DATABASE {name} RESET ALL")


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
async def test_transactions_see_what_was_committed_whatever_is_usual_at_the_server(
    postgresql: PostgresUrl, isolation: str
) -> None:
    async def count_up(db: Database) -> None:
        async def work(transaction: Transaction) -> None:
            ((seen,),) = await transaction.execute("SELECT last_seen FROM users")
            await transaction.execute("UPDATE users SET last_seen = $1", seen + 1)

        for _ in range(25):
            await db.write(work)

    async with usual_of_the_server(postgresql, default_transaction_isolation=isolation):
        async with open_database(postgresql) as one, open_database(postgresql) as two:
            await users.create(one, "alice", "hash", NOW)
            await users.record_last_seen(two, {"alice": 0}, 0)
            await asyncio.gather(count_up(one), count_up(two))
            assert await last_seen_of(one, "alice") == 50
            assert await one.read("SHOW transaction_isolation") == [("read committed",)]


async def test_nothing_else_that_is_usual_at_the_server_matters(postgresql: PostgresUrl) -> None:
    async with usual_of_the_server(
        postgresql,
        statement_timeout="50ms",
        idle_in_transaction_session_timeout="1ms",
        synchronous_commit="off",
        # These we do not touch: nothing depends on them.
        # Half of what is slept below: not in the moment in which the other connection is used.
        idle_session_timeout="400ms",
        standard_conforming_strings="off",
        datestyle="German",
        timezone="Asia/Kolkata",
        bytea_output="escape",
    ):
        async with open_database(postgresql) as db:
            await db.read("SELECT pg_sleep(0.2)")

            async def work(transaction: Transaction) -> list[Row]:
                await transaction.execute("SELECT pg_sleep(0.2)")
                return await transaction.execute("SHOW synchronous_commit")

            assert await db.write(work) == [("on",)]
            # Connections that were quiet for too long are made anew.
            await asyncio.sleep(0.8)
            alice = await users.create(db, "alice", "hash", NOW)
            secret, session = await sessions.start(Endings(db), alice.id, "::1", "", NOW)
            # The same for those that read.
            await asyncio.sleep(0.8)
            assert await sessions.find(db, secret, NOW) == session


async def test_a_stricter_promise_of_the_server_is_kept(postgresql: PostgresUrl) -> None:
    async with usual_of_the_server(postgresql, synchronous_commit="remote_apply"):
        async with open_database(postgresql) as db:
            assert await db.read("SHOW synchronous_commit") == [("remote_apply",)]


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
async def test_a_database_for_other_texts_than_unicode(
    postgresql_server: PostgresqlServer, encoding: str
) -> None:
    postgresql_server.execute(
        f"CREATE DATABASE other ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0", on="postgres"
    )
    try:
        said = await refusal(postgresql_server.url("other"))
    finally:
        postgresql_server.execute("DROP DATABASE other WITH (FORCE)", on="postgres")
    assert said.endswith(f" keeps its texts as {encoding}: it must be made with UTF8.")


def reporting(state: str) -> str:
    """A statement that the server answers with this SQLSTATE."""
    return f"DO $$ BEGIN RAISE EXCEPTION 'of no list' USING ERRCODE = '{state}'; END $$"


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("XX000", r"cannot be used: of no list \(XX000\)"),
        ("0A000", r"cannot be used: of no list \(0A000\)"),
        ("54023", r"cannot be used: of no list \(54023\)"),
        ("55006", r"cannot be used: of no list \(55006\)"),
        ("ZZZZZ", r"cannot be used: of no list \(ZZZZZ\)"),
        ("53200", "has no room left"),
        ("53100", "has no room left on its disk"),
        ("42501", "does not allow this server what it needs"),
        ("26000", "it must work by session"),
        ("42P05", "it must work by session"),
    ],
)
async def test_whatever_a_server_reports_is_trouble(db: Database, state: str, said: str) -> None:
    with pytest.raises(DatabaseUnavailable, match=said):
        await db.read(reporting(state))

    async def work(transaction: Transaction) -> None:
        await transaction.execute(reporting(state))

    with pytest.raises(DatabaseUnavailable, match=said):
        await db.write(work)
    await users.create(db, "alice", "hash", NOW)


@pytest.mark.parametrize("state", ["42601", "42703", "22012", "23505", "23503"])
async def test_our_own_mistakes_are_loud(db: Database, state: str) -> None:
    with pytest.raises(asyncpg.PostgresError, match="of no list"):
        await db.read(reporting(state))


@pytest.mark.parametrize("table", ["users", "sessions", "endings", "here"])
async def test_f17_a_check_notices_that_there_is_no_room_for_rows(
    db: Database, postgresql: PostgresUrl, table: str
) -> None:
    await db.check_writable()
    async with other_program(postgresql) as other:
        await other.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$;"
            f" CREATE TRIGGER full_disk BEFORE INSERT ON {table} EXECUTE FUNCTION refuse()"
        )
        try:
            with pytest.raises(DatabaseUnavailable, match="no room left on its disk"):
                await db.check_writable()
        finally:
            await other.execute("DROP FUNCTION refuse CASCADE")
    await db.check_writable()
    # It leaves nothing behind.
    assert (await users.create(db, "alice", "hash", NOW)).id == 1
    assert await users.count(db) == 1


async def test_f17_no_room_for_the_schema(
    postgresql_server: PostgresqlServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "steps.sql"
    script.write_text(POSTGRESQL_MIGRATIONS.read_text() + reporting("53100"))
    with postgresql_server.empty_database() as url:
        with monkeypatch.context() as full:
            full.setattr("presence_server.storage.postgresql.POSTGRESQL_MIGRATIONS", script)
            assert "has no room left on its disk" in await refusal(url)
        async with open_database(url) as db:
            assert await users.count(db) == 0


async def test_a_certificate_that_nobody_trusts_is_trouble_and_no_wrong_url(
    tmp_path: Path,
) -> None:
    certificate, authority = Certificate(tmp_path / "ours"), Certificate(tmp_path / "others")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, ssl.SSLError):
            await reader.readexactly(8)
            writer.write(b"S")
            await writer.start_tls(certificate.context)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        known = f"sslmode=verify-full&sslrootcert={authority.path}"
        said = await refusal(f"postgresql://x:{PASSWORD}@127.0.0.1:{port}/x?{known}")
    assert "cannot be reached" in said and "certificate" in said.lower()


async def test_a_backup_is_left_to_pg_dump(db: Database, tmp_path: Path) -> None:
    with pytest.raises(NoBackup, match="pg_dump"):
        await db.backup(tmp_path / "backup")


async def test_f16_while_another_program_holds_a_lock_writes_are_refused_in_time(
    db: Database, postgresql: PostgresUrl
) -> None:
    async with other_program(postgresql) as other, other.transaction():
        await other.execute("LOCK TABLE users")
        started = time.monotonic()
        results = await asyncio.gather(
            *(users.create(db, f"user{number}", "hash", NOW) for number in range(10)),
            return_exceptions=True,
        )
        # All of them together, not one after the other.
        assert time.monotonic() - started < WRITE_PATIENCE + STALL
    for result in results:
        assert isinstance(result, DatabaseUnavailable)
    said = f"The database {postgresql} is locked by another program."
    # Others may have waited in vain for a connection.
    assert said in map(str, results)
    await users.create(db, "alice", "hash", NOW)
    assert await users.count(db) == 1


async def test_a_full_pool_refuses_in_time_and_serves_again(
    db: Database, postgresql: PostgresUrl
) -> None:
    slow = [
        asyncio.create_task(db.read("SELECT pg_sleep($1)", 30)) for _ in range(READERS + 2)
    ]
    started = time.monotonic()
    for task in slow:
        with pytest.raises(DatabaseUnavailable, match="does not answer in time"):
            await task
    assert time.monotonic() - started < ANSWER_PATIENCE + STALL
    assert await users.count(db) == 0


async def test_a_server_that_takes_no_more_connections(
    postgresql_server: PostgresqlServer,
) -> None:
    with postgresql_server.empty_database() as url:
        postgresql_server.execute(
            f"ALTER DATABASE {url.url.rpartition('/')[2]} CONNECTION LIMIT 0", on="postgres"
        )
        # It holds for everybody but superusers, as the user of these tests is one.
        postgresql_server.execute("CREATE ROLE guest LOGIN PASSWORD 'guest'", on="postgres")
        try:
            said = await refusal(url.url.replace(f"presence:{PASSWORD}", "guest:guest"))
        finally:
            postgresql_server.execute("DROP ROLE guest", on="postgres")
    assert "takes no more connections" in said


async def test_a_caller_who_is_cancelled_leaves_no_turn_behind(
    db: Database, postgresql: PostgresUrl
) -> None:
    await cancel_at_any_turn(db)
    await users.create(db, "alice", "hash", NOW)
    async with open_database(postgresql) as other:
        await users.create(other, "bob", "hash", NOW)


async def test_a_read_that_nobody_waits_for_any_more_opens_no_connection(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    connect = connect_utils._cancel  # type: ignore[attr-defined]  # private

    async def stop_statement(*values: Any, **named: Any) -> None:
        opened.append(named)
        await connect(*values, **named)

    monkeypatch.setattr(connect_utils, "_cancel", stop_statement)
    for turns in range(10 * READERS):
        task = asyncio.ensure_future(db.read("SELECT pg_sleep(0.01)"))
        for _ in range(turns % 8):
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.wait([task])
    assert await db.read("SELECT 1") == [(1,)] and not opened


async def test_a_process_that_stands_still_in_its_turn_holds_nobody_up_for_long(
    db: Database,
) -> None:
    started = asyncio.Event()

    async def work(transaction: Transaction) -> None:
        await transaction.execute("DELETE FROM users WHERE id = 0")
        started.set()
        # A process that is paused: not even its event loop runs.
        time.sleep(ANSWER_PATIENCE + 1)
        await transaction.execute("DELETE FROM users WHERE id = 0")

    with pytest.raises(DatabaseUnavailable):
        await db.write(work)
    assert started.is_set()
    await recovered(db, "alice")


async def test_f18_a_replica_can_be_read_and_serves_again_when_promoted(
    own_postgresql: PostgresqlServer,
) -> None:
    url = own_postgresql.url("accounts")
    async with open_database(url) as db:
        alice = await users.create(db, "alice", "hash", NOW)
        secret, session = await sessions.start(Endings(db), alice.id, "::1", "", NOW)
        await asyncio.to_thread(own_postgresql.become_replica)
        async with asyncio.timeout(RECOVERED_WITHIN):
            while True:
                try:
                    assert await sessions.find(db, secret, NOW) == session
                    break
                except DatabaseUnavailable:
                    await asyncio.sleep(0.1)
        with pytest.raises(DatabaseUnavailable, match="it is a replica, or was made read-only"):
            await users.create(db, "bob", "hash", NOW)
        with pytest.raises(DatabaseUnavailable, match="replica"):
            await db.check_writable()
        assert "replica" in await refusal(url)
        await asyncio.to_thread(own_postgresql.become_primary)
        await recovered(db, "bob")
        await db.check_writable()


async def test_a_server_that_is_restarted_killed_or_stands_still(
    own_postgresql: PostgresqlServer,
) -> None:
    url = own_postgresql.url("accounts")
    async with open_database(url) as db:
        await users.create(db, "alice", "hash", NOW)
        for end in (own_postgresql.stop, own_postgresql.kill):
            await asyncio.to_thread(end)
            for _ in range(2):
                with pytest.raises(DatabaseUnavailable, match="cannot be reached|stopped or start"):
                    await users.count(db)
                with pytest.raises(DatabaseUnavailable, match="cannot be reached|stopped or start"):
                    await db.check_writable()
            await asyncio.to_thread(own_postgresql.start)
            await recovered(db, end.__name__)
        own_postgresql.pause()
        try:
            started = time.monotonic()
            for attempt in (users.count(db), db.check_writable()):
                with pytest.raises(DatabaseUnavailable, match="does not answer in time"):
                    await attempt
            assert time.monotonic() - started < 2 * (ANSWER_PATIENCE + WRITE_PATIENCE) + STALL
        finally:
            own_postgresql.resume()
        await recovered(db, "thawed")
        names = [name for name, _ in await users.page(db, None, "", 10)]
        assert names == ["alice", "kill", "stop", "thawed"]
