"""The observers of this process: who comes, goes and is sent away."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterable, Sequence

from presence_server.background import Background
from presence_server.live.audience import Audience
from presence_server.live.clock import moment
from presence_server.live.farewells import RESTARTING, SESSION_ENDED, SILENT, Farewell
from presence_server.live.flushing import Flushing
from presence_server.live.heartbeat import Heartbeat
from presence_server.live.lagging import Lagging
from presence_server.live.observer import Observer, Room
from presence_server.live.rounds import Rounds
from presence_server.live.update import Update
from presence_server.live.wire import Message
from presence_server.presence.records import OWN

# Seconds that a peer has to answer a close.
_CLOSING = 1.0


class Hub:
    """Every observer gets what it misses in one way: the changes since the version that it has."""

    def __init__(self, heartbeat: float) -> None:
        self.heartbeat = Heartbeat(heartbeat)
        self._audiences: dict[str, Audience] = {}
        self._sessions: dict[str, list[Observer]] = {}
        self._lagging = Lagging()
        self._closing: dict[Observer, asyncio.TimerHandle] = {}
        self._all_closed = asyncio.Event()
        # Once the server stops: they come back at random within so many seconds.
        self._come_back_within: float | None = None
        # So many observers have been dismissed, by their close code.
        self.dismissed: Counter[int] = Counter()
        self.flushing = Flushing(self.heartbeat, self._lagging, self._update, self.dismiss)
        self._rounds = Rounds(
            self._audiences,
            self.heartbeat,
            self._lagging,
            self.flushing,
            self._update,
            self.dismiss,
            self._cut,
        )

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
        self.flushing.add(audience)
        if self._come_back_within is not None:
            self._send_away(observer, self._come_back_within)

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
            observer.resume(cursor, moment())
        self.flushing.add(audience)

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
                self.flushing.note_change(audience)

    def set_degraded(self, degraded: bool) -> None:
        """Whether the other nodes cannot be heard: that is told in all rooms."""
        if degraded != self.flushing.degraded:
            self.flushing.set_degraded(degraded)
            self.changed(self._audiences)

    def has_line(self, session: str) -> bool:
        """Whether a session has a line here that is not being closed."""
        return session in self._sessions

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

    async def dismiss_all(self, come_back_within: float) -> None:
        """Tell everyone that the server restarts and when to come back, at random within so many
        seconds, also those who are yet to come; wait for all to close."""
        self._come_back_within = come_back_within
        for audience in list(self._audiences.values()):
            for observer in audience.everybody():
                self._send_away(observer, come_back_within)
        if self._closing:
            await self._all_closed.wait()

    async def run(self) -> None:
        """Flush, keep lines alive and cut those who are too slow, for ever."""
        async with Background() as tasks:
            tasks.start("flush", self.flushing.run())
            tasks.start("rounds", self._rounds.run())

    def _send_away(self, observer: Observer, come_back_within: float) -> None:
        self.dismiss(observer, RESTARTING, random.uniform(0, come_back_within))

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

    def _cut(self, observer: Observer) -> None:
        self.dismissed[SILENT.code] += 1
        self._take_out(observer)
        observer.dismissed = True
        observer.wire.abort()

    def _update(self, audience: Audience) -> Update:
        degraded, heartbeat = self.flushing.degraded, self.heartbeat.seconds
        return Update(audience, degraded=degraded, heartbeat=heartbeat)
