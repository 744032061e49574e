"""The flush that keeps all observers up to date, of the rooms in which something is to be said."""

import asyncio
from collections.abc import Callable, Sequence
from time import monotonic
from typing import NamedTuple

from presence_server.live.audience import Audience, Kind
from presence_server.live.farewells import TOO_SLOW, Farewell
from presence_server.live.heartbeat import Heartbeat
from presence_server.live.lagging import Lagging
from presence_server.live.observer import Observer
from presence_server.live.pacing import Budget
from presence_server.live.turns import Turns, slices
from presence_server.live.update import Forgotten, Update
from presence_server.live.wire import MOST_WAITING, Wire


class Flush(NamedTuple):
    """One flush: how long ago the first change in it happened when it ended, and what it took."""

    delay: float
    seconds: float
    writes: int
    size: int


class Flushing:
    """`update` makes what is to be said in a room; `dismiss` lets somebody go for whom it cannot be
    made any more."""

    def __init__(
        self,
        heartbeat: Heartbeat,
        lagging: Lagging,
        update: Callable[[Audience], Update],
        dismiss: Callable[[Observer, Farewell], None],
    ) -> None:
        self._heartbeat = heartbeat
        self._lagging = lagging
        self._update = update
        self._dismiss = dismiss
        self._due: dict[str, Audience] = {}
        self._wake = asyncio.Event()
        # Whether the other nodes cannot be heard.
        self.degraded = False
        self._changed_at: float | None = None
        # What the flush has done that is under way.
        self._writes = 0
        self._written = 0
        self._tell: Callable[[Flush], None] = _untold

    def tell(self, told: Callable[[Flush], None]) -> None:
        """From now on each flush that wrote something is told."""
        self._tell = told

    def add(self, audience: Audience) -> None:
        """There is something to say in its room."""
        self._due[audience.room.key] = audience
        self._wake.set()

    def note_change(self, audience: Audience) -> None:
        """Something has happened in its room just now."""
        self._changed_at = self._changed_at or monotonic()
        self.add(audience)

    def set_degraded(self, degraded: bool) -> None:
        """It is told with the next flush of each room."""
        self.degraded = degraded

    async def run(self) -> None:
        """Flush when there is something to say, for ever."""
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
        due, self._due, turns = self._due, {}, Turns()
        for audience in due.values():
            await self._flush_room(audience, turns)
        budget.spend(turns.spent, monotonic())
        if self._writes:
            ended = monotonic()
            self._tell(Flush(ended - changed_at, ended - began, self._writes, self._written))

    async def _flush_room(self, audience: Audience, turns: Turns) -> None:
        due = audience.take_due(self.degraded)
        update = self._update(audience)
        # All of it before anybody else has a turn: it tells what is so now.
        same = [(kind, wires, self._same(update, kind, wires)) for kind, wires in due.even]
        self._prepare(due.own, update)
        for kind, all_wires, data in same:
            for wires in slices(all_wires if data else ()):
                await turns.before(len(wires))
                self._send_same(audience, kind, wires, data)
        for observers in slices(due.own):
            await turns.before(len(observers))
            self._send_own(observers, update)
        audience.end_flush()
        if audience.is_behind:
            self.add(audience)

    def _same(self, update: Update, kind: Kind, wires: Sequence[Wire]) -> bytes:
        try:
            return update.same(kind)
        except Forgotten:
            for observer in update.audience.observers_at(kind, wires):
                self._dismiss(observer, TOO_SLOW)
            return b""

    def _prepare(self, observers: Sequence[Observer], update: Update) -> None:
        for observer in observers:
            try:
                update.prepare(observer)
            except Forgotten:
                self._dismiss(observer, TOO_SLOW)

    def _send_same(
        self, audience: Audience, kind: Kind, wires: Sequence[Wire], data: bytes
    ) -> None:
        """To those who knew what the flush before said."""
        turn = self._heartbeat.turn
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
                self._dismiss(observer, TOO_SLOW)
                continue
            if data:
                wire.write(data, self._heartbeat.turn)
                self._writes += 1
                self._written += len(data)
            if len(data) > MOST_WAITING:
                self._watch_if_lagging(observer)


def _untold(flush: Flush) -> None:
    """Nobody measures."""
