"""A node fails, and meanwhile people reload, move and log in: nobody may be shown offline."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from drill.figures import Faults, Figures
from drill.people import Person
from drill.site import Site
from presence_server.config import Config
from testing.visitor import PASSWORD, Visitor

faults = Faults()

Act = Callable[[], Awaitable[None]]

NOBODY = "nobody who is here is shown offline"
# Of the promises only that of who is shown is in question here.
_LEASE, _GRACE = 4.0, 2.0


async def go(site: Site, person: Person, node: str, away: float = 0.2) -> None:
    """Leave, and open the page at a node after so many seconds without it."""
    await person.leave()
    await asyncio.sleep(away)
    person.choice = site.choice(node)
    await person.come()


async def all_go(site: Site, people: Sequence[Person], node: str, away: float = 0.2) -> None:
    await asyncio.gather(*(go(site, person, node, away) for person in people))


async def after(seconds: float, act: Awaitable[None]) -> None:
    await asyncio.sleep(seconds)
    await act


async def judge(figures: Figures, site: Site, healed: float) -> None:
    """Wait for what is wrong to show."""
    await site.all_open([*site.people, *site.observers])
    await site.quiet()
    within = site.lease + site.grace + 5
    figures.presence(site, healed, within=within, told=within)


@faults.add(
    "T1",
    "a node stands still 0.3 s longer than the grace; 0.2 s later its people reload",
    promised=NOBODY,
    seconds=22,
)
async def reload_after_a_pause(figures: Figures) -> None:
    async with Site(people=9, lease=_LEASE, grace=_GRACE, heartbeat=3, guests=6) as site:
        await _reload_after_a_pause(figures, site, _GRACE + 0.3)


@faults.add(
    "T1b",
    "the same with the lease and the grace that a server has by default: it stands still for 8.5 s",
    promised=NOBODY,
    seconds=50,
)
async def reload_after_a_pause_by_default(figures: Figures) -> None:
    default = Config()
    async with Site(people=9, lease=default.lease, grace=default.grace, guests=6) as site:
        await _reload_after_a_pause(figures, site, default.grace + 0.5)


async def _reload_after_a_pause(figures: Figures, site: Site, seconds: float) -> None:
    theirs = site.people_at("c")
    site.pause("c")
    await asyncio.sleep(seconds)
    site.resume("c")
    healed = site.now()
    await asyncio.sleep(0.2)
    first, *others = theirs
    asking = _ask_for_the_page(site, first)
    await asyncio.gather(asking, all_go(site, others, "c", 1.0))
    await judge(figures, site, healed)


async def _ask_for_the_page(site: Site, person: Person) -> None:
    """A reload as a browser does it: the page, then its socket."""
    await person.leave()
    await asyncio.sleep(0.5)
    url = f"{site.nodes['c'].server.url}/"
    async with site.http.get(url, headers={"Cookie": person.cookie}) as answer:
        assert answer.status == 200, answer.status
    await asyncio.sleep(0.5)
    await person.come()


@faults.add(
    "T2",
    "the only server stands still for 2.5 s; 0.3 s before its end people leave for 1.3 s",
    promised=NOBODY,
    seconds=18,
)
async def reload_in_a_pause(figures: Figures) -> None:
    alone = {"redis_url": None}
    async with Site(nodes=1, people=6, lease=_LEASE, grace=_GRACE, flags=alone) as site:
        site.pause("a")
        reloading = asyncio.create_task(after(2.2, all_go(site, site.people[::2], "a", 1.3)))
        await asyncio.sleep(2.5)
        site.resume("a")
        healed = site.now()
        await reloading
        await judge(figures, site, healed)


@faults.add(
    "T3",
    "a node stands still for 3 s, hears Redis only 1 s later, and its people have moved",
    promised=NOBODY,
    seconds=22,
)
async def late_letters_after_a_pause(figures: Figures) -> None:
    async with Site(people=9, lease=_LEASE, grace=_GRACE, guests=6) as site:
        theirs = site.people_at("c")
        site.way("c").stop("down")
        site.pause("c")
        await asyncio.sleep(0.3)
        await all_go(site, theirs[::2], "a")
        await asyncio.sleep(2.5)
        site.resume("c")
        await asyncio.sleep(1)
        site.way("c").go()
        await judge(figures, site, site.now())


@faults.add(
    "T4",
    "a node's letters do not get out for 3.4 s (lease 4 s), and people move to it meanwhile",
    promised=NOBODY,
    seconds=22,
)
async def move_to_the_mute(figures: Figures) -> None:
    async with Site(people=9, lease=_LEASE, grace=_GRACE, guests=6) as site:
        await _move_to_the_mute(figures, site, 3.4)


@faults.add(
    "T4b",
    "the same with the lease and the grace that a server has by default, for 9.4 s",
    promised=NOBODY,
    seconds=50,
)
async def move_to_the_mute_by_default(figures: Figures) -> None:
    default = Config()
    async with Site(people=9, lease=default.lease, grace=default.grace, guests=6) as site:
        await _move_to_the_mute(figures, site, 9.4)


async def _move_to_the_mute(figures: Figures, site: Site, seconds: float) -> None:
    moving = site.people_at("a")[::2]
    begun = site.now()
    site.way("b").stop("up")
    await asyncio.sleep(0.3)
    await all_go(site, moving, "b")
    await asyncio.sleep(begun + seconds - site.now())
    site.way("b").go()
    await judge(figures, site, site.now())


@faults.add(
    "T5",
    "SIGTERM to a node that Redis's answers do not reach; its people come back 1.4 s after the bye",
    promised=NOBODY,
    seconds=22,
)
async def terminated_deaf(figures: Figures) -> None:
    async with Site(people=9, lease=_LEASE, grace=_GRACE, guests=6) as site:
        theirs = site.people_at("c")
        for person in theirs:
            person.returns = False
        site.way("c").stop("down")
        returning = [asyncio.create_task(_return(site, person)) for person in theirs]
        status, seconds = await site.terminate("c")
        healed = site.now()
        figures.at_most("exit status", status, 0, "")
        figures.at_most("exit after", seconds, 5 * figures.slack)
        await asyncio.gather(*returning)
        site.way("c").go()
        await site.start("c")
        await judge(figures, site, healed)


async def _return(site: Site, person: Person) -> None:
    while person.is_open:
        await asyncio.sleep(0.01)
    await asyncio.sleep(1.4)
    await person.leave()
    person.returns = True
    person.choice = site.choice("b")
    await person.come()


async def _restart_beside(
    figures: Figures, begin: Callable[[Site], None], end: Callable[[Site], None], seconds: float
) -> None:
    """Node a is restarted while something is the matter with c, whose people stay."""
    async with Site(people=9, lease=_LEASE, grace=_GRACE, guests=6) as site:
        # Until it is written down who is there.
        await asyncio.sleep(1.2)
        begun = site.now()
        begin(site)
        await site.terminate("a")
        await site.start("a")
        await asyncio.sleep(begun + seconds - site.now())
        end(site)
        await judge(figures, site, site.now())


@faults.add(
    "T6a",
    "a node stands still for 3.4 s (lease 4 s), and meanwhile another is restarted",
    promised=NOBODY + ", at the new node neither",
    seconds=22,
)
async def restarted_beside_the_paused(figures: Figures) -> None:
    await _restart_beside(figures, lambda site: site.pause("c"), lambda site: site.resume("c"), 3.4)


@faults.add(
    "T6b",
    "a node is cut off from Redis for 3.4 s (lease 4 s), and meanwhile another is restarted",
    promised=NOBODY + ", at the new node neither",
    seconds=22,
)
async def restarted_beside_the_cut_off(figures: Figures) -> None:
    def stop(site: Site) -> None:
        site.way("c").stop()

    await _restart_beside(figures, stop, lambda site: site.way("c").go(), 3.4)


@faults.add(
    "T6c",
    "a node is 0.64 s from Redis, each way, and meanwhile another is restarted",
    promised=NOBODY + ", at the new node neither",
    seconds=28,
)
async def restarted_beside_the_far(figures: Figures) -> None:
    def delay(site: Site) -> None:
        site.move_off("c", 0.64)

    def near(site: Site) -> None:
        site.move_off("c", 0.0)

    await _restart_beside(figures, delay, near, 8)


@faults.add(
    "T7",
    "Redis is down for 9 s, the database is held for 7 s of it, and people move",
    promised=NOBODY,
    seconds=28,
)
async def both_away(figures: Figures) -> None:
    async with Site(people=9, lease=_LEASE, grace=_GRACE, guests=6) as site:
        site.redis.kill()
        await asyncio.sleep(1)
        moving = after(0.5, all_go(site, site.people_at("a")[::2], "b"))
        await asyncio.gather(site.hold_database(7), moving)
        await asyncio.sleep(1)
        await site.start_redis()
        await judge(figures, site, site.now())


@faults.add(
    "T8",
    "the same browsers log in anew at another node while Redis is down",
    promised=NOBODY,
    seconds=28,
)
async def new_log_in(figures: Figures) -> None:
    async with Site(people=9, lease=_LEASE, grace=_GRACE) as site:
        site.redis.kill()
        await asyncio.sleep(1)
        for person in site.people_at("a"):
            await _log_in_anew(site, person, "b")
            await asyncio.sleep(1)
        await asyncio.sleep(2)
        await site.start_redis()
        await judge(figures, site, site.now())


async def _log_in_anew(site: Site, person: Person, node: str) -> None:
    person.returns = False
    name, _, value = person.cookie.partition("=")
    async with Visitor.at(site.nodes[node].server.url) as visitor:
        visitor.http.cookie_jar.update_cookies({name: value})
        shown = await visitor.get("/")
        fields = {"csrf_token": shown.csrf_token, "username": person.username, "password": PASSWORD}
        answer = await visitor.post("/log_in/", fields)
        assert answer.status == 303, answer.text
        # The jar has the old one, too: that was put into it without an address.
        values = {each.value for each in visitor.http.cookie_jar if each.key == name}
        (new,) = values - {value}
        person.cookie = f"{name}={new}"
    await person.leave()
    person.returns = True
    person.choice = site.choice(node)
    await person.come()
