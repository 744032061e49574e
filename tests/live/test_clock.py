"""When the node is asked what is due."""

import asyncio

import pytest

from presence_server.live.clock import Clock
from presence_server.presence.moment import Moment
from presence_server.presence.timing import BATCHING
from testing.waiting import until


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
    await until(lambda: len(ticks) >= 4, 5)
    assert all(at - asked_at > 0.9 * BATCHING for at, asked_at in zip(ticks, asked, strict=True))
    # And from outside while it waits for the next round.
    ask()
    await until(lambda: len(ticks) >= 5, 5)
    running.cancel()


async def test_what_is_due_by_the_clock_is_seen_to_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("presence_server.live.clock.TICK", 0.01)
    ticks: list[float] = []
    clock = Clock(lambda now: ticks.append(now.elapsed), lambda now: None)
    running = asyncio.create_task(clock.run())
    await until(lambda: len(ticks) >= 5, 5)
    running.cancel()
    assert ticks[4] - ticks[0] > 0.03
