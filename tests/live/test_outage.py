"""Two nodes while Redis is down."""

import asyncio
import time

import pytest

from tests.conftest import ServerProcesses, Visit
from tests.live.test_restart import shown_gone
from testing.processes import ServerProcess
from testing.redis_server import RedisServer
from testing.visitor import Visitor

GRACE = 2

Two = tuple[ServerProcess, ServerProcess]


@pytest.fixture
async def two(server_process: ServerProcesses, own_redis: RedisServer) -> Two:
    flags = {"redis_url": own_redis.url, "grace": GRACE, "lease": 2}
    return await server_process(**flags), await server_process(**flags)


async def same_browser(visit: Visit, visitor: Visitor, door: ServerProcess) -> Visitor:
    """Ports are not told apart by cookies."""
    there = await visit(door)
    there.http.cookie_jar.update_cookies({c.key: c.value for c in visitor.http.cookie_jar})
    return there


async def test_who_moves_to_another_node_is_not_shown_offline_at_the_old_one(
    two: Two, visit: Visit, own_redis: RedisServer
) -> None:
    here, there = two
    alice, bob = await visit(here, "alice"), await visit(here, "bob")
    carol = await visit(here, "carol")
    async with alice.live() as of_alice:
        async with bob.live(), carol.live():
            await of_alice.sees("carol", "online")
            own_redis.kill()
            await of_alice.until(lambda: of_alice.degraded)
        async with (await same_browser(visit, bob, there)).live():
            # Carol left at the same time, and does not come back.
            await of_alice.sees("carol", "offline", within=30)
            own_redis.start()
            await of_alice.until(lambda: not of_alice.degraded)
            assert of_alice.people.keys() == {"alice", "bob"}
            assert not shown_gone(of_alice, "bob")
        await of_alice.sees("bob", "offline")


async def test_who_comes_to_another_node_is_seen_all_the_same(
    two: Two, visit: Visit, own_redis: RedisServer
) -> None:
    here, there = two
    alice, bob = await visit(here, "alice"), await visit(there, "bob")
    async with alice.live() as of_alice:
        # Who is here when Redis goes would stay so as last known.
        async with bob.live():
            await of_alice.sees("bob", "online", within=30)
        await of_alice.sees("bob", "offline", within=30)
        own_redis.kill()
        await of_alice.until(lambda: of_alice.degraded)
        async with bob.live():
            await of_alice.sees("bob", "online", within=30)
        await of_alice.sees("bob", "offline", within=30)


async def test_a_node_that_starts_meanwhile_shows_who_is_at_the_others(
    two: Two, visit: Visit, own_redis: RedisServer
) -> None:
    here, there = two
    alice, bob = await visit(here, "alice"), await visit(there, "bob")
    async with alice.live() as of_alice:
        await of_alice.sees("alice", "online")
        own_redis.kill()
        await there.kill()
        await there.start()
        bob.url = there.url
        async with bob.live() as of_bob:
            await of_bob.sees("alice", "online")
            over = time.monotonic() + GRACE + 1
            while time.monotonic() < over:
                assert "alice: Online" in (await bob.get("/")).text
                await asyncio.sleep(0.1)
            assert not shown_gone(of_bob, "alice")
