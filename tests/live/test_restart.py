"""A server that stops, or is killed, and comes back."""

import asyncio
import re
import sqlite3
from contextlib import AsyncExitStack, closing

import pytest

from tests.conftest import ServerProcesses, Visit
from testing.processes import ServerProcess
from testing.redis_server import RedisServer, free_port
from testing.visitor import LiveSocket
from testing.waiting import until


def shown_gone(socket: LiveSocket, username: str) -> bool:
    return any(username in message.get("offline", {}) for message in socket.received)


async def written_down(server: ServerProcess, **here: str) -> None:
    """Until its next life can know who is here, and how."""
    with closing(sqlite3.connect(str(server.flags["database"]))) as db:
        await until(lambda: dict(db.execute("SELECT username, status FROM here")) == here, 15)


@pytest.mark.parametrize("end", ["SIGTERM", "SIGKILL"])
async def test_nobody_who_returns_within_the_grace_is_shown_offline(
    server_process: ServerProcesses, visit: Visit, end: str
) -> None:
    server = await server_process(port=free_port(), grace=6)
    alice, bob, carol = [await visit(server, name) for name in ("alice", "bob", "carol")]
    async with alice.live() as of_alice, bob.live() as of_bob, carol.live():
        await of_alice.sees("carol", "online")
        await of_bob.send({"type": "status", "status": "away"})
        await of_alice.sees("bob", "away")
        since = dict(of_alice.since)
        await written_down(server, alice="online", bob="away", carol="online")
        if end == "SIGTERM":
            assert await server.terminate() == 0
        else:
            await server.kill()
    await server.start()
    async with alice.live(cursor=of_alice.cursor) as again:
        first = await again.first()
        assert first["type"] == "snapshot"
        assert again.people == {"alice": "online", "bob": "away", "carol": "online"}
        assert again.since == since
        async with bob.live():
            # Carol does not come back.
            await again.sees("carol", "offline", within=30)
        assert not shown_gone(again, "bob") and not shown_gone(again, "alice")


async def test_others_wait_for_no_lease_of_a_server_that_was_killed_and_is_back(
    server_process: ServerProcesses, visit: Visit, redis_server: RedisServer
) -> None:
    flags = {"redis_url": redis_server.url, "grace": 1, "lease": 60}
    one, two = [await server_process(port=free_port(), **flags) for _ in range(2)]
    alice, bob = await visit(one, "alice"), await visit(two, "bob")
    async with alice.live() as of_alice:
        async with bob.live():
            await of_alice.sees("bob", "online")
            await two.kill()
        await two.start()
        await of_alice.sees("bob", "offline", within=20)
        # What says that they live goes with them.
        assert await one.terminate() == await two.terminate() == 0
    named = {path.name.removeprefix("presence.sqlite3") for path in one.folder.iterdir()}
    assert {name for name in named if re.search(r"\.[0-9a-f]{16}$", name)} == set()


async def test_everybody_is_told_of_a_restart(
    server_process: ServerProcesses, visit: Visit
) -> None:
    server = await server_process(grace=8)
    alice = await visit(server, "alice")
    async with alice.live() as live, alice.tutorial() as tutorial:
        await live.first()
        ending = asyncio.create_task(server.terminate())
        assert await live.closed() == 1012
        bye = live.received[-1]
        assert (bye["type"], bye["reason"]) == ("bye", "restarting")
        assert 0 <= bye["retry_after"] <= 4
        assert await tutorial.closed() == 1012
        assert await ending == 0


async def test_people_are_asked_to_come_back_at_different_times(
    server_process: ServerProcesses, visit: Visit
) -> None:
    server = await server_process(grace=8)
    alice = await visit(server, "alice")
    async with AsyncExitStack() as stack:
        tabs = [await stack.enter_async_context(alice.live()) for _ in range(12)]
        for tab in tabs:
            await tab.first()
        ending = asyncio.create_task(server.terminate())
        assert set(await asyncio.gather(*(tab.closed() for tab in tabs))) == {1012}
        pauses = sorted(tab.received[-1]["retry_after"] for tab in tabs)
        assert pauses[-1] - pauses[0] > 0.5 and 0 <= pauses[0] <= pauses[-1] <= 4
        assert await ending == 0


async def test_a_rolling_restart_shows_nobody_offline(
    server_process: ServerProcesses, visit: Visit, redis_server: RedisServer
) -> None:
    flags = {"redis_url": redis_server.url, "grace": 15}
    first, second = [await server_process(port=free_port(), **flags) for _ in range(2)]
    alice, bob = await visit(first, "alice"), await visit(second, "bob")
    bob_at_first = await visit(first)
    bob_at_first.http.cookie_jar.update_cookies({c.key: c.value for c in bob.http.cookie_jar})
    async with alice.live() as of_alice:
        async with bob.live() as of_bob:
            await of_alice.sees("bob", "online")
            assert await second.terminate() == 0
            assert await of_bob.closed() in (1012, 1006)
        async with bob_at_first.live():
            await second.start()
            async with bob.live() as back:
                await back.sees("alice", "online")
                assert back.received[0]["online"].keys() == {"alice", "bob"}
                carol = await visit(second, "carol")
                async with carol.live():
                    await of_alice.sees("carol", "online")
        assert not shown_gone(of_alice, "bob")


@pytest.mark.parametrize("end", ["SIGTERM", "SIGKILL"])
async def test_a_node_that_starts_again_brings_nobody_back_who_was_gone(
    server_process: ServerProcesses, visit: Visit, redis_server: RedisServer, end: str
) -> None:
    flags = {"redis_url": redis_server.url, "grace": 1, "lease": 1.5}
    first, second = [await server_process(port=free_port(), **flags) for _ in range(2)]
    alice, bob, carol = [
        await visit(door, name)
        for door, name in ((first, "alice"), (second, "bob"), (second, "carol"))
    ]
    async with alice.live() as of_alice:
        async with bob.live():
            await of_alice.sees("bob", "online")
            if end == "SIGTERM":
                assert await second.terminate() == 0
            else:
                await second.kill()
        await of_alice.sees("bob", "offline")
        gone = len(of_alice.received)
        # The seconds in the database are whole ones.
        await asyncio.sleep(1)
        await second.start()
        async with carol.live() as of_carol:
            assert "bob" not in (await of_carol.first())["online"]
            await of_alice.sees("carol", "online")
        assert not any("bob" in told.get("online", {}) for told in of_alice.received[gone:])


async def test_an_account_deleted_meanwhile_does_not_come_back(
    server_process: ServerProcesses, visit: Visit
) -> None:
    server = await server_process(port=free_port(), grace=30)
    alice, bob = await visit(server, "alice"), await visit(server, "bob")
    async with alice.live() as of_alice, bob.live() as of_bob:
        await of_alice.sees("bob", "online")
        await written_down(server, alice="online", bob="online")
        answer = await bob.submit("/account/delete", {"password": "johnson123"}, form="/account/")
        assert answer.status == 303
        assert await of_bob.closed() == 4401
        await of_alice.until(lambda: "bob" in of_alice.received[-1].get("deleted", {}))
    await server.kill()
    await server.start()
    async with alice.live() as again:
        assert "bob" not in (await again.first())["online"]
        assert "bob" not in [user["username"] for user in (await alice.api())["users"]]
