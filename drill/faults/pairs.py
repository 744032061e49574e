"""Two faults at once, drawn by a seed."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from drill.figures import Fault, Figures
from drill.site import Site

Way = Callable[[Site, str, float], Awaitable[None]]


async def _redis_killed(site: Site, node: str, seconds: float) -> None:
    site.redis.kill()
    await asyncio.sleep(seconds)
    await site.start_redis()


async def _redis_paused(site: Site, node: str, seconds: float) -> None:
    site.redis.pause()
    await asyncio.sleep(seconds)
    site.redis.resume()


async def _cut(site: Site, node: str, seconds: float) -> None:
    site.cut(node)
    await asyncio.sleep(seconds)
    site.mend(node)


async def _deaf(site: Site, node: str, seconds: float) -> None:
    site.cut(node, "down")
    await asyncio.sleep(seconds)
    site.mend(node)


async def _disconnected(site: Site, node: str, seconds: float) -> None:
    site.way(node).shut()
    site.way(node).cut()
    site.darken(node)
    await asyncio.sleep(seconds)
    await site.way(node).open()
    site.light(node)


async def _paused(site: Site, node: str, seconds: float) -> None:
    site.pause(node)
    await asyncio.sleep(seconds)
    site.resume(node)


async def _killed(site: Site, node: str, seconds: float) -> None:
    await site.kill(node)
    await asyncio.sleep(seconds)
    await site.start(node)


async def _terminated(site: Site, node: str, seconds: float) -> None:
    await site.terminate(node)
    await asyncio.sleep(seconds)
    await site.start(node)


_OF_REDIS: dict[str, Way] = {"Redis killed": _redis_killed, "Redis paused": _redis_paused}
_OF_A_NODE: dict[str, Way] = {
    "cut": _cut,
    "deaf": _deaf,
    "disconnected": _disconnected,
    "paused": _paused,
    "killed": _killed,
    "terminated": _terminated,
}


def pair(seed: int) -> Fault:
    """One of Redis and one of a node, or one of each of two nodes."""
    draw = random.Random(seed)
    words, ways = [], []
    for node in ("b", "c"):
        kinds = _OF_REDIS if node == "b" and draw.random() < 0.5 else _OF_A_NODE
        name = draw.choice(list(kinds))
        begin, seconds = round(draw.uniform(0, 2), 1), round(draw.uniform(0.5, 6), 1)
        words.append(f"{name if kinds is _OF_REDIS else f'{node} {name}'} {seconds} s")
        ways.append((kinds[name], node, begin, seconds))

    async def run(figures: Figures) -> None:
        async with Site(people=24, seed=seed) as site:
            untouched = [name for name in site.nodes if name == "a"]
            async with site.life(*untouched):
                async with asyncio.TaskGroup() as both:
                    for way, node, begin, seconds in ways:
                        both.create_task(_later(way, site, node, begin, seconds))
                healed = site.now()
                await asyncio.sleep(1)
            await site.all_open([*site.people, *site.observers])
            await site.quiet()
            within = site.lease + site.grace + 5
            figures.presence(site, healed, within=within, told=within)

    return Fault(
        f"F27/{seed}",
        " and ".join(words),
        "right again within lease + grace + 5 s of the end of the last",
        run,
        20,
    )


async def _later(way: Way, site: Site, node: str, begin: float, seconds: float) -> None:
    await asyncio.sleep(begin)
    await way(site, node, seconds)
