"""A node fails: paused, stalled, killed, stopped, restarted, with a wrong clock."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import aiohttp

from drill.faults.redis import told_late
from drill.figures import TOLD, Faults, Figures
from drill.people import Person
from drill.site import Site
from presence_server.accounts import users
from presence_server.storage.database import open_database
from presence_server.config import Config
from testing.visitor import Visitor

faults = Faults()

Act = Callable[[Site], Awaitable[None]]


async def _standstill(figures: Figures, site: Site, begin: Act, end: Act, seconds: float) -> None:
    """Node c stands still; half of its people go elsewhere meanwhile, half keep their sockets."""
    theirs = site.people_at("c")
    moving, staying = theirs[::2], theirs[1::2]
    async with site.life("a", "b"):
        begun = site.now()
        await begin(site)
        for person in moving:
            await person.leave()
            person.choice = site.choice(site.random.choice("ab"))
            await person.come()
        await asyncio.sleep(begun + seconds - site.now())
        await end(site)
        healed = site.now()
        await asyncio.sleep(1)
    await site.quiet()
    for person in moving:
        figures.holds("who moved is not taken away", person.is_open)
    if seconds > site.lease + site.grace:
        names = [person.username for person in staying]
        figures.let_go("let go after", site, names, begun, healed)
    # They have just heard each other again, too.
    figures.presence(site, healed, told=told_late(site))


async def _pause(site: Site) -> None:
    site.pause("c")


async def _resume(site: Site) -> None:
    site.resume("c")


@faults.add(
    "F9",
    "a node stands still (SIGSTOP) for 8 s and goes on",
    promised="gone elsewhere after its lease + grace; it takes nobody away; right again within 5 s",
    seconds=20,
)
async def paused(figures: Figures) -> None:
    async with Site() as site:
        await _standstill(figures, site, _pause, _resume, 8)


@faults.add(
    "F9b",
    "a node stands still (SIGSTOP) for 0.3, 0.8, 1.3, 1.8 and 2.3 s, all within its lease",
    promised="nobody notices",
    seconds=25,
)
async def paused_shortly(figures: Figures) -> None:
    async with Site() as site:
        async with site.life("a", "b"):
            for seconds in (0.3, 0.8, 1.3, 1.8, 2.3):
                await _pause(site)
                await asyncio.sleep(seconds)
                await _resume(site)
                healed = site.now()
                await asyncio.sleep(1.5)
        await site.quiet()
        theirs = [person.username for person in site.people_at("c")]
        figures.at_most("flaps of its people", len(site.evidence.gone_at(theirs, 0)), 0, "")
        figures.presence(site, healed)


@faults.add(
    "F10",
    "the event loop of a node is blocked for 7 s",
    promised="the same, and its log says so",
    seconds=19,
)
async def stalled(figures: Figures) -> None:
    async def begin(site: Site) -> None:
        site.darken("c")
        site.nodes["c"].up = False
        os.kill(site.nodes["c"].server.pid, signal.SIGUSR1)

    async def end(site: Site) -> None:
        site.light("c")
        site.nodes["c"].up = True

    async with Site(sabotage={"c": {"DRILL_STALL": "7"}}) as site:
        await _standstill(figures, site, begin, end, 7)
        figures.holds("the log says so", "stood still" in site.nodes["c"].server.log)


@faults.add(
    "F11",
    "a node killed (SIGKILL); half of its people come back elsewhere",
    promised="no event for those; the others are gone between lease and lease + grace + 1 s",
    seconds=16,
)
async def killed(figures: Figures) -> None:
    await _killed(figures, Site())


@faults.add(
    "F11b",
    "the same with the lease and the grace that a server has by default",
    promised="the same: the others are gone between 10 s and 19 s",
    seconds=55,
)
async def killed_by_default(figures: Figures) -> None:
    default = Config()
    await _killed(figures, Site(people=60, lease=default.lease, grace=default.grace))


async def _killed(figures: Figures, opened: Site) -> None:
    async with opened as site:
        theirs = site.people_at("c")
        lost = theirs[::2]
        async with site.life("a", "b"):
            for person in lost:
                person.returns = False
            begun = site.now()
            await site.kill("c")
            await asyncio.sleep(site.lease + site.grace + 1.5)
            over = site.now()
        events = _events(site, theirs[1::2], begun)
        await site.quiet()
        figures.let_go("gone after", site, [person.username for person in lost], begun)
        figures.at_most("events of the others", len(events), 0, "")
        figures.presence(site, over)


def _events(site: Site, people: list[Person], after: float) -> list[float]:
    return site.evidence.gone_at((person.username for person in people), after)


@faults.add(
    "F12",
    "a node killed and started again five times, each time within a second or two",
    promised="nobody is shown offline who returns, and no ghosts of an earlier life stay",
    seconds=28,
)
async def crash_loop(figures: Figures) -> None:
    async with Site() as site:
        async with site.life("a", "b"):
            for _ in range(5):
                await site.kill("c")
                await site.start("c")
                healed = site.now()
                await asyncio.sleep(0.2)
        await site.all_open([*site.people, *site.observers])
        await site.quiet()
        # Who was in the grace at a node that died stays for the lease and another grace.
        figures.presence(site, healed, told=site.lease + 1)


@faults.add(
    "F13",
    "SIGTERM to a node; half of its people come back elsewhere",
    promised="no event for those; the others are gone after the grace; exit 0 within 5 s",
    seconds=14,
)
async def terminated(figures: Figures) -> None:
    async with Site() as site:
        theirs = site.people_at("c")
        lost = theirs[::2]
        for person in lost:
            person.returns = False
        begun = site.now()
        status, seconds = await site.terminate("c")
        figures.at_most("exit status", status, 0, "")
        figures.at_most("exit after", seconds, 5 * figures.slack)
        codes = {code for person in theirs for code in person.closes}
        figures.holds("every client is told 1012", codes == {1012}, codes)
        await site.quiet()
        gone = site.evidence.gone_at((person.username for person in lost), begun)
        figures.holds("those who do not return are gone", len(gone) == 2 * len(lost), len(gone))
        latest = seconds + site.grace + TOLD * figures.slack
        figures.between("gone after", [at - begun for at in gone], 0, latest)
        figures.at_most("events of the others", len(_events(site, theirs[1::2], begun)), 0, "")
        figures.presence(site, begun)


@faults.add(
    "F14",
    "three nodes restarted one by one while people sign up, one of them speaking a later version",
    promised="0 offline flaps; no sign-up that was acknowledged is lost",
    seconds=25,
)
async def rolling_restart(figures: Figures) -> None:
    # Time for a process to start on a busy machine, and for its people to find another.
    async with Site(grace=4, sabotage={"c": {"DRILL_NEWER": "1"}}) as site:
        async with _sign_ups(site) as signed_up:
            for name in site.nodes:
                status, seconds = await site.terminate(name)
                figures.at_most(f"exit of {name}", seconds, 5 * figures.slack)
                figures.holds("exit status 0", status == 0, status)
                await site.start(name)
                healed = site.now()
                await site.all_open([*site.people, *site.observers])
        figures.note("sign-ups", len(signed_up), "")
        figures.at_most("lost", len(signed_up) - await _known(site, signed_up), 0, "")
        await site.quiet()
        everybody = [person.username for person in site.people]
        figures.at_most("flaps", len(site.evidence.gone_at(everybody, 0)), 0, "")
        figures.presence(site, healed)


@asynccontextmanager
async def _sign_ups(site: Site) -> AsyncIterator[list[str]]:
    """The names that were acknowledged."""
    signed_up: list[str] = []

    async def sign_up() -> None:
        for number, (_, server) in enumerate(choice[0] for choice in iter(site.choice(), None)):
            with suppress(aiohttp.ClientError, AssertionError):
                async with Visitor.at(server.url) as visitor:
                    answer = await visitor.sign_up(f"newcomer{number}")
                    if answer.status == 303:
                        signed_up.append(f"newcomer{number}")
            await asyncio.sleep(0.05)

    signing_up = asyncio.create_task(sign_up())
    try:
        yield signed_up
    finally:
        signing_up.cancel()
        await asyncio.wait([signing_up])


async def _known(site: Site, names: list[str]) -> int:
    async with open_database(site.database) as database:
        found = [await users.find(database, name) for name in names]
    return sum(user is not None for user in found)


@faults.add(
    "F15",
    "the clocks of two nodes are wrong, by +10 and -10 minutes",
    promised="presence does not notice",
    seconds=16,
)
async def wrong_clocks(figures: Figures) -> None:
    async with Site(
        sabotage={"b": {"DRILL_CLOCK_SKEW": "600"}, "c": {"DRILL_CLOCK_SKEW": "-600"}}
    ) as site:
        begun = site.now()
        async with site.life():
            await asyncio.sleep(6)
        await site.kill("b")
        await site.start("b")
        await site.all_open([*site.people, *site.observers])
        await site.quiet()
        figures.never_degraded(site.observers_at("a", "c"))
        # Who was in the grace at the node that died stays for the lease.
        figures.presence(site, begun, told=site.lease + 1)
