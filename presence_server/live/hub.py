"""The open sockets of this process, and the flush that keeps all of them up to date."""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from time import monotonic, thread_time
from typing import NamedTuple

from presence_server.background import Background
from presence_server.live.frames import Forgotten, Frames, close_frame, text_frame
from presence_server.live.lagging import LAGGING, Lagging
from presence_server.live.sockets import Socket
from presence_server.presence.messages import encode_bye, encode_degraded
from presence_server.presence.node import Node

SESSION_ENDED = 4401
RESTART = 1012
TOO_SLOW = 1013

# The part of the time that flushes may take, and the least and most seconds between the starts of
# two: few sockets get each change at once, and for many it pays to let changes share a write.
_SHARE = 0.07
_QUICKEST, _SLOWEST = 0.02, 0.18
# When more sockets than these came between two flushes, the others who wait to come go first.
_CROWD = 100
# When nobody came for so many seconds, the crowd is in.
_MOMENT = 0.2
# So many sockets are written to between two breaths of the event loop.
_BREATH = 100
# Seconds between two looks at those who lag.
_LAGGING_CHECK = 0.2
# Seconds that a peer has to answer a close.
_CLOSING = 1.0

_HEARD_AGAIN = text_frame(encode_degraded(False))

log = logging.getLogger(__name__)


class Flush(NamedTuple):
    """One flush: how long ago the first change in it happened when it ended, and what it took."""

    delay: float
    seconds: float
    writes: int
    size: int


class Hub:
    """Every socket gets what it misses in one way: the changes since the version that it has."""

    def __init__(self, node: Node, heartbeat: float) -> None:
        self._node = node
        self._heartbeat = heartbeat
        self._sockets: dict[Socket, None] = {}
        self._sessions: dict[str, list[Socket]] = {}
        self._lagging = Lagging()
        self._closing: dict[Socket, asyncio.TimerHandle] = {}
        self._all_closed = asyncio.Event()
        self._wake = asyncio.Event()
        self._degraded = False
        self._woken: float | None = None
        self._arrived = 0
        self._writes = 0
        self._written = 0
        # So many sockets have been dismissed, by their close code.
        self.dismissed: Counter[int] = Counter()
        self.observe: Callable[[Flush], None] = _unobserved

    def __len__(self) -> int:
        return len(self._sockets)

    @property
    def lagging(self) -> int:
        """How many sockets are passed over until they have read."""
        return len(self._lagging)

    def sessions(self) -> list[str]:
        """The sessions that have an open socket here."""
        return list(self._sessions)

    def add(self, socket: Socket) -> None:
        """Take a socket in; its first message comes with the next flush."""
        self._arrived += 1
        self._sockets[socket] = None
        self._sessions.setdefault(socket.session, []).append(socket)
        self._wake.set()

    def remove(self, socket: Socket) -> None:
        """Forget a socket that is gone."""
        timer = self._closing.pop(socket, None)
        if timer is not None:
            timer.cancel()
        if not self._closing:
            self._all_closed.set()
        if socket in self._sockets:
            self._take_out(socket)

    def wake(self) -> None:
        """Something changed: the next flush is due."""
        if self._woken is None:
            self._woken = monotonic()
        self._wake.set()

    def end_session(self, session: str) -> None:
        for socket in list(self._sessions.get(session, ())):
            self.dismiss(socket, SESSION_ENDED, "session_ended")

    def dismiss(
        self,
        socket: Socket,
        code: int,
        reason: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        """Say bye and close; the peer has a moment to answer, and nothing more is sent to it."""
        if socket not in self._sockets:
            return
        self._take_out(socket)
        bye = b""
        if reason is not None and not socket.tutorial:
            bye = text_frame(encode_bye(reason, retry_after))
        self._write(socket, bye + close_frame(code))
        socket.dismissed = True
        self.dismissed[code] += 1
        # transport.close() would wait for ever for a peer that does not read.
        timer = asyncio.get_running_loop().call_later(_CLOSING, socket.transport.abort)
        self._closing[socket] = timer
        self._all_closed.clear()

    async def dismiss_all(self, spread: float) -> None:
        """Tell everyone that the server restarts and when to come back; wait for all to close."""
        for socket in list(self._sockets):
            self.dismiss(socket, RESTART, "restarting", random.uniform(0, spread))
        if self._closing:
            await self._all_closed.wait()

    async def run(self) -> None:
        """Flush, say alive and cut those who are too slow, for ever."""
        async with Background() as tasks:
            tasks.start("flush", self._flush_when_due())
            tasks.start("say alive", self._say_alive())
            tasks.start("watch lagging sockets", self._watch_lagging())

    def _take_out(self, socket: Socket) -> None:
        del self._sockets[socket]
        self._lagging.forget(socket)
        self._sessions[socket.session].remove(socket)
        if not self._sessions[socket.session]:
            del self._sessions[socket.session]

    async def _flush_when_due(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            started = monotonic()
            woken, self._woken = self._woken, None
            arrived, self._arrived = self._arrived, 0
            self._writes = self._written = 0
            cost = await self._flush()
            spent = monotonic() - started
            if self._writes:
                delay = spent if woken is None else monotonic() - woken
                self.observe(Flush(delay, spent, self._writes, self._written))
            pace = min(max(cost / _SHARE, _QUICKEST), _SLOWEST)
            # At least half of the time is left to others. Of a crowd's flush they had most already.
            rest = spent if arrived <= _CROWD else 2 * cost - spent
            await asyncio.sleep(max(pace - spent, rest))
            if arrived > _CROWD:
                await self._let_in(started + 5 * cost)

    async def _let_in(self, limit: float) -> None:
        """Those who still come go first, until the limit or until none came for a moment."""
        arrived = -1
        while arrived != self._arrived and monotonic() < limit:
            arrived = self._arrived
            await asyncio.sleep(_MOMENT)

    async def _flush(self) -> float:
        """Returns the seconds of CPU time that it took itself: others run while it breathes."""
        frames = self._frames()
        cost = 0.0
        self._degraded = self._node.cluster.degraded
        async for sockets in _breathing(self._sockets):
            began = thread_time()
            for socket in sockets:
                self._bring(socket, frames)
            cost += thread_time() - began
        return cost

    def _bring(self, socket: Socket, frames: Frames) -> None:
        if socket not in self._sockets or socket.transport.is_closing():
            return
        if self._lagging.note(socket):
            return
        try:
            data = self._missing(socket, frames)
        except Forgotten:
            self.dismiss(socket, TOO_SLOW, "too_slow")
            return
        if data:
            self._write(socket, data)
        if len(data) > LAGGING:
            # Nothing may happen any more that would pass it over.
            self._lagging.note(socket)

    def _missing(self, socket: Socket, frames: Frames) -> bytes:
        data = b""
        if not socket.greeted or socket.version != self._node.roster.version:
            data, socket.version = frames.update(socket.tutorial, socket.version)
            socket.greeted = True
        if socket.degraded != self._degraded and not socket.tutorial:
            socket.degraded = self._degraded
            data += frames.silence(self._node.own) if self._degraded else _HEARD_AGAIN
        return data

    def _write(self, socket: Socket, data: bytes) -> None:
        # Never awaits: what the kernel does not take at once waits in the transport's buffer.
        if not socket.transport.is_closing():
            socket.transport.write(data)
            socket.sent_at = monotonic()
            socket.written += len(data)
            self._writes += 1
            self._written += len(data)

    async def _watch_lagging(self) -> None:
        while True:
            await asyncio.sleep(_LAGGING_CHECK)
            if self._lagging.take_caught_up():
                self._wake.set()
            for socket in self._lagging.stuck():
                log.info("cut a socket of %s that does not read", socket.username)
                self.dismiss(socket, TOO_SLOW, "too_slow")

    async def _say_alive(self) -> None:
        # A page cannot see protocol pings: it takes silence for a dead line.
        interval = min(1.0, self._heartbeat / 8)
        while True:
            await asyncio.sleep(interval)
            quiet_since = monotonic() - self._heartbeat + interval / 2
            frames = self._frames()
            async for sockets in _breathing(self._sockets):
                for socket in sockets:
                    if socket.sent_at < quiet_since and socket.greeted and not socket.tutorial:
                        self._say_alive_to(socket, frames)

    def _say_alive_to(self, socket: Socket, frames: Frames) -> None:
        # One that lags has a sign of life on its way.
        if socket.version is not None and socket not in self._lagging and socket in self._sockets:
            self._write(socket, frames.alive(socket.version))

    def _frames(self) -> Frames:
        return Frames(self._node.roster, self._node.name, self._heartbeat)


def _unobserved(flush: Flush) -> None:
    """Nobody measures."""


async def _breathing(sockets: Iterable[Socket]) -> AsyncIterator[Sequence[Socket]]:
    """The sockets that there are now, with turns of the event loop for everybody else between."""
    every = tuple(sockets)
    for start in range(0, len(every), _BREATH):
        if start:
            await asyncio.sleep(0)
        yield every[start : start + _BREATH]
