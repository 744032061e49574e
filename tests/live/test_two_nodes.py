"""What one node knows of the people of another."""

import asyncio
import re

from tests.conftest import ServerProcesses, Visit
from testing.redis_server import RedisServer
from testing.visitor import Visitor

WITHIN = 10


async def devices(visitor: Visitor) -> list[str]:
    """Which of one's devices are here, as one's account page says."""
    page = (await visitor.get("/account/")).text
    return sorted(re.findall(r'class="mark" data-status="(\w+)"', page))


async def test_the_account_page_knows_devices_at_another_node(
    server_process: ServerProcesses, visit: Visit, redis_server: RedisServer
) -> None:
    one, two = [await server_process(redis_url=redis_server.url, grace=1) for _ in range(2)]
    laptop, phone = await visit(one, "alice"), await visit(two)
    await phone.log_in("alice")
    async with phone.live() as page:
        await page.first()
        async with asyncio.timeout(WITHIN):
            # What a log-in claims is over soon.
            while await devices(laptop) != ["offline", "online"]:
                await asyncio.sleep(0.1)
        assert await devices(phone) == ["offline", "online"]
    async with asyncio.timeout(WITHIN):
        while await devices(laptop) != ["offline", "offline"]:
            await asyncio.sleep(0.1)


async def test_going_away_is_told_at_once_also_just_after_another_node_started(
    server_process: ServerProcesses, visit: Visit, redis_server: RedisServer
) -> None:
    grace = 30
    one = await server_process(redis_url=redis_server.url, grace=grace)
    alice, bob = await visit(one, "alice"), await visit(one, "bob")
    async with bob.live() as of_bob, alice.live() as of_alice:
        await of_bob.sees("alice", "online")
        async with asyncio.timeout(WITHIN):
            while await devices(alice) != ["online"]:
                await asyncio.sleep(0.1)
        await server_process(redis_url=redis_server.url, grace=grace)
        await of_alice.send({"type": "status", "status": "away"})
        await of_bob.sees("alice", "away", within=WITHIN)
