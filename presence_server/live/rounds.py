"""What is done for all lines again and again: they are kept alive, counted to, and cut when they do
not read."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from time import monotonic

from presence_server.background import Background, next_round
from presence_server.live.audience import Audience
from presence_server.live.farewells import TOO_SLOW, Farewell
from presence_server.live.flushing import Flushing
from presence_server.live.heartbeat import Heartbeat
from presence_server.live.lagging import Lagging
from presence_server.live.observer import Observer
from presence_server.live.turns import Turns, slices
from presence_server.live.update import Update

# Seconds between two looks at those who lag.
_LAGGING_CHECK = 0.2
# Seconds between two looks at how many are here.
_COUNT_EVERY = 1.0

log = logging.getLogger(__name__)


class Rounds:
    """`audiences` are those of now, by room; `cut` ends a line without a word."""

    def __init__(
        self,
        audiences: Mapping[str, Audience],
        heartbeat: Heartbeat,
        lagging: Lagging,
        flushing: Flushing,
        update: Callable[[Audience], Update],
        dismiss: Callable[[Observer, Farewell], None],
        cut: Callable[[Observer], None],
    ) -> None:
        self._audiences = audiences
        self._heartbeat = heartbeat
        self._lagging = lagging
        self._flushing = flushing
        self._update = update
        self._dismiss = dismiss
        self._cut = cut

    async def run(self) -> None:
        """For ever; an error in any of them ends all."""
        async with Background() as tasks:
            tasks.start("heartbeat", self._keep_alive())
            tasks.start("count", self._count())
            tasks.start("watch lagging observers", self._watch_lagging())

    async def _watch_lagging(self) -> None:
        while True:
            await self._lagging.wait()
            await asyncio.sleep(_LAGGING_CHECK)
            for observer in self._lagging.take_caught_up():
                self._catch_up(observer, self._audiences[observer.room.key])
            for observer in self._lagging.stuck():
                log.info("cut a line of %s that does not read", observer.user)
                self._dismiss(observer, TOO_SLOW)

    def _catch_up(self, observer: Observer, audience: Audience) -> None:
        audience.catch_up(observer)
        self._flushing.add(audience)
        if observer.view is not None and observer.greeted:
            count = self._update(audience).count(observer, audience.count_to_one())
            observer.wire.write(count, self._heartbeat.turn)

    async def _count(self) -> None:
        while True:
            await next_round(_COUNT_EVERY)
            turns = Turns()
            for audience in list(self._audiences.values()):
                uncounted = audience.take_uncounted(monotonic())
                if uncounted:
                    await self._count_to(audience, uncounted, turns)

    async def _count_to(
        self, audience: Audience, uncounted: Sequence[Observer], turns: Turns
    ) -> None:
        # To all the same: the next time it is compared with this.
        update, counted = self._update(audience), audience.counted
        turn = self._heartbeat.turn
        for observers in slices(uncounted):
            await turns.before(len(observers))
            for observer in observers:
                if observer in audience and observer not in self._lagging:
                    observer.wire.write(update.count(observer, counted), turn)

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(self._heartbeat.interval)
            self._heartbeat.next()
            turns = Turns()
            for audience in list(self._audiences.values()):
                update = self._update(audience)
                for observers in slices(audience.everybody()):
                    await turns.before(len(observers))
                    for observer in observers:
                        self._keep_one_alive(observer, update)

    def _keep_one_alive(self, observer: Observer, update: Update) -> None:
        if observer not in update.audience:
            return
        if observer in self._lagging:
            observer.wire.excuse(self._heartbeat)
            return
        wire, turn = observer.wire, self._heartbeat.turn
        # A page cannot see protocol pings: it takes silence for a dead line.
        if turn - wire.sent >= self._heartbeat.turns and observer.greeted:
            wire.write(update.alive(observer), turn)
        if not wire.keep_alive(self._heartbeat):
            self._cut(observer)
