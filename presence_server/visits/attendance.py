"""Following who comes and leaves, for as long as visits are kept; the node on duty writes them."""

import asyncio
import time
from collections.abc import Mapping
from typing import Protocol

from presence_server.background import Background, next_round
from presence_server.live.feed import Feed, Feeds, News
from presence_server.nodes.duty import Duty, Term
from presence_server.presence.names import app_of
from presence_server.presence.timing import CLOCK_WRONG
from presence_server.presence.visits import Visits
from presence_server.storage.database import Database
from presence_server.visits import written

# Seconds.
_WRITE_EVERY = 0.5
_FORGET_EVERY = 300.0
# Transactions between two writes.
_FORGET_AT_ONCE = 4
# Visits that have ended, some tens of megabytes: so many are remembered until they are written.
_MOST_UNWRITTEN = 100_000


class Days(Protocol):
    def __call__(self) -> Mapping[int, int]:
        """For how many days visits are kept, by app; of app 0, the own accounts."""


class Attendance:
    """`memory` is for how many seconds is remembered what another node may not have written, which
    has its turn."""

    def __init__(
        self, database: Database, feeds: Feeds, duty: Duty, days: Days, *, memory: float
    ) -> None:
        self._database = database
        self._feeds = feeds
        self._duty = duty
        self._days = days
        self._memory = memory
        self._following: dict[int, Feed] = {}
        self._visits = Visits()
        self._term: Term | None = None
        self._newest_second = int(time.time())
        # To which second the clock went back, until what is written has gone back, too.
        self._went_back_to: int | None = None
        self._wake = asyncio.Event()
        self._forget_at = 0.0
        # The apps of which there may be more to forget.
        self._to_forget: list[int] = []
        # Whether own accounts may have visits from when they were kept.
        self._unwanted = not days().get(0)
        self._writing = asyncio.Lock()

    async def run(self) -> None:
        """Follow and write, for ever."""
        async with Background() as tasks:
            tasks.start("follow visits", self._follow())
            tasks.start("write visits", self._write_all())

    async def write(self) -> None:
        """Write down what has happened up to now."""
        async with self._writing:
            await self._write()

    async def _follow(self) -> None:
        while True:
            await self._wake.wait()
            self._look()

    async def _write_all(self) -> None:
        while True:
            self._follow_those_kept()
            await self._database.attempt(self.write())
            await self._database.attempt(self._forget())
            await next_round(_WRITE_EVERY)

    def _follow_those_kept(self) -> None:
        kept = {app for app, days in self._days().items() if days}
        for app in kept - self._following.keys():
            feed = self._following[app] = self._feeds.open(app, self._wake)
            feed.look_at_all()
        for app in self._following.keys() - kept:
            self._feeds.close(self._following.pop(app))
            self._visits.leave_out([r for r in self._visits.rooms() if app_of(r) == app])

    def _look(self) -> None:
        self._wake.clear()
        now = int(time.time())
        if now < self._newest_second - CLOCK_WRONG:
            self._visits.recede(now)
            self._went_back_to = now
        self._newest_second = now
        for feed in self._following.values():
            for news in feed.take():
                self._see(news, now)

    def _see(self, news: News, now: int) -> None:
        room, roster = news.room, news.roster
        if news.changed is None:
            # Their stays began before they changed last.
            here = {
                user: (roster.account(user), person.here) for user, person in roster.here.items()
            }
            self._visits.see_all(room, here, roster.left_since(0), now)
            return
        for user, person in news.changed.items():
            account = roster.account(user)
            self._visits.see(room, user, account, user in roster.here, person.since)

    async def _write(self) -> None:
        self._look()
        self._visits.forget_all_but(_MOST_UNWRITTEN)
        term = self._duty.term
        if term is None:
            self._term = None
            self._forget_written()
            return
        if self._went_back_to is not None or term != self._term:
            now = self._went_back_to or int(time.time())
            await written.recede(self._database, term, now)
            self._went_back_to = None
        if term != self._term:
            self._visits.go_on(await written.going_on(self._database), term.known_until)
            self._term = term
        news = self._visits.take()
        try:
            if news and not await written.write(self._database, term, news):
                self._visits.give_back(news)
        except BaseException:
            self._visits.give_back(news)
            raise

    def _forget_written(self) -> None:
        """Only what another surely has: in an outage of the database nobody writes."""
        another = self._duty.another
        if another is not None and another.until - another.since >= self._memory:
            ago = time.monotonic() - another.until
            self._visits.forget(int(time.time() - ago - self._memory))

    async def _forget(self) -> None:
        """Some of what is no longer kept: the rest when what happened meanwhile is written."""
        if self._unwanted:
            # Without the duty: where nothing is kept, perhaps nobody has it.
            self._unwanted = await self._forget_own()
        elif self._term is not None and time.monotonic() >= self._forget_at:
            await self._forget_old()

    async def _forget_own(self) -> bool:
        """Whether there may be more."""
        if not await written.any_own(self._database):
            return False
        return bool(await written.forget(self._database, {0: 0}, 0, most=_FORGET_AT_ONCE))

    async def _forget_old(self) -> None:
        # It may have been said meanwhile that they are kept for longer.
        days = self._days()
        some = {app: days[app] for app in self._to_forget or days if app in days}
        self._to_forget = await written.forget(
            self._database, some, int(time.time()), most=_FORGET_AT_ONCE
        )
        if not self._to_forget:
            self._forget_at = time.monotonic() + _FORGET_EVERY
