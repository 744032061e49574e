"""The server of the demo, and its people."""

import asyncio
import random
import re
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import replace
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

from aiohttp import web

from presence_server import serving
from presence_server.accounts import users
from presence_server.commands import elements
from presence_server.config import Config
from presence_server.keys import DATABASE, PASSWORDS, PRESENCE
from presence_server.presence.choices import ChosenStatus
from presence_server.presence.commands import Command
from presence_server.presence.members import Who
from presence_server.presence.moment import Moment
from presence_server.presence.node import Node
from presence_server.presence.profiles import Profile
from presence_server.presence.records import OWN
from presence_server.presence.states import Status

GUEST = "guest"
PASSWORD = "come-and-see"

_FIRST_NAMES = (
    "aaron abena adele agnes ahmed aiko alba alice alma amara amelie amir anders anouk anton aria"
    " astrid aylin bashir beata ben bianca boris bruno camille carol cem chiara clara cyrus dalia"
    " daniel dave diego dmitri dora edith elena elif emil emma enzo erin esra ezra fadi farid felix"
    " fiona frank freya gabriel giulia grace greta gustav hana hassan heidi hugo ibrahim ida ilse"
    " ines ingrid ivan jamal jana jin jonas judy julia kai karim karl keiko kenji kira kofi lars"
    " leila lena liam lina lotte luca magda maja malik marta mateo maya milan mina mira nadia nia"
    " nico nina noor nora olga omar oscar otto pablo pavel peggy petra priya quentin rana remy rhea"
    " rosa rupert sadia samir sara selma silas sofia sven sybil tara theo tomas trent ulla uma"
    " valentin vera viktor wanda wei xenia yara yusuf yvonne zahra zeno zoe"
).split()
_ENDINGS = ("", ".s", "_k", "3", "-m", ".d")
_PEOPLE = 300
_HERE = 120
_AWAY = 0.2
# How likely it is that somebody here who does something turns away, or back, and that somebody who
# is not here comes: so that as many are here after hours as at first.
_TURNS = 0.4
_COMES = (1 - _TURNS) * _HERE / (_PEOPLE - _HERE)
# One in so many is lively, and most of what happens is their doing: the others stay for long.
_LIVELY = 8
_DOINGS_OF_LIVELY = 0.9
# Seconds between two who do something, on average.
_PAUSE = 0.4
_HOUR = 3600
# How likely it is that somebody says something of themself, and what: status, text, hours.
_SAYS = 0.25
_WORDS: tuple[tuple[ChosenStatus | None, str, int | None], ...] = (
    ("busy", "📅 In a meeting", 1),
    ("busy", "🎧 Writing, back soon", 2),
    (None, "🏡 At home today", 8),
    (None, "🍜 Lunch", 1),
    (None, "☕ Glad to help", None),
    ("away", "🌴 On holiday", 96),
)


def serve(config: Config) -> int:
    """Until somebody ends it; nothing is left of it."""
    with TemporaryDirectory(prefix="presence-demo-") as folder:
        return serving.run(
            _demo_config(config, Path(folder)),
            _furnish,
            invitation=f"Log in as {GUEST} with the password {PASSWORD}, or sign up.\n"
            f"What your own pages can show, live: {elements.PATH}",
        )


def _demo_config(config: Config, folder: Path) -> Config:
    """Nothing of the demo touches what a real server on this machine keeps, or its cookies."""
    return replace(
        config,
        database=folder / "demo.sqlite3",
        secret_key_file=folder / "demo.key",
        cookie_name="presence_demo",
        redis_url=None,
        reuse_port=False,
        processes=1,
    )


def _furnish(app: web.Application) -> None:
    app.cleanup_ctx.append(_crowd)
    elements.furnish(app, _FIRST_NAMES)


async def _crowd(app: web.Application) -> AsyncIterator[None]:
    """A cleanup context of the application: the guest's account, and the others' lives."""
    chance = random.Random()
    names = [first + ending for first, ending in product(_FIRST_NAMES, _ENDINGS)]
    people = chance.sample(names, _PEOPLE)
    await _sign_up(app, people, chance)
    for name in people:
        app[PRESENCE].introduce(name, Profile(_name_of(name)))
    crowd = _Crowd(app[PRESENCE].node, app[PRESENCE].carry_out, people, chance)
    async with asyncio.TaskGroup() as tasks:
        living = tasks.create_task(crowd.live(), name="made-up people")
        yield
        living.cancel()


async def _sign_up(app: web.Application, people: list[str], chance: random.Random) -> None:
    database, now = app[DATABASE], int(time.time())
    await users.create(database, GUEST, await app[PASSWORDS].hash(PASSWORD), now)
    for name in people:
        # No password has such a hash: nobody logs in as them.
        await users.create(database, name, "-", now, name=_name_of(name))
    seen = {name: now - int(chance.expovariate(1 / (48 * _HOUR))) for name in people}
    await users.record_last_seen(database, seen, now)


def _name_of(username: str) -> str:
    """Such as "Aaron M." for aaron-m; some have none."""
    first, *more = re.split("[._-]", username)
    initials = "".join(f" {letter.upper()}." for letter in more)
    return "" if first[-1].isdigit() else first.capitalize() + initials


class _Crowd:
    """People without browsers: each has one connection while here."""

    def __init__(
        self,
        node: Node,
        carry_out: Callable[[Iterable[Command]], None],
        people: list[str],
        chance: random.Random,
    ) -> None:
        self._node = node
        self._carry_out = carry_out
        self._people = people
        self._chance = chance
        # Those who are here, and how they are.
        self._here: dict[str, Status] = {}

    async def live(self) -> None:
        self.gather(time.time())
        while True:
            await asyncio.sleep(self._chance.expovariate(1 / _PAUSE))
            self.act(time.time())

    def gather(self, now: float) -> None:
        """Those who are here at first."""
        for name in self._people[:_HERE]:
            since = now - self._chance.expovariate(1 / _HOUR)
            self._come(name, since)
            if self._chance.random() < _AWAY:
                self._turn(name, since)
        for name in self._people:
            if self._chance.random() < _SAYS:
                self._say(name, now)

    def act(self, now: float) -> None:
        """Somebody does something, if they feel like it."""
        lively = self._chance.random() < _DOINGS_OF_LIVELY
        name = self._chance.choice(self._people[:: _LIVELY if lively else 1])
        if name not in self._here:
            if self._chance.random() < _COMES:
                self._come(name, now)
        elif self._chance.random() < _TURNS:
            self._turn(name, now)
        else:
            self._go(name, now)

    # Their sessions go by their names: a real one is named by a hash.

    def _come(self, name: str, now: float) -> None:
        self._here[name] = "online"
        self._carry_out(self._node.open(OWN, Who(name, name), 0, _moment(now)))

    def _turn(self, name: str, now: float) -> None:
        status: Status = "online" if self._here[name] == "away" else "away"
        self._here[name] = status
        self._carry_out(self._node.set_status(OWN, name, 0, status, _moment(now)))

    def _say(self, name: str, now: float) -> None:
        status, text, hours = self._chance.choice(_WORDS)
        until = None if hours is None else int(now) + hours * _HOUR
        moment = _moment(now)
        self._carry_out(self._node.choose(0, name, status, moment, text=text, until=until))

    def _go(self, name: str, now: float) -> None:
        del self._here[name]
        self._carry_out(self._node.leave(OWN, name, _moment(now)))


def _moment(unix: float) -> Moment:
    return Moment(time.monotonic(), int(unix))
