"""Two servers on one Redis, and one that is restarted: people of apps as people of our own."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import jwt
import pytest

from testing.app_client import AppClient
from testing.processes import ServerProcess, launch
from testing.redis_server import RedisServer, free_port
from testing.waiting import STALL, first_answer
from tests.api.conftest import AT_ONCE, PATIENCE, AddApp, written_down
from tests.conftest import ServerProcesses

GRACE = 2


@pytest.fixture
async def two(
    server_process: ServerProcesses, redis_server: RedisServer, add_app: AddApp
) -> tuple[AppClient, AppClient, list[ServerProcess]]:
    flags = {"redis_url": redis_server.url, "grace": GRACE, "lease": 2}
    servers = [await server_process(port=free_port(), **flags) for _ in range(2)]
    one = await (await add_app(servers[0].url)).until_known()
    return one, await one.at(servers[1].url).until_known(), servers


Two = tuple[AppClient, AppClient, list[ServerProcess]]


async def test_one_roster_on_two_servers(two: Two) -> None:
    one, other, _ = two
    async with one.line("watcher") as watcher, other.line("alice") as alice:
        await watcher.sees("alice", "online")
        await alice.sees("watcher", "online")
        assert await one.here() == await other.here() == {"watcher": "online", "alice": "online"}
        await alice.send({"type": "data", "data": {"row": 1}})
        await watcher.message(lambda message: '"row": 1' in json.dumps(message))
        await one.put("doc", "bot", status="busy", ttl=60)
        await alice.sees("bot", "busy")
        # The newest word of a backend holds, wherever it was said.
        await other.put("doc", "bot", status="away", ttl=10)
        await watcher.sees("bot", "away")
        before = len(watcher.received)
        async with one.line("alice"):
            await alice.raw.close()
            async with other.line("bob"):
                await watcher.sees("bob", "online")
        assert not any("alice" in str(m) for m in watcher.received[before:])


async def test_of_a_users_tokens_the_one_issued_last_says_what_is_shown_everywhere(
    two: Two
) -> None:
    one, other, _ = two
    now = int(time.time())
    new = one.token("alice", iat=now, info={"name": "New"})
    old = one.token("alice", iat=now - 100, info={"name": "Old"})

    async def is_shown(name: str, row: int) -> None:
        wanted = [{"info": {"name": name}, "data": {"row": row}}] * 2
        found: list[object] = []
        async with asyncio.timeout(15):
            while found != wanted:
                here = [(await app.room())["users"]["alice"] for app in (one, other)]
                found = [{"info": person["info"], "data": person.get("data")} for person in here]

    async with other.line("watcher") as watcher, one.line("alice", token=new) as alice:
        await alice.send({"type": "data", "data": {"row": 1}})
        await watcher.message(lambda message: '"row": 1' in json.dumps(message))
        async with other.line("alice", token=old) as again, other.line("bob"):
            await watcher.sees("bob", "online")
            await is_shown("New", 1)
            await again.send({"type": "data", "data": {"row": 2}})
            await is_shown("New", 2)
            # A backend's word is of the second in which it is said.
            await one.put("doc", "alice", info={"name": "Newest"}, ttl=60)
            await is_shown("Newest", 2)
        assert not any("Old" in str(message) for message in watcher.received)
        assert not any("issued" in str(message) for message in watcher.received)


async def test_what_is_said_at_one_server_reaches_the_line_at_the_other(
    two: Two, add_app: AddApp
) -> None:
    patient = await add_app(two[0].url, "patient", grace=PATIENCE)
    one, other = [await patient.at(app.url).until_known() for app in two[:2]]
    async with one.line("watcher") as watcher, one.events("alice") as alice:
        await alice.event()
        await watcher.sees("alice", "online")
        for said, shown in (({"status": "away"}, "away"), ({"status": "online"}, "online")):
            assert (await other.say("alice", **said)).status == 204
            await watcher.sees("alice", shown)
        assert (await other.say("alice", data={"row": 2})).status == 204
        await watcher.message(lambda message: '"row": 2' in json.dumps(message))
        assert (await other.say("alice", status="busy", text="lunch")).status == 204
        await watcher.sees("alice", "busy")
        started = time.monotonic()
        assert (await other.say("alice", leave=True)).status == 204
        await watcher.sees("alice", "offline")
        assert time.monotonic() - started < AT_ONCE


@pytest.mark.parametrize("redis_is_there", [True, False])
async def test_a_revocation_reaches_every_server_within_a_second(
    server_process: ServerProcesses,
    own_redis: RedisServer,
    add_app: AddApp,
    redis_is_there: bool,
) -> None:
    flags = {"redis_url": own_redis.url, "grace": 30, "lease": 2}
    servers = [await server_process(**flags) for _ in range(2)]
    one = await (await add_app(servers[0].url)).until_known()
    other = await one.at(servers[1].url).until_known()
    token = other.token("alice")
    async with other.line("watcher") as watcher, other.line("alice", token=token) as alice:
        await watcher.sees("alice", "online")
        if not redis_is_there:
            own_redis.kill()
            await watcher.until(lambda: watcher.degraded)
        started = time.monotonic()
        assert (await one.ask("DELETE", "/users/alice")).status == 204
        assert await alice.closed() == 4401
        assert time.monotonic() - started < 1 + STALL
        await watcher.sees("alice", "offline")
        refused = await other.ask("GET", "/rooms/doc", bearer=token)
        assert refused.status == 401 and refused.json["code"] == "revoked"


async def test_a_line_that_cannot_be_reached_is_said_so(
    server_process: ServerProcesses, own_redis: RedisServer, add_app: AddApp
) -> None:
    flags = {"redis_url": own_redis.url, "grace": 30, "lease": 2}
    servers = [await server_process(**flags) for _ in range(2)]
    one = await (await add_app(servers[0].url)).until_known()
    other = await one.at(servers[1].url).until_known()
    async with one.events("alice") as alice, other.line("watcher") as watcher:
        await alice.event()
        await watcher.sees("alice", "online")
        own_redis.kill()
        await watcher.until(lambda: watcher.degraded)
        answer = await other.say("alice", status="away")
        assert answer.status == 503 and "Retry-After" in answer.headers
        assert (await one.say("alice", status="away")).status == 204
        assert (await other.room())["degraded"] is True
        # Nobody is gone who may only not be heard.
        assert "alice" in await other.here()


@pytest.fixture
async def restarted(
    server_process: ServerProcesses, add_app: AddApp
) -> AsyncIterator["Restarted"]:
    """An app, its server, and what restarts that."""
    server = await server_process(grace=GRACE)
    app = await (await add_app(server.url)).until_known()

    async def restart(properly: bool = True) -> AppClient:
        if properly:
            assert await server.terminate() == 0
        else:
            await server.kill()
        await server.start()
        return app.at(server.url)

    yield app, server, restart


Restarted = tuple[AppClient, ServerProcess, Callable[..., Awaitable[AppClient]]]


@pytest.mark.parametrize("properly", [True, False])
async def test_a_restart_of_the_only_server_shows_nobody_offline(
    restarted: Restarted, properly: bool
) -> None:
    app, server, restart = restarted
    token = app.token("alice", info={"name": "Alice"})
    async with app.line("alice", token=token) as alice, app.line("bob") as bob:
        await alice.sees("bob", "online")
        await bob.send({"type": "status", "status": "busy", "scope": "user", "text": "lunch"})
        await alice.sees("bob", "busy")
        await app.put("doc", "bot", status="away", info={"name": "Bot"}, ttl=3600)
        await alice.sees("bot", "away")
        await app.put("doc", "phone", status="busy", data={"n": 1}, ttl=3600)
        await alice.sees("phone", "busy")
        before = (await app.room())["users"]
        await written_down(server, list(before), chosen=["bob"])
    again = await restart(properly)
    async with again.line("watcher") as watcher:
        await watcher.first()
        assert {user: watcher.people.get(user) for user in before} == {
            "alice": "online", "bob": "busy", "bot": "away", "phone": "busy"
        }
        after = (await again.room())["users"]
        assert {user: after[user] for user in before} == before
        async with again.line("alice"):
            await watcher.sees("bob", "offline", within=GRACE + STALL)
            assert watcher.people.get("alice") == "online"
        # A claim lasts as long as was said, not one grace.
        await watcher.sees("alice", "offline", within=GRACE + STALL)
        assert watcher.people.get("bot") == "away"
        # A choice lasts while its user is away.
        async with again.line("bob"):
            await watcher.sees("bob", "busy")


async def test_nobody_is_taken_over_beyond_the_end_of_their_token(restarted: Restarted) -> None:
    app, server, restart = restarted
    ending = app.token("alice", exp=int(time.time()) + 4)
    async with app.line("alice", token=ending), app.line("bob") as bob:
        await bob.sees("alice", "online")
        await written_down(server, ["alice"])
    again = await restart()
    # Until the token has ended.
    await asyncio.sleep(max(0.0, float(jwt_end(ending)) - time.time()))
    await first_answer(again.here, lambda here: "alice" not in here, GRACE + STALL)


def jwt_end(token: str) -> int:
    exp: int = jwt.decode(token, options={"verify_signature": False})["exp"]
    return exp


async def test_a_revocation_outlives_a_restart(restarted: Restarted) -> None:
    app, server, restart = restarted
    token = app.token("alice")
    async with app.line("alice", token=token) as alice:
        await written_down(server, ["alice"])
        assert (await app.ask("DELETE", "/users/alice")).status == 204
        assert await alice.closed() == 4401
    again = await restart()
    assert await again.here() == {}
    refused = await again.ask("GET", "/rooms/doc", bearer=token)
    assert refused.status == 401 and refused.json["code"] == "revoked"


async def test_no_token_or_key_is_logged(
    server_process: ServerProcesses, add_app: AddApp
) -> None:
    server = await server_process(log_format="json")
    app = await (await add_app(server.url)).until_known()
    token = app.token("alice", info={"name": "a secret name"})
    async with app.line("alice", token=token) as alice, app.events("alice", token=token) as events:
        await alice.first()
        await events.event()
        await alice.send({"type": "token", "token": app.token("alice")})
        await app.say("alice", bearer=token, status="away")
        await app.ask("GET", f"/rooms/doc?token={token}", bearer="")
        async with app.line("bob", token=token[:-4] + "AAAA") as refused:
            await refused.closed()
    assert await server.terminate() == 0
    assert '"/api/v1/rooms/doc"' in server.log
    for part in (*token.split("."), app.secret, "a secret name"):
        assert part not in server.log


async def test_what_operators_read_of_apps(
    server_process: ServerProcesses, add_app: AddApp
) -> None:
    server = await server_process(admin_port=0)
    app = await (await add_app(server.url)).until_known()
    async with app.line("alice") as alice, app.line("bob", "other") as bob:
        await alice.first()
        await bob.first()
        async with app.http.get(f"{server.admin_url}/metrics") as response:
            text = await response.text()
        for line in (
            'presence_app_people{app="wiki"} 2.0',
            'presence_app_lines{app="wiki"} 2.0',
            'presence_api_requests_total{answer="1xx",app="wiki"} 2.0',
        ):
            assert line in text
        port = server.admin_url.rpartition(":")[2]
        for flags, people in (
            (("--app", "wiki", "--room", "doc"), ["alice"]),
            (("--app", "wiki"), ["alice", "bob"]),
            ((), []),
        ):
            out = await run_who(server, f"--admin-port={port}", *flags)
            assert [line.split()[0] for line in out.splitlines()] == people
        unknown = await run_who(server, f"--admin-port={port}", "--app", "nothing", status=1)
        assert unknown == ""


async def run_who(server: ServerProcess, *flags: str, status: int = 0) -> str:
    log = server.folder / "who.log"
    process = await launch("who", *flags, log_file=log)
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == status, log.read_text()
    return out.decode()


@pytest.mark.timeout(300)
async def test_commands_are_heeded_by_a_server_that_runs(server_process: ServerProcesses) -> None:
    # Nobody reads what comes over the line while commands run.
    server = await server_process(heartbeat=300)
    flags = (f"--database={server.flags['database']}",)
    log = server.folder / "app.log"

    async def run(*said: str) -> str:
        process = await launch("app", *said, *flags, log_file=log)
        out, _ = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, log.read_text()
        return out.decode()

    async with aiohttp.ClientSession() as http:
        app = AppClient(server.url, http, json.loads(await run("add", "wiki", "--json")))
        await app.until_known()
        async with app.line("alice", token=await token_of(run)) as alice:
            await alice.first()
            made = json.loads(await run("rotate", "wiki", "--json"))
            renewed = await AppClient(server.url, http, made).until_known()
            # A rotation leaves no gap: both keys hold, and the line stays open.
            assert list(await app.here()) == list(await renewed.here()) == ["alice"]
            await alice.send({"type": "token", "token": await token_of(run)})
            await run("rotate", "wiki", "--drop-previous")
            await first_answer(lambda: app.ask("GET", "/rooms"), lambda said: said.status == 401)
            assert list(await renewed.here()) == ["alice"]
            closed = asyncio.create_task(alice.closed(within=60))
            await run("delete", "wiki")
            assert await asyncio.wait_for(closed, 1 + STALL) == 4401
            assert (await renewed.ask("GET", "/rooms")).status == 401


async def token_of(run: Callable[..., Awaitable[str]]) -> str:
    return (await run("token", "wiki", "--user", "alice", "--room", "doc")).strip()


async def stays(app: AppClient, other: AppClient, away: asyncio.Event) -> None:
    """A page of alice's: away, and back at the other server when the one says goodbye."""
    here, there = app, other
    cursor = None
    while True:
        query = "?status=away" + (f"&cursor={cursor}" if cursor else "")
        try:
            async with here.line("alice", query=query) as line:
                await line.first()
                away.set()
                await line.closed(within=60)
                cursor = line.cursor
        except aiohttp.ClientError:
            pass
        here, there = there, here
        # As a page, which does not come back at once.
        await asyncio.sleep(0.05)


async def test_servers_replaced_one_by_one_are_no_event(two: Two) -> None:
    one, other, servers = two
    there = asyncio.Event()
    page = asyncio.create_task(stays(one, other, there))
    try:
        for watched, ending, server in ((other, one, servers[0]), (one, other, servers[1])):
            await asyncio.wait_for(there.wait(), 10)
            async with watched.line("watcher") as watcher, ending.line("eve"):
                await watcher.sees("alice", "away")
                await watcher.sees("eve", "online")
                since, before = watcher.since["alice"], len(watcher.received)
                there.clear()
                await server.terminate()
                await server.start()
                # By then she, too, would be shown to have gone.
                await watcher.sees("eve", "offline", within=GRACE + 10)
                said = [message for message in watcher.received[before:] if "alice" in str(message)]
                assert all("offline" not in message and "online" not in message for message in said)
                assert watcher.people["alice"] == "away" and watcher.since["alice"] == since
            there.set()
    finally:
        page.cancel()


async def test_an_outage_of_redis_shows_nobody_offline_who_moves_meanwhile(
    server_process: ServerProcesses, own_redis: RedisServer, add_app: AddApp
) -> None:
    flags = {"redis_url": own_redis.url, "grace": 3, "lease": 2}
    servers = [await server_process(**flags) for _ in range(2)]
    one = await (await add_app(servers[0].url)).until_known()
    other = await one.at(servers[1].url).until_known()
    async with one.line("w1") as w1, other.line("w2") as w2:
        async with (
            one.line("alice") as alice,
            other.line("bob") as bob,
            one.line("eve") as eve,
            one.line("finn") as finn,
        ):
            for watcher in (w1, w2):
                for user in ("alice", "bob", "eve", "finn"):
                    await watcher.sees(user, "online")
            own_redis.kill()
            for watcher in (w1, w2):
                await watcher.until(lambda: watcher.degraded)
            await alice.raw.close()
            await eve.raw.close()
            async with other.line("alice") as moved:
                await moved.first()
                # When she who does not come back has gone for both, alice would have, too: while
                # Redis is away at the server where she was, and afterwards at the other.
                await w1.sees("eve", "offline", within=15)
                own_redis.start()
                for watcher in (w1, w2):
                    await watcher.until(lambda: not watcher.degraded, within=15)
                await finn.raw.close()
                for watcher in (w1, w2):
                    await watcher.sees("eve", "offline", within=15)
                    await watcher.sees("finn", "offline", within=15)
                    said = [m for m in watcher.received if "alice" in m.get("offline", {})]
                    assert said == [] and watcher.people["alice"] == "online"
            assert bob.close_code is None
