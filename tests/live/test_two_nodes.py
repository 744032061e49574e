"""What one node knows of the people of another."""

import asyncio
import re
from contextlib import suppress

from tests.conftest import ServerProcesses, Visit
from testing.redis_server import RedisServer
from testing.visitor import Visitor

WITHIN = 10


async def devices(visitor: Visitor) -> list[str]:
    """Which of one's devices are here, as one's account page says."""
    _, _, listed = (await visitor.get("/account/")).text.partition('<ul class="devices"')
    listed, _, _ = listed.partition("</ul>")
    return sorted(re.findall(r'class="mark" data-status="(\w+)"', listed))


async def until_shown(visitor: Visitor, shown: list[str]) -> None:
    async with asyncio.timeout(WITHIN):
        while await devices(visitor) != shown:
            await asyncio.sleep(0.1)


async def test_the_account_page_knows_devices_at_another_node(
    server_process: ServerProcesses, visit: Visit, redis_server: RedisServer
) -> None:
    one, two = [await server_process(redis_url=redis_server.url, grace=1) for _ in range(2)]
    laptop, phone = await visit(one, "alice"), await visit(two)
    await phone.log_in("alice")
    # What a log-in claims is over soon; who looks at the page is here.
    await until_shown(laptop, ["offline", "online"])
    async with phone.live():
        await until_shown(laptop, ["online", "online"])
    await until_shown(laptop, ["offline", "online"])


async def test_away_goes_along_with_whoever_moves_at_once_and_says_nothing(
    server_process: ServerProcesses, visit: Visit, redis_server: RedisServer
) -> None:
    one, two = [await server_process(redis_url=redis_server.url, grace=60) for _ in range(2)]
    bob, zoe = await visit(one, "bob"), await visit(two, "zoe")
    async with bob.live() as of_bob, zoe.live() as of_zoe:
        for name in ("alice", "carol", "dave", "erin", "frank"):
            mover = await visit(one, name)
            await of_zoe.sees(name, "online")
            async with mover.live() as page:
                await page.send({"type": "status", "status": "away"})
                await of_bob.sees(name, "away")
            before = len(of_bob.received)
            mover.url = two.url
            async with mover.live() as page:
                await page.first()
                with suppress(AssertionError):
                    await of_bob.until(lambda: False, within=0.4)
            assert of_bob.received[before:] == []
