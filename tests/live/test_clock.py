"""The node's time: how soon it ticks, and what it takes for a pause."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import chain, repeat

import pytest

from presence_server.live import clock as clock_module
from presence_server.live.clock import Clock, moment
from presence_server.presence.moment import Moment
from presence_server.presence.timing import BATCHING, PAUSE
from testing.waiting import until


class Ticking:
    def __init__(self) -> None:
        self.ticks: list[Moment] = []
        self.woken: list[Moment] = []
        self.clock = Clock(self.ticks.append, self.woken.append)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        running = asyncio.create_task(self.clock.run())
        await asyncio.sleep(0)
        try:
            yield
            assert not running.done()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


def test_a_moment_has_the_time_of_both_clocks() -> None:
    before, now, after = time.monotonic(), moment(), time.monotonic()
    assert before <= now.elapsed <= after
    assert abs(now.unix - time.time()) < 2 and isinstance(now.unix, int)


async def test_what_is_due_soon_waits_for_more_of_its_kind_and_is_not_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("presence_server.live.clock.TICK", 3600.0)
    ticks: list[float] = []
    asked: list[float] = []

    def tick(now: Moment) -> None:
        ticks.append(now.elapsed)
        if len(ticks) < 4:
            ask()
            asyncio.get_running_loop().call_later(BATCHING / 2, clock.tick_soon)

    def ask() -> None:
        asked.append(asyncio.get_running_loop().time())
        clock.tick_soon()

    clock = Clock(tick, lambda now: None)
    # Before it runs, and then within each tick.
    ask()
    running = asyncio.create_task(clock.run())
    await until(lambda: len(ticks) >= 4)
    assert all(at - asked_at > 0.9 * BATCHING for at, asked_at in zip(ticks, asked, strict=True))
    # And from outside while it waits for the next round.
    ask()
    await until(lambda: len(ticks) >= 5)
    running.cancel()


async def test_what_is_due_by_the_clock_is_seen_to_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("presence_server.live.clock.TICK", 0.01)
    ticks: list[float] = []
    clock = Clock(lambda now: ticks.append(now.elapsed), lambda now: None)
    running = asyncio.create_task(clock.run())
    await until(lambda: len(ticks) >= 5)
    running.cancel()
    assert ticks[4] - ticks[0] > 0.03


async def test_a_process_that_stood_still_is_noticed_and_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    began = time.monotonic()
    longest = PAUSE
    ends = [began + 0.1, began + 0.1 + longest - 0.01, began + 0.1 + 2 * longest]
    seconds = chain(ends, repeat(ends[-1]))
    monkeypatch.setattr(clock_module, "moment", lambda: Moment(next(seconds), 7))
    ticking = Ticking()
    with caplog.at_level(logging.WARNING):
        async with ticking.running():
            await until(lambda: len(ticking.ticks) >= 4)
    assert ticking.clock.stalls == 1
    assert caplog.messages == ["this process stood still for 1.1 s"]


async def test_after_a_pause_all_that_came_in_is_seen_to_first() -> None:
    ticking, turns = Ticking(), 0
    async with ticking.running():
        for _ in range(2):
            ticking.clock.breathe()
            woken, turns = len(ticking.woken), 0
            while len(ticking.woken) == woken and turns < 100:
                await asyncio.sleep(0)
                turns += 1
            assert 3 <= turns <= 5
        for _ in range(20):
            await asyncio.sleep(0)
    assert len(ticking.woken) == 2, "once for each pause"
    assert ticking.woken[0].elapsed == pytest.approx(time.monotonic(), abs=5)
