"""Nodes die while people leave, clocks differ, and a status moves: nobody is shown for too long."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from drill.faults.moves import NOBODY, all_go, judge
from drill.figures import TOLD, Faults, Figures
from drill.people import Person
from drill.site import Site
from testing.visitor import PASSWORD, Visitor

faults = Faults()

NOT_TOO_LONG = "nobody is shown beyond lease + grace + 1 s after their last socket"
_LEASE, _GRACE = 4.0, 2.0
# What is told at once: a batch, a question to the others and their answer, the next reading.
_AT_ONCE = 2.5


@asynccontextmanager
async def _browser(site: Site, person: Person, node: str) -> AsyncIterator[Visitor]:
    """The person's own browser at a node: ports are not told apart by cookies."""
    async with Visitor.at(site.nodes[node].server.url) as visitor:
        name, _, value = person.cookie.partition("=")
        visitor.http.cookie_jar.update_cookies({name: value})
        yield visitor


@faults.add(
    "T9",
    "people leave a node, which is killed 1.8 s later, within the grace of 2 s",
    promised=NOT_TOO_LONG,
    seconds=24,
)
async def killed_in_a_grace(figures: Figures) -> None:
    async with Site(people=9, lease=_LEASE, grace=_GRACE, guests=6) as site:
        await site.all_leave(leaving := site.people_at("c")[::2])
        site.people = [person for person in site.people if person not in leaving]
        await asyncio.sleep(1.8)
        await site.kill("c")
        await judge_without(figures, site, "c", site.now())


async def judge_without(figures: Figures, site: Site, node: str, healed: float) -> None:
    """A node stays away."""
    for observer in site.observers_at(node):
        await observer.leave()
    site.observers = [observer for observer in site.observers if observer.is_open]
    await judge(figures, site, healed)


@faults.add(
    "T10",
    "people leave, and then their node is killed six times, a second after each start",
    promised=NOT_TOO_LONG,
    seconds=32,
)
async def crash_loop(figures: Figures) -> None:
    async with Site(people=9, lease=_LEASE, grace=_GRACE, guests=6) as site:
        # Until it is written down who is there: a node that starts knows no more.
        await asyncio.sleep(1)
        await site.all_leave(leaving := site.people_at("c")[::2])
        left, names = site.now(), [person.username for person in leaving]
        site.people = [person for person in site.people if person not in leaving]
        await asyncio.sleep(0.3)
        known = 0.0
        for _ in range(6):
            killed = await _killed_and_started(site, "c")
            if not known and killed > left + _GRACE:
                # It lived when their grace was over: it is waited for until a second after this.
                known = site.now() - left
            await asyncio.sleep(1)
        await judge(figures, site, site.now())
        gone = site.evidence.gone_at(names, left) + site.room.gone_at(names, left)
        # Where a node takes long to start, that is later.
        bound = max(_LEASE + _GRACE + 1, known + 2)
        figures.between("gone after", [at - left for at in gone], 0, bound)


async def _killed_and_started(site: Site, node: str) -> float:
    """When it was killed."""
    killed = site.now()
    await site.kill(node)
    await site.start(node)
    return killed


@faults.add(
    "T11",
    "killed and started again without Redis, with people who never return; 20 s later restarted",
    promised="nobody who had gone is shown again, not for a moment",
    seconds=50,
)
async def nobody_returns_from_the_dead(figures: Figures) -> None:
    async with Site(people=9, lease=_LEASE, grace=_GRACE) as site:
        lost = site.people_at("c")[::2]
        site.redis.kill()
        await asyncio.sleep(1)
        for person in lost:
            person.returns = False
        await site.kill("c")
        await site.start("c")
        await asyncio.sleep(3)
        await site.start_redis()
        healed = site.now()
        site.people = [person for person in site.people if person not in lost]
        await site.all_open([*site.people, *site.observers])
        await asyncio.sleep(20)
        names, restarted = {person.username for person in lost}, site.now()
        for node in ("c", "a"):
            await site.terminate(node)
            await site.start(node)
        await judge(figures, site, healed)
        again = [
            begin - restarted
            for view in site.evidence.views
            for name in names
            for begin, end in view.shown[name]
            if end > restarted
        ]
        figures.at_most("shown again", len(again), 0, " times")


@faults.add(
    "T12",
    "a node is killed; its people open the list at another and log out there",
    promised="gone at once",
    seconds=24,
)
async def logged_out_elsewhere(figures: Figures) -> None:
    async with Site(people=9, lease=_LEASE, grace=_GRACE) as site:
        leaving = site.people_at("c")[::2]
        for person in leaving:
            person.returns = False
        await site.kill("c")
        await asyncio.sleep(0.5)
        site.people = [person for person in site.people if person not in leaving]
        told = []
        for person in leaving:
            async with _browser(site, person, "a") as visitor:
                shown = await visitor.get("/")
                answer = await visitor.post("/log_out/", {"csrf_token": shown.csrf_token})
                assert answer.status == 303, answer.text
                told.append((person.username, site.now()))
        site.evidence.log_out(name for name, _ in told)
        await judge_without(figures, site, "c", site.now())
        gone = [
            at - since
            for name, since in told
            for at in site.evidence.gone_at([name], since)
        ]
        figures.holds("told at both nodes", len(gone) == 2 * len(told), len(gone))
        figures.between("gone after", gone, 0, _AT_ONCE)


@faults.add(
    "T13",
    "an account is deleted where the clock is 10 minutes ahead, and made again elsewhere",
    promised="whoever logs in is shown, to themselves too",
    seconds=24,
)
async def account_made_again(figures: Figures) -> None:
    await _account_made_again(figures, 600)


@faults.add(
    "T13b",
    "the same where the clock is 4 seconds ahead",
    promised="whoever logs in is shown, to themselves too",
    seconds=24,
)
async def account_made_again_soon(figures: Figures) -> None:
    await _account_made_again(figures, 4)


async def _account_made_again(figures: Figures, ahead: float) -> None:
    wrong = {"a": {"DRILL_CLOCK_SKEW": str(ahead)}}
    async with Site(people=6, lease=_LEASE, grace=_GRACE, sabotage=wrong) as site:
        await _sign_up(site, "a", deleted=True)
        phoenix = site.person("phoenix", await _sign_up(site, "b"), "b")
        site.people.append(phoenix)
        await phoenix.come()
        begun = site.now()
        figures.holds("shown to all", await site.agree(3))
        async with Visitor.at(site.nodes["b"].server.url) as visitor:
            name, _, value = phoenix.cookie.partition("=")
            visitor.http.cookie_jar.update_cookies({name: value})
            async with visitor.live() as socket:
                await socket.first()
                own = socket.people.get("phoenix")
                figures.holds("shown to themselves", own == "online", own)
        await judge(figures, site, begun)


async def _sign_up(site: Site, node: str, *, deleted: bool = False) -> str:
    """The cookie of a new account of one name."""
    async with Visitor.at(site.nodes[node].server.url) as visitor:
        await visitor.enter("phoenix")
        if deleted:
            fields = {"password": PASSWORD}
            answer = await visitor.submit("/account/delete", fields, form="/account/")
            assert answer.status == 303, answer.text
            return ""
        name = site.cookies["user0"].partition("=")[0]
        (cookie,) = (each for each in visitor.http.cookie_jar if each.key == name)
        return f"{name}={cookie.value}"


@faults.add(
    "T14",
    "a clock is a minute behind, Redis is down for 8 s, and people move there meanwhile",
    promised=NOBODY,
    seconds=28,
)
async def moved_to_a_slow_clock(figures: Figures) -> None:
    wrong = {"b": {"DRILL_CLOCK_SKEW": "-60"}}
    async with Site(people=9, lease=_LEASE, grace=_GRACE, sabotage=wrong, guests=6) as site:
        site.redis.kill()
        await asyncio.sleep(1)
        await all_go(site, site.people_at("a")[::2], "b")
        await asyncio.sleep(6.5)
        await site.start_redis()
        await judge(figures, site, site.now())


@faults.add(
    "T15",
    "people who are away move to another node within the grace",
    promised="nobody is told that they are online",
    seconds=18,
)
async def away_moves(figures: Figures) -> None:
    async with Site(people=9, lease=_LEASE, grace=_GRACE) as site:
        moving = site.people_at("a")
        for person in moving:
            await person.say("away")
        await asyncio.sleep(1)
        begun = site.now()
        # As old and new pages do: one says how it is with the socket, one says nothing.
        moving[0].status = "away"
        await all_go(site, moving, "b", 0.5)
        await judge(figures, site, begun)
        told = _told(site, moving, begun)
        figures.at_most("told to be online", told.count("online"), 0, " times")


def _told(site: Site, people: list[Person], after: float) -> list[str]:
    return [
        status
        for view in site.evidence.views
        for person in people
        for at, status in view.statuses[person.username]
        if at > after
    ]


@faults.add(
    "T16",
    "one session has a tab at each of two nodes; the online one closes, the other is away",
    promised="away is told at once",
    seconds=18,
)
async def the_other_tab_is_away(figures: Figures) -> None:
    async with Site(people=9, lease=_LEASE, grace=_GRACE) as site:
        first = site.people_at("a")[0]
        other = site.person(first.username, first.cookie, "b")
        await other.come()
        await other.say("away")
        await asyncio.sleep(1)
        site.people.remove(first)
        site.people.append(other)
        begun = site.now()
        await first.leave()
        await judge(figures, site, begun)
        told = [
            at - begun
            for view in site.evidence.views
            for at, status in view.statuses[first.username]
            if at > begun and status == "away"
        ]
        figures.holds("told at every node", len(told) == 3, len(told))
        figures.between("away after", told, 0, TOLD * figures.slack)


@faults.add(
    "T17",
    "the only node is restarted, with people who have chosen to be busy",
    promised="their choice holds",
    seconds=18,
)
async def a_choice_outlives_a_restart(figures: Figures) -> None:
    alone = {"redis_url": None}
    async with Site(nodes=1, people=6, lease=_LEASE, grace=_GRACE, flags=alone) as site:
        busy = site.people[::2]
        for person in busy:
            await person.say("busy", scope="user")
        await asyncio.sleep(1.5)
        begun = site.now()
        await site.terminate("a")
        await site.start("a")
        await judge(figures, site, begun)
        told = _told(site, busy, begun)
        figures.at_most("told otherwise", len(told), 0, " times")
        (view,) = site.evidence.views
        now = {view.statuses[person.username][-1][1] for person in busy}
        figures.holds("busy to the end", now == {"busy"}, now)
