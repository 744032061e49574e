"""Redis fails: killed, paused, restarted empty, behind another password, given up for a replica."""

import asyncio
from collections.abc import Awaitable, Callable

from drill.figures import CONVERGED, TOLD, Faults, Figures
from drill.sentinel import SentinelSite
from drill.site import Site

faults = Faults()

# Longer than any lease and grace of the drill together.
OUTAGE = 8.0

Act = Callable[[Site], Awaitable[None]]


def told_late(site: Site) -> float:
    # Nodes that have just heard each other again wait for 0.3 of the lease before they let go.
    return TOLD + 0.3 * site.lease


async def _outage(
    figures: Figures, begin: Act, end: Act, *, seconds: float = OUTAGE, told_within: float
) -> None:
    async with Site() as site:
        async with site.life():
            await asyncio.sleep(1)
            begun = site.now()
            await begin(site)
            await asyncio.sleep(seconds)
            await end(site)
            healed = site.now()
            await asyncio.sleep(1)
        await site.quiet()
        figures.degraded(
            site.observers, begun, healed, told_within=told_within, back_within=CONVERGED
        )
        figures.presence(site, healed, told=told_late(site))


async def _kill(site: Site) -> None:
    site.redis.kill()


async def _pause(site: Site) -> None:
    site.redis.pause()


async def _resume(site: Site) -> None:
    site.redis.resume()


@faults.add(
    "F1",
    f"Redis killed (SIGKILL), started again {OUTAGE:.0f} s later",
    promised="others are kept as last known, and everybody is told so; right again within 5 s",
    seconds=20,
)
async def killed(figures: Figures) -> None:
    await _outage(figures, _kill, Site.start_redis, told_within=1)


@faults.add(
    "F2",
    f"Redis stands still (SIGSTOP) for {OUTAGE:.0f} s",
    promised="the same; noticed within 3 s",
    seconds=20,
)
async def paused(figures: Figures) -> None:
    await _outage(figures, _pause, _resume, told_within=3)


@faults.add(
    "F5",
    "Redis emptied (FLUSHALL) and restarted at once",
    promised="nothing is lost, for it keeps nothing",
    seconds=13,
)
async def restarted_empty(figures: Figures) -> None:
    async with Site() as site:
        async with site.life():
            await asyncio.sleep(1)
            with site.redis.client() as client:
                figures.at_most("keys in Redis", int(client.dbsize()), 0, "")
                client.flushall()
            site.redis.kill()
            await site.start_redis()
            healed = site.now()
            await asyncio.sleep(2)
        await site.quiet()
        figures.presence(site, healed, told=told_late(site))


@faults.add(
    "F7b",
    "the password of Redis changes while nodes run, and changes back",
    promised="as an outage, with no more than one line in the log of each node for it",
    seconds=18,
)
async def password_changed(figures: Figures) -> None:
    async def change(site: Site) -> None:
        with site.redis.client() as client:
            client.config_set("requirepass", "secret")
            client.client_kill_filter(_type="normal", skipme=True)
            client.client_kill_filter(_type="pubsub", skipme=True)

    async def change_back(site: Site) -> None:
        with site.redis.client(password="secret") as client:
            client.config_set("requirepass", "")
        for node in site.nodes.values():
            lines = node.server.log.count("No contact with Redis")
            figures.at_most("lines in a log", lines, 1, "")

    await _outage(figures, change, change_back, seconds=6, told_within=1)


async def _fail_over(figures: Figures, *, returns: bool) -> None:
    with SentinelSite() as sentinel:
        old = sentinel.master_port()
        async with Site(redis_url=sentinel.url) as site:
            async with site.life():
                await asyncio.sleep(1)
                begun = site.now()
                if returns:
                    sentinel.master.pause()
                else:
                    sentinel.master.kill()
                async with asyncio.timeout(20):
                    while await asyncio.to_thread(sentinel.master_port) == old:
                        await asyncio.sleep(0.1)
                healed = site.now()
                figures.note("Sentinel took", healed - begun)
                await asyncio.sleep(1)
                if returns:
                    # For a moment it still believes that it is the master.
                    sentinel.master.resume()
                await asyncio.sleep(2)
            await site.quiet()
            figures.degraded(
                site.observers, begun, healed, told_within=3, back_within=CONVERGED
            )
            figures.presence(site, healed, told=told_late(site))


@faults.add(
    "F8a",
    "the master is killed and a Sentinel makes the replica the master",
    promised="as an outage; the nodes follow within 5 s",
    seconds=25,
    alone=True,
)
async def failed_over(figures: Figures) -> None:
    await _fail_over(figures, returns=False)


@faults.add(
    "F8b",
    "the master stands still, is replaced, and then goes on as if it were the master",
    promised="the same; nobody stays behind with the old one",
    seconds=25,
    alone=True,
)
async def old_master_returns(figures: Figures) -> None:
    await _fail_over(figures, returns=True)


@faults.add(
    "F1b",
    f"a node is killed and started again while Redis is down for {OUTAGE + 2:.0f} s",
    promised="its people come back; at the new node, too, nobody is shown offline who is here",
    seconds=24,
)
async def node_restarted_in_an_outage(figures: Figures) -> None:
    async with Site() as site:
        site.redis.kill()
        await asyncio.sleep(0.5)
        await site.kill("c")
        await site.start("c")
        await site.all_open([*site.people, *site.observers])
        await asyncio.sleep(OUTAGE)
        await site.start_redis()
        healed = site.now()
        await site.quiet()
        figures.presence(site, healed, told=told_late(site))
