"""Who was here when, as it is kept: over restarts and kills, for apps and for own accounts."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from presence_server import cli
from presence_server.apps import register
from presence_server.apps.register import AppSettings
from presence_server.config import PostgresUrl
from presence_server.keys import APPS, CONFIG, DATABASE
from presence_server.live.feed import Feeds
from presence_server.presence.members import Who
from presence_server.presence.moment import Moment
from presence_server.presence.names import key_of
from presence_server.presence.node import Node
from presence_server.presence.records import OWN
from presence_server.presence.visits import Visit
from presence_server.storage.database import Database
from presence_server.visits import written
from presence_server.visits.written import Asked, find
from testing.app_client import AppClient
from testing.processes import ServerProcess, arguments, on_database
from testing.redis_server import RedisServer, free_port
from testing.waiting import first_answer
from tests.api.conftest import AddApp, add_app, add_app_at, http
from tests.api.test_rooms import is_problem
from tests.conftest import Serve, ServerProcesses, Visit as OpenBrowser

__all__ = ["add_app", "http"]

GRACE = 0.5

Command = Callable[..., Awaitable[list[str]]]


async def visits(app: AppClient, room: str = "doc", query: str = "") -> list[dict[str, Any]]:
    answer = await app.ask("GET", f"/rooms/{room}/visits{query}")
    assert answer.status == 200, answer
    found: list[dict[str, Any]] = answer.json["visits"]
    return found


async def until(
    app: AppClient, holds: Callable[[list[dict[str, Any]]], bool], room: str = "doc"
) -> list[dict[str, Any]]:
    return await first_answer(lambda: visits(app, room), holds)


def all_left(number: int) -> Callable[[list[dict[str, Any]]], bool]:
    return lambda found: len(found) == number and all(v["left"] is not None for v in found)


def count_turns(monkeypatch: pytest.MonkeyPatch) -> list[Database]:
    """Grows with each transaction from now on."""
    turns, write = list[Database](), Database.write

    async def counted(db: Database, work: Any) -> Any:
        turns.append(db)
        return await write(db, work)

    monkeypatch.setattr(Database, "write", counted)
    return turns


@pytest.fixture
async def server(serve: Serve) -> TestServer:
    return await serve(grace=GRACE)


@pytest.fixture
async def app(server: TestServer, add_app: AddApp) -> AppClient:
    client = await add_app(str(server.make_url("")).rstrip("/"), visits=30)
    await server.app[APPS].read()
    return client


async def test_visits_of_an_app(
    app: AppClient, server: TestServer, capsys: pytest.CaptureFixture[str]
) -> None:
    began = int(time.time())
    watching = app.token("watcher", {"doc": "watch"})
    async with app.line("watcher", token=watching), app.line("alice"):
        (visit,) = await until(app, lambda found: len(found) == 1)
        assert visit["user"] == "alice" and visit["left"] is None
        assert began <= visit["came"] <= time.time()
        # Another tab, another status and coming back within the grace are the same visit.
        async with app.line("alice") as tab:
            await tab.send({"type": "status", "status": "away"})
        await app.put("doc", "bob", ttl=60)
        await app.ask("DELETE", "/rooms/doc/users/bob")
        leaving = int(time.time())
    left = int(time.time())
    alice, bob = await until(app, all_left(2))
    assert [alice["user"], bob["user"]] == ["alice", "bob"]
    assert leaving - 1 <= alice["left"] <= left + 1 and bob["came"] <= bob["left"]
    assert {v["user"] for v in await visits(app, "lobby")} == {"alice", "bob"}
    # Asking for some.
    assert await visits(app, query="?user=bob") == [bob]
    page = (await app.ask("GET", "/rooms/doc/visits?limit=1")).json
    assert page["visits"] == [alice]
    rest = (await app.ask("GET", f"/rooms/doc/visits?limit=1&after={page['next']}")).json
    assert rest == {"visits": [bob], "next": None}
    assert await visits(app, query=f"?to={began - 10}") == []
    assert await visits(app, query=f"?from={left + 10}") == []
    assert await visits(app, query=f"?from={began}&to={left + 10}") == [alice, bob]
    for query in ("?from=x", "?to=-1", "?after=5", "?limit=0", "?user=a&user=b"):
        answer = await app.ask("GET", f"/rooms/doc/visits{query}")
        assert is_problem(answer, 400, "bad_request")
    # An administrator need not know of which app a room is.
    database = f"--database={server.app[CONFIG].database}"
    second = alice["came"]
    then = [visit for visit in (alice, bob) if visit["came"] <= second < visit["left"]]
    at = ["--at", str(datetime.fromtimestamp(second, UTC))]
    for asked, expected in (([], [alice, bob]), (at, then)):
        capsys.readouterr()
        arguments = ["visits", "--json", "--room", "doc", *asked, database]
        assert await asyncio.to_thread(cli.main, arguments) == 0
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [{**visit, "room": "doc"} for visit in expected] == lines
    capsys.readouterr()
    # Those of the own accounts, and nobody else.
    assert await asyncio.to_thread(cli.main, ["visits", *at, database]) == 0
    assert capsys.readouterr().out == ""
    # They go when they are no longer kept; and others keep none.
    db = server.app[DATABASE]
    (known,) = await register.listed(db)
    kept_no_longer = ["app", "set", known.name, "--visits=0", database]
    assert await asyncio.to_thread(cli.main, kept_no_longer) == 0
    await server.app[APPS].read()
    assert is_problem(await app.ask("GET", "/rooms/doc/visits"), 404, "no_visits")
    assert await db.read("SELECT * FROM visits") == []
    # Nor are they shown while they are still being deleted.
    insert = "INSERT INTO visits (room, app_id, username, came, left_at) VALUES ($1, $2, 'x', 5, 6)"
    values = key_of(known.id, "doc"), known.id
    await db.write(lambda transaction: transaction.execute(insert, *values))
    capsys.readouterr()
    for arguments in (["--room", "doc"], ["--app", known.name, "--at", "1970-01-01 00:00:05"]):
        assert await asyncio.to_thread(cli.main, ["visits", *arguments, database]) == 0
        assert capsys.readouterr().out == ""


@pytest.mark.both_databases
async def test_many_are_forgotten_some_at_a_time(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    day, now = 24 * 60 * 60, 1_800_000_000
    ends = [now - 8 * day] * 2500 + [now - 6 * day] * 3
    insert = "INSERT INTO visits (room, username, came, left_at) VALUES ('', $1, $2, $2)"
    people = [(f"user-{number}", end) for number, end in enumerate(ends)]
    await db.write(lambda transaction: transaction.execute_many(insert, people))
    turns = count_turns(monkeypatch)
    await written.forget(db, {0: 7}, now)
    assert len(turns) == 3
    assert len(await db.read("SELECT number FROM visits")) == 3
    assert await written.forget(db, {0: 0}, now) == []
    assert await db.read("SELECT number FROM visits") == []


@pytest.mark.both_databases
async def test_only_so_many_at_once_are_forgotten_if_that_is_asked_for(db: Database) -> None:
    insert = "INSERT INTO visits (room, username, came, left_at) VALUES ('', $1, 5, 5)"
    people = [(f"user-{number}",) for number in range(1500)]
    await db.write(lambda transaction: transaction.execute_many(insert, people))
    days = {0: 0, 1: 0}
    assert await written.forget(db, days, 0, most=1) == [0, 1]
    assert len(await db.read("SELECT number FROM visits")) == 500
    assert await written.forget(db, days, 0, most=1) == [1]
    assert await written.forget(db, {1: 0}, 0, most=1) == []
    assert await db.read("SELECT number FROM visits") == []


@pytest.mark.both_databases
@pytest.mark.parametrize("command", [["set", "--visits=0"], ["delete"]])
async def test_also_those_of_an_app_that_keeps_none_any_more(
    db: Database,
    place: Path | PostgresUrl,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
) -> None:
    flags = arguments({**on_database(place, tmp_path), "secret_key_file": tmp_path / "keys"})

    async def app(act: str, *said: str) -> None:
        assert await asyncio.to_thread(cli.main, ["app", act, "wiki", *said, *flags]) == 0

    await app("add", "--visits=7")
    insert = "INSERT INTO visits (room, app_id, username, came, left_at) VALUES ('', 1, $1, 1, 1)"
    people = [(f"user-{number}",) for number in range(2500)]
    await db.write(lambda transaction: transaction.execute_many(insert, people))
    turns = count_turns(monkeypatch)
    await app(*command)
    assert await db.read("SELECT number FROM visits WHERE app_id = 1") == []
    assert len(turns) == 4


@pytest.mark.both_databases
async def test_visits_of_what_names_no_user(app: AppClient) -> None:
    for user in ("", "%00", "%0A", "x" * 129):
        answer = await app.ask("GET", f"/rooms/doc/visits?user={user}")
        assert is_problem(answer, 400, "bad_request"), user
    assert await visits(app, query="?user=Zo%C3%AB") == []


async def test_who_was_here_before_visits_were_kept_came_before(
    server: TestServer, add_app: AddApp
) -> None:
    app = await add_app(str(server.make_url("")).rstrip("/"))
    await server.app[APPS].read()
    await app.put("doc", "bot", status="online", ttl=60)
    came = int(time.time())
    while int(time.time()) <= came:
        await asyncio.sleep(0.05)
    await app.put("doc", "bot", status="away", ttl=60)
    (known,) = await register.listed(server.app[DATABASE])
    await register.change(server.app[DATABASE], known.id, lambda before: AppSettings(visits=1))
    await server.app[APPS].read()
    (visit,) = await until(app, lambda found: len(found) == 1)
    assert visit["came"] <= came


async def test_the_invisible_visit_nobody(app: AppClient) -> None:
    choose = {"type": "status", "scope": "user", "status": "invisible"}
    async with app.line("alice", token=app.token("alice", invisible=True)) as alice:
        await until(app, lambda found: len(found) == 1)
        await alice.send(choose)
        (visit,) = await until(app, all_left(1))
        assert visit["came"] <= visit["left"] <= time.time()
    async with app.line("alice", "team", token=app.token("alice", "team")), app.line("bob", "team"):
        (visit,) = await until(app, lambda found: bool(found), "team")
        assert visit["user"] == "bob"


async def test_over_restarts_and_kills(
    server_process: ServerProcesses, add_app: AddApp
) -> None:
    port = free_port()
    (app,) = await add_app_at(add_app, [port], visits=1)
    server = await server_process(port=port, grace=2)
    async with app.line("alice", "doc"), app.line("bob", "doc"):
        began = await until(app, lambda found: len(found) == 2)
        ending = int(time.time())
        assert await server.terminate() == 0
    ended = int(time.time())
    # So that an end by the next server could not be taken for one by this one.
    await asyncio.sleep(2)
    restarted = int(time.time())
    await server.start()
    async with app.line("alice", "doc"):
        # Who is back within the grace was never away; who is not left when the server ended.
        alice, bob = await until(app, lambda found: any(v["left"] for v in found))
        assert alice == began[0] and ending - 1 <= bob["left"] <= ended + 1
        async with app.line("carol", "doc") as carol:
            await carol.first()
            await until(app, lambda found: len(found) == 3)
            await server.kill()
    killed = int(time.time())
    # As before.
    await asyncio.sleep(2)
    await server.start()
    alice, bob, carol_ = await until(app, all_left(3))
    assert alice["came"] == began[0]["came"]
    for visit in (alice, carol_):
        # When it was last known, which is noted every two seconds.
        assert restarted - 1 <= visit["left"] <= killed + 1, (visit, restarted, killed)


async def test_who_writes_may_die(
    server_process: ServerProcesses, redis_server: RedisServer, add_app: AddApp
) -> None:
    flags = {"redis_url": redis_server.url, "grace": GRACE, "lease": 1}
    ports = [free_port(), free_port()]
    app, there = await add_app_at(add_app, ports, visits=1)
    one = await server_process(port=ports[0], **flags)
    await app.put("first", "bot", ttl=60)
    await until(app, lambda found: bool(found), "first")
    await server_process(port=ports[1], **flags)
    async with there.line("alice") as alice:
        await alice.first()
        (before,) = await until(app, lambda found: len(found) == 1)
        await one.kill()
        killed = int(time.time())
        # Somebody comes and goes while nobody writes.
        async with there.line("bob") as bob:
            await alice.sees("bob", "online")
            await bob.send({"type": "leave"})
            await alice.sees("bob", "offline")
        gone = int(time.time())
        found = await until(there, lambda found: len(found) == 2 and found[1]["left"] is not None)
        assert found[0] == before
        assert found[1]["user"] == "bob" and killed - 1 <= found[1]["left"] <= gone + 1
    await until(there, all_left(2))


async def test_visits_of_own_accounts_and_the_command(
    server_process: ServerProcesses, visit: OpenBrowser, command: Command
) -> None:
    server = await server_process(grace=GRACE, visits=7)
    alice = await visit(server, "alice")
    async with alice.live() as live:
        await live.sees("alice", "online")
        here = await command(server, "visits", "--json", until="alice")
        assert [json.loads(line)["left"] for line in here] == [None]
    came = json.loads(here[0])["came"]
    await command(server, "visits", "--csv", until=f",alice,{came},1")
    (line,) = await command(server, "visits", until=" to ")
    assert line.startswith("alice ") and " UTC" in line
    long_ago = "2020-01-01 14:03"
    assert await command(server, "visits", "--at", long_ago) == []
    at = datetime.fromtimestamp(came, UTC).strftime("%Y-%m-%d %H:%M:%S")
    assert await command(server, "visits", "--at", at) in ([line], [])
    # They go with the account.
    await command(server, "user", "delete", "alice")
    assert await command(server, "visits") == []


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command on a server's database, beside it; its lines, once they have the words."""

    async def run(server: ServerProcess, *arguments: str, until: str = "") -> list[str]:
        async def out() -> str:
            database = f"--database={server.flags['database']}"
            assert await asyncio.to_thread(cli.main, [*arguments, database]) == 0
            return capsys.readouterr().out

        return (await first_answer(out, lambda out: until in out)).splitlines()

    return run


async def test_a_clock_that_was_ahead_leaves_no_visit_to_come(
    serve: Serve, visit: OpenBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await serve(grace=GRACE, visits=7)
    alice, bob = await visit(server, "alice"), await visit(server, "bob")
    now = time.time

    async def until(holds: Callable[[Visit, Visit], bool]) -> tuple[Visit, Visit]:
        """The newest visit of each."""

        async def newest() -> list[Visit]:
            kept = await find(server.app[DATABASE], Asked(""), 10)
            found = {each.visit.user: each.visit for each in kept}
            return [found[name] for name in ("alice", "bob") if name in found]

        both = await first_answer(newest, lambda found: len(found) == 2 and holds(*found))
        return both[0], both[1]

    # What the log-ins began, before the clock goes wrong.
    await until(lambda alice, bob: bool(alice.left and bob.left))
    with monkeypatch.context() as wrong:
        wrong.setattr(time, "time", lambda: now() + 5 * 24 * 60 * 60)
        async with alice.live() as of_alice:
            async with bob.live() as of_bob:
                await of_bob.sees("alice", "online")
            await of_alice.sees("bob", "offline")
            await until(lambda alice, bob: alice.came > now() + 60 and (bob.left or 0) > now() + 60)
            wrong.undo()
            of_now, ended = await until(lambda alice, bob: alice.came <= now())
            assert of_now.left is None and ended.left is not None and ended.left <= now()
            leaving = now()
    left, _ = await until(lambda alice, bob: alice.left is not None)
    assert left.came == of_now.came and left.left is not None
    assert leaving - 5 < left.left <= now()


def test_a_name_that_is_somebody_elses_within_a_second_is_followed() -> None:
    now = Moment(0.0, 1000)
    node = Node("", grace=8.0, lease=10.0, now=now)
    node.open(OWN, Who("laptop", "alice", 1), 1, now, "online")
    feed = Feeds(node.rooms).open(0)
    feed.look_at_all()
    assert [news.changed for news in feed.take()] == [None]
    node.open(OWN, Who("phone", "alice", 2), 2, now, "online")
    feed.changed(OWN)
    assert [list(news.changed or ()) for news in feed.take()] == [["alice"]]


def test_times_that_cannot_be(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    database = f"--database={tmp_path / 'presence.sqlite3'}"
    cli.main(["app", "add", "wiki", database])
    cli.main(["app", "delete", "wiki", database])
    assert cli.main(["visits", "--room", "doc", database]) == 1
    assert "there is no app" in capsys.readouterr().err
    assert cli.main(["app", "add", "wiki", database]) == 0
    for flags, words in (
        (["--at", "noon"], "--at must be a time such as"),
        (["--app", "wiki"], "Name a room, too"),
        (["--app", "nobody"], "There is no app nobody"),
    ):
        assert cli.main(["visits", *flags, database]) == 1
        assert words in capsys.readouterr().err
