import asyncio
from collections.abc import Collection

import pytest

from presence_server.live import arrivals
from presence_server.live.arrivals import Arrivals

PEOPLE = 1_000


async def test_all_whose_node_was_killed_come_without_many_questions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(arrivals, "ARRIVAL_WAITS", 60)
    known, asked = -1, 0

    def knows(nodes: Collection[str], at: float) -> bool:
        nonlocal asked
        asked += 1
        return at <= known

    coming = Arrivals(knows)
    waits = [asyncio.create_task(coming.wait(["one"], at)) for at in range(PEOPLE)]
    await asyncio.sleep(0)
    for _ in range(PEOPLE):
        coming.look()
    assert asked == PEOPLE
    known = PEOPLE // 2
    coming.look()
    done, waiting = await asyncio.wait(waits, timeout=0.1)
    assert (len(done), len(waiting)) == (known + 1, PEOPLE - known - 1)
    assert asked <= 2 * PEOPLE
    # Whoever has gone meanwhile holds nobody up.
    waits[known + 1].cancel()
    await asyncio.sleep(0)
    known = PEOPLE
    coming.look()
    assert len((await asyncio.wait(waits, timeout=15))[0]) == PEOPLE


async def test_nobody_waits_for_long_for_a_node_that_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(arrivals, "ARRIVAL_WAITS", 0.05)
    asked = 0

    def knows(nodes: Collection[str], at: float) -> bool:
        nonlocal asked
        asked += 1
        return False

    coming = Arrivals(knows)
    async with asyncio.timeout(15):
        await coming.wait(["one"], 0)
    coming.look()
    assert asked == 0 and not coming._waiting, "nobody waits any more"


async def test_nobody_waits_at_a_server_that_stops() -> None:
    coming = Arrivals(lambda nodes, at: False)
    waits = [asyncio.create_task(coming.wait([node], 0)) for node in ("one", "two")]
    await asyncio.sleep(0)
    coming.end()
    await asyncio.sleep(0)
    assert all(wait.done() for wait in waits)
    late = asyncio.create_task(coming.wait(["one"], 0))
    await asyncio.sleep(0)
    assert late.done()
