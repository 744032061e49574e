"""The way between a node and Redis fails: cut, open in one direction only, slow, thin."""

import asyncio

from drill.faults.redis import told_late
from drill.figures import CONVERGED, TOLD, Faults, Figures
from drill.site import Site
from testing.tcp_proxy import Way

faults = Faults()

CUT = 8.0


async def _cut(figures: Figures, *ways: Way) -> None:
    """One of three nodes is cut off; its people stay, but for some who go elsewhere."""
    async with Site() as site:
        theirs = site.people_at("c")
        async with site.life("a", "b"):
            await asyncio.sleep(0.5)
            begun = site.now()
            site.cut("c", *ways)
            await asyncio.sleep(CUT / 2)
            for person in theirs[:3]:
                await person.leave()
                person.choice = site.choice("a")
                await person.come()
            await asyncio.sleep(CUT / 2)
            site.mend("c")
            healed = site.now()
            await asyncio.sleep(1)
        await site.quiet()
        figures.degraded(
            site.observers_at("c"),
            begun,
            healed,
            # A half-open way is noticed when an own beat does not come back.
            told_within=2,
            back_within=CONVERGED,
        )
        names = [person.username for person in theirs[3:]]
        gone = site.evidence.gone_at(names, begun)
        figures.at_most("flaps of its people", len(gone), 0, "")
        figures.presence(site, healed, told=told_late(site))


@faults.add(
    "F3",
    f"one of three nodes cut from Redis for {CUT:.0f} s, connections left open",
    promised="it keeps the others' people and says so; they know its people by what it writes",
    seconds=19,
)
async def cut_off(figures: Figures) -> None:
    await _cut(figures)


@faults.add(
    "F4a",
    f"one node can speak and not hear for {CUT:.0f} s",
    promised="the same",
    seconds=19,
)
async def deaf(figures: Figures) -> None:
    await _cut(figures, "down")


@faults.add(
    "F4b",
    f"one node can hear and not speak for {CUT:.0f} s",
    promised="the same",
    seconds=19,
)
async def mute(figures: Figures) -> None:
    await _cut(figures, "up")


@faults.add(
    "F6a",
    "Redis is 200 ms away, each way, with the default lease",
    promised="everything comes that much later, and nothing else changes",
    seconds=15,
)
async def slow(figures: Figures) -> None:
    async with Site(lease=10) as site:
        for name in site.nodes:
            site.move_off(name, 0.2)
        async with site.life():
            begun = site.now()
            await asyncio.sleep(8)
        await site.agree(5)
        await asyncio.sleep(2)
        figures.never_degraded(site.observers)
        # Before somebody is let go the others are asked: there and back, twice.
        figures.presence(site, begun, told=TOLD + 4 * 0.2)


@faults.add(
    "F6b",
    "100 kB/s between each node and Redis",
    promised="nothing changes",
    seconds=15,
)
async def thin(figures: Figures) -> None:
    async with Site() as site:
        for name in site.nodes:
            site.way(name).rate = 100_000
        async with site.life():
            begun = site.now()
            await asyncio.sleep(6)
        await site.quiet()
        figures.never_degraded(site.observers)
        figures.presence(site, begun)
