"""What one node knows of the people of another."""

import asyncio
import re
from contextlib import suppress
from time import time

from tests.conftest import ServerProcesses, Visit
from testing.redis_server import RedisServer
from testing.tcp_proxy import Proxy
from testing.visitor import Visitor
from testing.waiting import first_answer

WITHIN = 20


async def devices(visitor: Visitor) -> list[str]:
    """Which of one's devices are here, as one's account page says."""
    _, _, listed = (await visitor.get("/account/")).text.partition('<ul class="devices"')
    listed, _, _ = listed.partition("</ul>")
    return sorted(re.findall(r'class="mark" data-status="(\w+)"', listed))


async def until_shown(visitor: Visitor, shown: list[str]) -> None:
    await first_answer(lambda: devices(visitor), lambda listed: listed == shown, WITHIN)


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


async def test_who_moves_at_once_and_says_nothing_is_shown_from_the_first_as_they_were(
    server_process: ServerProcesses, visit: Visit, tcp_redis: RedisServer
) -> None:
    async with Proxy(("127.0.0.1", int(tcp_redis.url.rpartition(":")[2]))) as way:
        far = f"redis://127.0.0.1:{way.port}"
        one, two = [await server_process(redis_url=url, grace=60) for url in (far, tcp_redis.url)]
        bob, zoe = await visit(one, "bob"), await visit(two, "zoe")
        async with bob.live() as of_bob, zoe.live() as of_zoe:
            for name in ("alice", "carol"):
                mover = await visit(one, name)
                await of_zoe.sees(name, "online")
                # What a node knows before the other does, it is asked for.
                way.delay = 0.05
                async with mover.live() as page:
                    await asyncio.sleep((0.9 - time()) % 1)
                    await page.send({"type": "status", "status": "away"})
                    await of_bob.sees(name, "away")
                before, of_bob.received[:], of_zoe.received[:] = of_bob.since[name], [], []
                mover.url = two.url
                # Another second than that in which they went away.
                await asyncio.sleep(before + 1 - time())
                async with mover.live() as page:
                    await page.first()
                    assert (page.people[name], page.since[name]) == ("away", before)
                    await of_zoe.sees(name, "away")
                    for others in (of_bob, of_zoe):
                        with suppress(AssertionError):
                            await others.until(lambda: False, within=0.5)
                assert of_bob.received == []
                (told,) = of_zoe.received
                assert told["type"] == "changes" and told["away"] == {name: before}
                way.delay = 0.0
