"""`presence-server database copy`: from one machine to several, and back."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from presence_server import endings
from presence_server.accounts import audit, links, sessions, users
from presence_server.accounts.keyring import Keyring
from presence_server.apps import register
from presence_server.apps.register import AppSettings
from presence_server.storage.copying import CannotCopy, copy
from presence_server.storage.database import (
    Database,
    DatabaseUnusable,
    Row,
    Transaction,
    open_database,
)
from presence_server.config import PostgresUrl
from presence_server.endings import Ending, Endings, Reason
from tests.api.conftest import AddApp, add_app, http
from tests.conftest import ServerProcesses, Visit
from testing.app_client import AppClient
from testing.postgresql_server import PASSWORD, PostgresqlServer
from testing.processes import launch, on_database
from testing.waiting import first_answer

__all__ = ["add_app", "http"]

NOW = 1_795_420_800
MANY = 100_000
ENDED_WITHIN = 100
TABLES = {
    "users": "id",
    "name_words": "beginning, lower_name",
    "sessions": "key",
    "nodes": "name",
    "here": "node, room, session",
    "choices": "app, username",
    "apps": "id",
    "app_keys": "id",
    "webhooks": "app_id",
    "told": "app_id, room, username",
    "links": "key",
    "audit": "number",
    "visits": "number",
}

Place = Path | PostgresUrl


@pytest.fixture(params=["to postgresql", "to sqlite", "between files"])
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Place, Place]]:
    """From where to where; a database of PostgreSQL is empty."""
    file = tmp_path / "presence.sqlite3"
    if request.param == "between files":
        yield file, tmp_path / "other.sqlite3"
        return
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    with server.empty_database() as url:
        yield (file, url) if request.param == "to postgresql" else (url, file)


async def content(db: Database) -> dict[str, list[Row]]:
    return {table: await _rows(db, table, key) for table, key in TABLES.items()}


async def _rows(db: Database, table: str, key: str) -> list[Row]:
    """Some at a time: the database has but seconds for each answer."""
    rows: list[Row] = []
    ordered = f"SELECT * FROM {table} ORDER BY {key} LIMIT 10000 OFFSET $1"
    while found := await db.read(ordered, len(rows)):
        rows += found
    return rows


async def _tell(transaction: Transaction) -> None:
    await transaction.execute("INSERT INTO told VALUES (2, 'doc', 'alice', 1, $1, 0)", NOW)
    await transaction.execute(
        "INSERT INTO visits (room, app_id, username, came) VALUES ('2/doc', 2, 'alice', $1)", NOW
    )


async def fill(db: Database, number: int) -> None:
    """Accounts as sign-ups make them, some with sessions, some of which are here."""

    async def work(transaction: Transaction) -> None:
        await transaction.execute_many(
            "INSERT INTO users (username, lower_name, password_hash, created_at, last_seen)"
            " VALUES ($1, $2, $3, $4, $5)",
            [
                (f"User{n}", f"user{n}", "h" * 60, NOW + n, NOW if n % 2 else None)
                for n in range(number)
            ],
        )
        await transaction.execute_many(
            "INSERT INTO sessions (key, user_id, started_at, used_at, expires_at, address, device)"
            " SELECT $1, id, $3, $3, $3, $4, $5 FROM users WHERE lower_name = $2",
            [
                (f"{n:064x}", f"user{n}", NOW, "2001:db8::1", "Firefox on Linux")
                for n in range(0, number, 10)
            ],
        )
        await transaction.execute(
            "INSERT INTO here (node, room, session, username, account, status, since, about)"
            " SELECT 'node', '', key, 'whoever', user_id, 'online', $1, '{}' FROM sessions"
            " WHERE key < $2",
            NOW,
            f"{number // 2:064x}",
        )
        await transaction.execute(
            "INSERT INTO nodes (name, counter, changed, heeded, wrote_at, stopped)"
            " VALUES ('node', 1, 1, 0, $1, 1)",
            NOW,
        )
        await transaction.execute(
            "INSERT INTO choices VALUES"
            " (0, 'User0', 1, 'invisible', '', NULL, $1, 'node', 1, 'lunch', $1, 0)",
            NOW,
        )

    await db.write(work)


def acting_on(db: Database) -> audit.Audited:
    return audit.Audited(Endings(db), audit.Actor(), "did something to", "somebody", NOW)


def report(table: str, number: int) -> None: ...


async def test_a_copy_is_the_same_and_goes_on_as_the_original(places: tuple[Place, Place]) -> None:
    keyring = Keyring([Fernet.generate_key()])
    async with open_database(places[0]) as source, open_database(places[1]) as target:
        await fill(source, 50)
        deleted = await users.find(source, "user7")
        assert deleted is not None
        await users.delete(Endings(source), deleted.id, NOW)
        alice = await users.create(source, "Alice", "hash", NOW, name="Zoë Berg")
        secret, session = await sessions.start(Endings(source), alice.id, "::1", "phone", NOW)
        await users.disable(Endings(source), 3, NOW)
        await users.set_administrator(acting_on(source), 5, True)
        await links.invite(source, "alice", NOW, 60, 2)
        await register.add(source, keyring, "gone", AppSettings(), NOW)
        await register.delete(source, 1)
        made = await register.add(source, keyring, "wiki", AppSettings(visits=3), NOW)
        webhook = "https://x.example"
        await register.change(source, 2, lambda before: replace(before, webhook=webhook))
        await source.write(_tell)
        copied = await copy(source, target, report)
        assert await content(target) == await content(source)
        assert copied == {name: len(rows) for name, rows in (await content(source)).items()}
        assert source.identity != target.identity
        site = source.site
    async with open_database(places[1], create=False) as target:
        # Under which the cookies of those who are logged in go.
        assert target.site == site
        assert await sessions.find(target, secret, NOW) == session
        assert (await users.create(target, "bob", "hash", NOW)).id == alice.id + 1
        assert [name for name, _ in await users.page(target, None, "al", 10)] == ["Alice"]
        await links.invite(acting_on(target), "alice", NOW, 60, 2)
        await register.add(target, keyring, "board", AppSettings(), NOW)
        board, wiki = await register.listed(target)
        assert (wiki.id, board.id) == (2, 3)
        assert register.unseal(keyring, wiki.keys[0]) == made


async def test_what_a_node_has_not_heeded_it_has_not_heeded_after_a_copy(
    places: tuple[Place, Place],
) -> None:
    async with open_database(places[0]) as source, open_database(places[1]) as target:
        # What stays: so the numbers at the target are others.
        await source.write(partial(endings.record, endings=[log_out(), revocation("alice")]))
        heeded = await endings.last(source)
        await source.write(partial(endings.record, endings=[log_out(), revocation("bob")]))
        await source.write(partial(_write_nodes, before=0, at=heeded, after=heeded + 1))
        await copy(source, target, report)
        found: dict[str, int] = dict(await target.read("SELECT name, heeded FROM nodes"))
        told = {
            node: [ending.username for ending in await endings.after(target, number)]
            for node, number in found.items()
        }
        assert told == {"before": ["alice", "bob"], "at": ["bob"], "after": ["bob"]}
        (alice, _) = await endings.after(target, 0)
        assert replace(alice, number=0) == revocation("alice")


def log_out() -> Ending:
    return Ending(reason=Reason.LOG_OUT, session="key", ended_at=NOW)


def revocation(user: str) -> Ending:
    return Ending(
        reason=Reason.REVOKED, app=7, room="doc", username=user, issued_before=NOW, ended_at=NOW
    )


async def _write_nodes(transaction: Transaction, **heeded: int) -> None:
    await transaction.execute_many(
        "INSERT INTO nodes (name, counter, changed, heeded, wrote_at, stopped)"
        " VALUES ($1, 1, 1, $2, $3, 0)",
        [(node, number, NOW) for node, number in heeded.items()],
    )


async def test_a_copy_that_was_interrupted_is_made_anew(places: tuple[Place, Place]) -> None:
    def pull_the_plug(table: str, number: int) -> None:
        if table == "sessions":
            raise ConnectionAbortedError

    async with open_database(places[0]) as source:
        await fill(source, 50)
        async with open_database(places[1]) as target:
            with pytest.raises(ConnectionAbortedError):
                await copy(source, target, pull_the_plug)
        # Nobody serves half of the accounts.
        with pytest.raises(DatabaseUnusable, match="unfinished copy"):
            async with open_database(places[1]):
                pass
        await users.delete(Endings(source), 5, NOW)
        async with open_database(places[1], unfinished=True) as target:
            await copy(source, target, report)
            assert await content(target) == await content(source)
    async with open_database(places[1]) as target:
        assert await users.count(target) == 49


async def test_what_holds_accounts_is_not_copied_over(places: tuple[Place, Place]) -> None:
    async with open_database(places[0]) as source, open_database(places[1]) as target:
        await fill(source, 5)
        await users.create(target, "bob", "hash", NOW)
        with pytest.raises(CannotCopy, match="holds accounts already"):
            await copy(source, target, report)
        with pytest.raises(CannotCopy, match="the same database"):
            await copy(source, source, report)
        assert await users.count(target) == 1


async def test_what_changes_meanwhile_is_noticed(places: tuple[Place, Place]) -> None:
    async with open_database(places[0]) as source, open_database(places[1]) as target:
        await fill(source, 30)
        read = source.read

        async def change(sql: str, *values: str | int | None) -> list[Row]:
            rows = await read(sql, *values)
            if "FROM here" in sql:
                await users.record_last_seen(source, {"user2": NOW + 2}, NOW)
            return rows

        # In the place of a method, to change what it reads at the right instant.
        source.read = change  # type: ignore[method-assign]
        with pytest.raises(CannotCopy, match="users in .* are not those in .*: stop all servers"):
            await copy(source, target, report)
        source.read = read  # type: ignore[method-assign]
        await copy(source, target, report)


async def command(folder: Path, *arguments: str) -> asyncio.subprocess.Process:
    return await launch("database", "copy", *arguments, log_file=folder / "copy.log")


@pytest.mark.timeout(400)
async def test_a_hundred_thousand_accounts_interrupted_once(
    postgresql_server: PostgresqlServer, tmp_path: Path
) -> None:
    file = tmp_path / "presence.sqlite3"
    async with open_database(file) as source:
        await fill(source, MANY)
    with postgresql_server.empty_database() as url:
        process = await command(tmp_path, str(file), url.url)
        async with asyncio.timeout(ENDED_WITHIN), open_database(url, unfinished=True) as target:
            await first_answer(lambda: users.count(target), lambda count: 10_000 < count < MANY, 60)
            process.kill()
            await process.wait()
            assert await users.count(target) < MANY
        process = await command(tmp_path, str(file), url.url)
        async with asyncio.timeout(ENDED_WITHIN):
            out, _ = await process.communicate()
        log = (tmp_path / "copy.log").read_text()
        assert process.returncode == 0, log
        assert out.decode() == (
            f"Copied {MANY} users with {MANY // 10} sessions from {file} to {url}, "
            "and read them back.\n"
        )
        assert PASSWORD not in log
        async with open_database(url) as target, open_database(file) as source:
            assert await content(target) == await content(source)


async def test_people_move_with_their_sessions_and_nobody_is_shown_offline(
    server_process: ServerProcesses,
    visit: Visit,
    postgresql_server: PostgresqlServer,
    tmp_path: Path,
) -> None:
    old = await server_process(grace=20)
    alice, bob = await visit(old, "alice"), await visit(old, "bob")
    async with alice.live() as live, bob.live():
        await live.sees("bob", "online")
        await old.terminate()
    with postgresql_server.empty_database() as url:
        process = await command(tmp_path, str(tmp_path / "presence.sqlite3"), url.url)
        await process.communicate()
        assert process.returncode == 0
        new = await server_process(grace=20, **on_database(url, tmp_path))
        alice.url = new.url
        # Neither a log-in nor a socket: the cookie of before, and bob as he was.
        page = await alice.get("/")
        assert page.status == 200 and "bob: Online" in page.text
        await new.kill()


async def test_an_app_goes_on_at_the_new_database(
    server_process: ServerProcesses,
    add_app: AddApp,
    postgresql_server: PostgresqlServer,
    tmp_path: Path,
) -> None:
    old = await server_process(grace=0.1)
    app = await (await add_app(old.url, visits=30)).until_known()
    async with app.line("alice"):
        await visits_of(app, "alice")
    await visits_of(app, "alice", over=True)
    revoked = app.token("mallory")
    assert (await app.ask("DELETE", "/users/mallory")).status == 204
    await old.terminate()
    with postgresql_server.empty_database() as url:
        process = await command(tmp_path, str(tmp_path / "presence.sqlite3"), url.url)
        said, _ = await process.communicate()
        assert said.startswith(b"Copied 0 users with 0 sessions and 1 app from "), said
        assert process.returncode == 0
        new = await server_process(grace=0.1, **on_database(url, tmp_path))
        app = app.at(new.url)
        async with app.line("bob"):
            await visits_of(app, "alice", "bob")
        answer = await app.say("mallory", bearer=revoked, status="busy")
        assert (answer.status, answer.json["code"]) == (401, "revoked"), answer
        await new.kill()


async def visits_of(app: AppClient, *users: str, over: bool = False) -> None:
    """Until the visits to its room are theirs."""

    async def found() -> list[tuple[str, bool]]:
        answer = await app.ask("GET", "/rooms/doc/visits")
        return [(visit["user"], visit["left"] is not None) for visit in answer.json["visits"]]

    def are_theirs(visits: list[tuple[str, bool]]) -> bool:
        return [user for user, _ in visits] == [*users] and (visits[-1][1] or not over)

    await first_answer(found, are_theirs)


async def test_what_cannot_be_copied_is_said(tmp_path: Path) -> None:
    nowhere, file = tmp_path / "nowhere.sqlite3", tmp_path / "new.sqlite3"
    for arguments, status, said in (
        ((str(nowhere), str(file)), 3, f"The database {nowhere} does not exist."),
        (("mysql://x", str(file)), 2, "FROM and TO must be"),
    ):
        process = await command(tmp_path, *arguments)
        async with asyncio.timeout(ENDED_WITHIN):
            assert await process.wait() == status
        assert said in (tmp_path / "copy.log").read_text()
    assert not file.exists() and not nowhere.exists()
