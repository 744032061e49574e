"""Observers whose peers do not read as fast as there is news for them."""

import asyncio
from time import monotonic
from typing import NamedTuple

from presence_server.live.observer import Observer
from presence_server.live.wire import MOST_WAITING

# Seconds without any progress after which an observer is stuck.
_TOO_LONG = 10.0


class _Progress(NamedTuple):
    """Bytes that waited when a peer last took in some, and when that was."""

    waiting: int
    at: float


class Lagging:
    """Those who are passed over."""

    def __init__(self) -> None:
        self._observers: dict[Observer, _Progress] = {}
        self._some = asyncio.Event()

    def __len__(self) -> int:
        return len(self._observers)

    def __contains__(self, observer: Observer) -> bool:
        return observer in self._observers

    def watch(self, observer: Observer) -> None:
        """It is watched from now on, until it has caught up or is stuck."""
        if observer not in self._observers:
            self._observers[observer] = _Progress(observer.wire.waiting(), monotonic())
            self._some.set()

    def forget(self, observer: Observer) -> None:
        self._observers.pop(observer, None)

    async def wait(self) -> None:
        """Until there are some."""
        if not self._observers:
            self._some.clear()
        await self._some.wait()

    def take_caught_up(self) -> list[Observer]:
        """Those who lag no more."""
        caught_up = [
            observer for observer in self._observers if observer.wire.waiting() <= MOST_WAITING
        ]
        for observer in caught_up:
            self.forget(observer)
        return caught_up

    def stuck(self) -> list[Observer]:
        """Those whose peers have taken in nothing for too long."""
        now = monotonic()
        stuck = []
        for observer, progress in self._observers.items():
            waiting = observer.wire.waiting()
            if waiting < progress.waiting:
                self._observers[observer] = _Progress(waiting, now)
            elif now - progress.at > _TOO_LONG:
                stuck.append(observer)
        return stuck
