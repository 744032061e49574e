import asyncio
from itertools import pairwise

import pytest

from presence_server.background import Background, next_round_at


async def for_ever() -> None:
    await asyncio.Event().wait()


async def test_work_that_is_cancelled_by_what_it_waits_for_is_an_error() -> None:
    waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def wait() -> None:
        await waiting

    async with asyncio.timeout(15):
        with pytest.raises(ExceptionGroup) as caught:
            async with Background() as work:
                work.start("others", for_ever())
                work.start("reading", wait())
                asyncio.get_running_loop().call_soon(waiting.cancel)
    assert "'reading' was cancelled" in str(caught.value.exceptions[0])


async def test_work_that_just_ends_is_an_error() -> None:
    async with asyncio.timeout(15):
        with pytest.raises(ExceptionGroup) as caught:
            async with Background() as work:
                work.start("others", for_ever())
                work.start("nothing to do", asyncio.sleep(0))
    assert "'nothing to do' has ended" in str(caught.value.exceptions[0])


async def test_work_may_be_stopped() -> None:
    async with asyncio.timeout(15):
        async with Background() as work:
            task = work.start("others", for_ever())
            await asyncio.sleep(0)
            task.cancel()
    assert task.cancelled()


def test_rounds_begin_together_however_long_they_are() -> None:
    tenths = [next_round_at(0.1, 1000.0)]
    while len(tenths) < 40:
        tenths.append(next_round_at(0.1, tenths[-1]))
    assert [b - a for a, b in pairwise(tenths)] == pytest.approx([0.1] * 39)
    for seconds in (0.25, 0.5, 0.7):
        found = next_round_at(seconds, 1000.0)
        assert 0 < found - 1000.0 <= seconds
        assert seconds == 0.25 or min(abs(at - found) for at in tenths) < 1e-6


def test_a_timer_that_is_a_little_early_does_not_begin_a_round_twice() -> None:
    began = next_round_at(0.5, 1000.0)
    for early in (0.0, 1e-9, 1e-7):
        assert next_round_at(0.5, began - early) == pytest.approx(began + 0.5)
