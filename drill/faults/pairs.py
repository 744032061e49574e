"""Two or three faults at once, drawn by a seed, while people move between all nodes."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

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


async def _mute(site: Site, node: str, seconds: float) -> None:
    site.cut(node, "up")
    await asyncio.sleep(seconds)
    site.mend(node)


async def _far(site: Site, node: str, seconds: float) -> None:
    site.move_off(node, 0.64)
    await asyncio.sleep(seconds)
    site.move_off(node, 0.0)


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


async def _wakes_late(site: Site, node: str, seconds: float) -> None:
    """What was sent to it meanwhile comes a second after it goes on."""
    site.cut(node, "down")
    site.nodes[node].up = False
    site.nodes[node].server.pause()
    await asyncio.sleep(seconds)
    site.nodes[node].server.resume()
    site.nodes[node].up = True
    await asyncio.sleep(1)
    site.mend(node)


async def _killed(site: Site, node: str, seconds: float) -> None:
    await site.kill(node)
    await asyncio.sleep(seconds)
    await site.start(node)


async def _killed_again(site: Site, node: str, seconds: float) -> None:
    """Killed, and after each start once more, for about so long."""
    until = site.now() + seconds
    await site.kill(node)
    await site.start(node)
    while site.now() < until:
        await asyncio.sleep(0.5)
        await site.kill(node)
        await site.start(node)


async def _held(site: Site, node: str, seconds: float) -> None:
    # A server that waits for longer does not start.
    await site.hold_database(min(seconds, 3))


async def _terminated(site: Site, node: str, seconds: float) -> None:
    await site.terminate(node)
    await asyncio.sleep(seconds)
    await site.start(node)


_OF_ALL: dict[str, Way] = {
    "Redis killed": _redis_killed,
    "Redis paused": _redis_paused,
    "the database held": _held,
}
_OF_A_NODE: dict[str, Way] = {
    "cut": _cut,
    "deaf": _deaf,
    "mute": _mute,
    "far": _far,
    "disconnected": _disconnected,
    "paused": _paused,
    "late to wake": _wakes_late,
    "killed": _killed,
    "killed again and again": _killed_again,
    "terminated": _terminated,
}
_SKEWS = (0, 0, 4, -60, 600)


class Blow(NamedTuple):
    """One of several faults: of a node, or of all; begun so long after the others may begin."""

    kind: str
    node: str
    begin: float
    seconds: float
    of_all: bool

    def __str__(self) -> str:
        return f"{self.kind if self.of_all else f'{self.node} {self.kind}'} {self.seconds} s"


def pair(seed: int) -> Fault:
    return _together("F27", seed, ("b", "c"))


def triple(seed: int) -> Fault:
    return _together("F28", seed, ("b", "c", "d"))


def drawn(name: str, seed: int, nodes: Sequence[str]) -> tuple[list[Blow], int]:
    """One fault of each of these nodes, in half of the draws the first of all nodes; and by how
    many seconds c's clock is wrong."""
    draw = random.Random(f"{name}/{seed}")
    blows = [_drawn(draw, node, of_all=node == "b" and draw.random() < 0.5) for node in nodes]
    return blows, draw.choice(_SKEWS)


def _together(name: str, seed: int, nodes: Sequence[str]) -> Fault:
    blows, skew = drawn(name, seed, nodes)

    async def run(figures: Figures) -> None:
        sabotage = {"c": {"DRILL_CLOCK_SKEW": str(skew)}} if skew else {}
        async with Site(
            nodes=len(nodes) + 1, people=20, guests=10, seed=seed, sabotage=sabotage
        ) as site:
            async with site.life():
                async with asyncio.TaskGroup() as together:
                    for blow in blows:
                        together.create_task(_later(site, blow))
                healed = site.now()
                await asyncio.sleep(1)
            await site.all_open([*site.people, *site.observers])
            await site.quiet()
            within = site.lease + site.grace + 5
            figures.presence(site, healed, within=within, told=within)

    words = [str(blow) for blow in blows]
    if skew:
        words.append(f"c's clock is {skew:+d} s wrong")
    return Fault(
        f"{name}/{seed}",
        " and ".join(words),
        "right again within lease + grace + 5 s of the end of the last",
        run,
        22,
    )


def _drawn(draw: random.Random, node: str, *, of_all: bool) -> Blow:
    kind = draw.choice(list(_OF_ALL if of_all else _OF_A_NODE))
    begin, seconds = round(draw.uniform(0, 2), 1), round(draw.uniform(0.5, 6), 1)
    return Blow(kind, node, begin, seconds, of_all)


async def _later(site: Site, blow: Blow) -> None:
    await asyncio.sleep(blow.begin)
    way = (_OF_ALL | _OF_A_NODE)[blow.kind]
    await way(site, blow.node, blow.seconds)
