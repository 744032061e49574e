"""The observers of this process, and the flush that keeps all of them up to date."""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic, thread_time
from typing import NamedTuple, TypeVar

from presence_server.background import Background
from presence_server.live.audience import Audience, Kind
from presence_server.live.farewells import RESTARTING, SESSION_ENDED, SILENT, TOO_SLOW, Farewell
from presence_server.live.heartbeat import Heartbeat
from presence_server.live.lagging import Lagging
from presence_server.live.observer import Observer, Room
from presence_server.live.pacing import Budget
from presence_server.live.update import Forgotten, Update
from presence_server.live.wire import MOST_WAITING, Message, Wire
from presence_server.presence.moment import Moment
from presence_server.presence.records import OWN

# So many observers are written to between two turns of the event loop.
_AT_ONCE = 100
# Seconds between two looks at those who lag.
_LAGGING_CHECK = 0.2
# Seconds between two looks at how many are here.
_COUNT_EVERY = 1.0
# Seconds that a peer has to answer a close.
_CLOSING = 1.0

log = logging.getLogger(__name__)

T = TypeVar("T")


class Flush(NamedTuple):
    """One flush: how long ago the first change in it happened when it ended, and what it took."""

    delay: float
    seconds: float
    writes: int
    size: int


class Hub:
    """Every observer gets what it misses in one way: the changes since the version that it has."""

    def __init__(self, heartbeat: float) -> None:
        self.heartbeat = Heartbeat(heartbeat)
        self._audiences: dict[str, Audience] = {}
        self._sessions: dict[str, list[Observer]] = {}
        self._lagging = Lagging()
        self._closing: dict[Observer, asyncio.TimerHandle] = {}
        self._all_closed = asyncio.Event()
        # Rooms in which there is something to say.
        self._due: dict[str, Audience] = {}
        self._wake = asyncio.Event()
        self._degraded = False
        self._changed_at: float | None = None
        # What the flush has done that is under way.
        self._cost = 0.0
        self._writes = 0
        self._written = 0
        # So many observers have been dismissed, by their close code.
        self.dismissed: Counter[int] = Counter()
        self.observe: Callable[[Flush], None] = _unobserved

    def __len__(self) -> int:
        return sum(map(len, self._audiences.values()))

    @property
    def lagging(self) -> int:
        """How many observers are passed over until they have read."""
        return len(self._lagging)

    def sessions(self) -> list[str]:
        """The sessions of own accounts that have an open line here."""
        return [
            session
            for session, observers in self._sessions.items()
            if observers[0].room.key == OWN
        ]

    def add(self, observer: Observer) -> None:
        """Take an observer in; its first message comes with the next flush."""
        key = observer.room.key
        audience = self._audiences.get(key)
        if audience is None:
            audience = self._audiences[key] = Audience(observer.room)
        audience.add(observer)
        self._sessions.setdefault(observer.session, []).append(observer)
        self._is_due(audience)

    def remove(self, observer: Observer) -> None:
        """Forget an observer whose line is gone."""
        timer = self._closing.pop(observer, None)
        if timer is not None:
            timer.cancel()
        if not self._closing:
            self._all_closed.set()
        observer.dismissed = True
        self._take_out(observer)

    def watch(self, observer: Observer, users: frozenset[str] | None, cursor: str | None) -> None:
        """Tell it of these only, from now on; None: of everybody."""
        audience = self._audience_of(observer)
        if audience is None or not observer.dialect.resumes:
            return
        audience.watch(observer, users)
        observer.version = None
        if cursor:
            observer.resume(cursor, _now())
        self._is_due(audience)

    def move(self, observer: Observer, before: Room) -> None:
        """It is told of another room than before from now on, from its beginning."""
        if observer.dismissed:
            return
        self._take_out_of(self._audiences[before.key], observer)
        observer.version, observer.greeted = None, False
        self.add(observer)

    def say(self, observer: Observer, said: Sequence[Message]) -> None:
        """Say something to one of them alone."""
        if not observer.dismissed:
            data = b"".join(map(observer.wire.frame, said))
            observer.wire.write(data, self.heartbeat.turn)

    def tell_choice(self, sessions: Iterable[str], user: str) -> None:
        """Tell those who are at the lines of these sessions what they have chosen."""
        for session in sessions:
            for observer in self._sessions.get(session, ()):
                if observer.greeted and observer.user == user:
                    self.say(observer, observer.dialect.choice(observer.room.choice_of(user)))

    def changed(self, rooms: Iterable[str]) -> None:
        """Something happened in these rooms, by their keys."""
        for key in rooms:
            audience = self._audiences.get(key)
            if audience is not None:
                self._changed_at = self._changed_at or monotonic()
                self._is_due(audience)

    def set_degraded(self, degraded: bool) -> None:
        """Whether the other nodes cannot be heard: that is told in all rooms."""
        if degraded != self._degraded:
            self._degraded = degraded
            self.changed(self._audiences)

    def end_session(self, session: str, room: str | None = None) -> None:
        """Close all lines of a session, or those to one room."""
        for observer in list(self._sessions.get(session, ())):
            if room in (None, observer.room.key):
                self.dismiss(observer, SESSION_ENDED)

    def dismiss(
        self, observer: Observer, farewell: Farewell, retry_after: float | None = None
    ) -> None:
        """Say bye and close, also to somebody who was never let in.

        The peer has a moment to answer, and nothing more is sent to it.
        """
        if observer.dismissed:
            return
        observer.dismissed = True
        self._take_out(observer)
        self.dismissed[farewell.code] += 1
        wire, said = observer.wire, observer.dialect.bye(farewell, retry_after)
        wire.close(farewell, b"".join(map(wire.frame, said)), retry_after)
        timer = asyncio.get_running_loop().call_later(_CLOSING, wire.abort)
        self._closing[observer] = timer
        self._all_closed.clear()

    async def dismiss_all(self, spread: float) -> None:
        """Tell everyone that the server restarts and when to come back; wait for all to close."""
        for audience in list(self._audiences.values()):
            for observer in audience.everybody():
                self.dismiss(observer, RESTARTING, random.uniform(0, spread))
        if self._closing:
            await self._all_closed.wait()

    async def run(self) -> None:
        """Flush, keep lines alive and cut those who are too slow, for ever."""
        async with Background() as tasks:
            tasks.start("flush", self._flush_when_due())
            tasks.start("heartbeat", self._keep_alive())
            tasks.start("count", self._count())
            tasks.start("watch lagging observers", self._watch_lagging())

    def _is_due(self, audience: Audience) -> None:
        self._due[audience.room.key] = audience
        self._wake.set()

    def _audience_of(self, observer: Observer) -> Audience | None:
        audience = self._audiences.get(observer.room.key)
        return audience if audience is not None and observer in audience else None

    def _take_out(self, observer: Observer) -> None:
        audience = self._audience_of(observer)
        if audience is not None:
            self._take_out_of(audience, observer)

    def _take_out_of(self, audience: Audience, observer: Observer) -> None:
        audience.remove(observer)
        if not audience:
            del self._audiences[audience.room.key]
        self._lagging.forget(observer)
        self._sessions[observer.session].remove(observer)
        if not self._sessions[observer.session]:
            del self._sessions[observer.session]

    async def _flush_when_due(self) -> None:
        budget = Budget(monotonic())
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._flush(budget)
            await asyncio.sleep(budget.wait(monotonic()))

    async def _flush(self, budget: Budget) -> None:
        began = monotonic()
        changed_at, self._changed_at = self._changed_at or began, None
        self._writes = self._written = 0
        self._cost = 0.0
        due, self._due = self._due, {}
        for audience in due.values():
            await self._flush_room(audience)
        budget.spend(self._cost, monotonic())
        if self._writes:
            ended = monotonic()
            self.observe(Flush(ended - changed_at, ended - began, self._writes, self._written))

    async def _flush_room(self, audience: Audience) -> None:
        due = audience.take_due(self._degraded)
        update = self._update(audience)
        # All of it before anybody else has a turn: it tells what is so now.
        same = [(kind, wires, self._same(update, kind, wires)) for kind, wires in due.even]
        for kind, all_wires, data in same:
            async for wires in _in_turns(all_wires if data else ()):
                with self._on_our_time():
                    self._send_same(audience, kind, wires, data)
        async for observers in _in_turns(due.own):
            with self._on_our_time():
                self._send_own(observers, update)

    @contextmanager
    def _on_our_time(self) -> Iterator[None]:
        # While a flush leaves turns to others they spend theirs.
        began = thread_time()
        yield
        self._cost += thread_time() - began

    def _same(self, update: Update, kind: Kind, wires: Sequence[Wire]) -> bytes:
        try:
            return update.same(kind)
        except Forgotten:
            for observer in update.audience.observers_at(kind, wires):
                self.dismiss(observer, TOO_SLOW)
            return b""

    def _send_same(
        self, audience: Audience, kind: Kind, wires: Sequence[Wire], data: bytes
    ) -> None:
        """To those who knew what the flush before said."""
        turn = self.heartbeat.turn
        missed = [wire for wire in wires if not wire.offer(data, turn)]
        for observer in audience.observers_at(kind, missed):
            audience.pass_over(observer)
            self._lagging.watch(observer)
        if len(data) > MOST_WAITING:
            for observer in audience.observers_at(kind, wires):
                self._watch_if_lagging(observer)
        self._writes += len(wires) - len(missed)
        self._written += (len(wires) - len(missed)) * len(data)

    def _watch_if_lagging(self, observer: Observer) -> None:
        # Nothing may happen any more for which it would be passed over.
        if observer.wire.waiting() > MOST_WAITING:
            self._lagging.watch(observer)

    def _send_own(self, observers: Sequence[Observer], update: Update) -> None:
        """To those who miss something of their own."""
        for observer in observers:
            wire = observer.wire
            if observer not in update.audience:
                # Gone, or elsewhere, since the flush began.
                continue
            if wire.waiting() > MOST_WAITING:
                update.audience.pass_over(observer)
                self._lagging.watch(observer)
                continue
            try:
                data = update.missing(observer)
            except Forgotten:
                self.dismiss(observer, TOO_SLOW)
                continue
            if data:
                wire.write(data, self.heartbeat.turn)
                self._writes += 1
                self._written += len(data)
            if len(data) > MOST_WAITING:
                self._watch_if_lagging(observer)

    async def _watch_lagging(self) -> None:
        while True:
            await asyncio.sleep(_LAGGING_CHECK)
            for observer in self._lagging.take_caught_up():
                audience = self._audiences[observer.room.key]
                audience.catch_up(observer)
                self._is_due(audience)
            for observer in self._lagging.stuck():
                log.info("cut a line of %s that does not read", observer.user)
                self.dismiss(observer, TOO_SLOW)

    async def _count(self) -> None:
        while True:
            await asyncio.sleep(_COUNT_EVERY)
            for audience in list(self._audiences.values()):
                update, turn = self._update(audience), self.heartbeat.turn
                async for observers in _in_turns(audience.take_uncounted(monotonic())):
                    for observer in observers:
                        if observer in audience and observer not in self._lagging:
                            observer.wire.write(update.count(observer), turn)

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(self.heartbeat.interval)
            self.heartbeat.next()
            for audience in list(self._audiences.values()):
                update = self._update(audience)
                async for observers in _in_turns(audience.everybody()):
                    for observer in observers:
                        self._keep_one_alive(observer, update)

    def _keep_one_alive(self, observer: Observer, update: Update) -> None:
        if observer not in update.audience:
            return
        if observer in self._lagging:
            observer.wire.excuse(self.heartbeat)
            return
        wire, turn = observer.wire, self.heartbeat.turn
        # A page cannot see protocol pings: it takes silence for a dead line.
        if turn - wire.sent >= self.heartbeat.turns and observer.greeted:
            wire.write(update.alive(observer), turn)
        if not wire.keep_alive(self.heartbeat):
            self._cut(observer)

    def _cut(self, observer: Observer) -> None:
        self.dismissed[SILENT.code] += 1
        self._take_out(observer)
        observer.dismissed = True
        observer.wire.abort()

    def _update(self, audience: Audience) -> Update:
        heartbeat = self.heartbeat.seconds
        return Update(audience, degraded=self._degraded, heartbeat=heartbeat, now=_now())


def _now() -> Moment:
    return Moment(monotonic(), int(time.time()))


def _unobserved(flush: Flush) -> None:
    """Nobody measures."""


async def _in_turns(all_of_them: Sequence[T]) -> AsyncIterator[Sequence[T]]:
    """Some of them at a time, with turns of the event loop for everybody else between."""
    for start in range(0, len(all_of_them), _AT_ONCE):
        if start:
            await asyncio.sleep(0)
        yield all_of_them[start : start + _AT_ONCE]
