"""Who has the duty when the one that had it has died, has stopped, or hears nobody."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest

from presence_server.nodes import duty as duty_module
from presence_server.nodes.duty import Duty
from presence_server.storage.database import Database
from testing.waiting import STALL, first_answer, until

LEASE = 1.0


def duty(db: Database, node: str, *, lease: float = LEASE, degraded: bool = False) -> Duty:
    return Duty(
        db, node, lease=lease, alone=False, wanted=lambda: True, degraded=lambda: degraded
    )


@asynccontextmanager
async def running(*several: Duty) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(each.run()) for each in several]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def has_it(one: Duty) -> None:
    await until(lambda: one.term is not None, 40)


@pytest.mark.both_databases
async def test_whoever_began_later_leaves_it_to_those_who_saw_what_is_not_written(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duty_module, "_LEFT_TO_OTHERS", STALL)
    first, second = duty(db, "first"), duty(db, "second")
    async with running(first):
        await has_it(first)
    late = duty(db, "late")
    async with running(late, second):
        await has_it(second)
        assert late.term is None
    # Where there is nobody else it has it all the same.
    monkeypatch.undo()
    latest = duty(db, "latest")
    async with running(latest):
        await has_it(latest)
        assert latest.term is not None and latest.term.number >= 3


async def test_a_turn_that_ends_far_in_the_future_is_by_a_clock_that_was_wrong(
    db: Database,
) -> None:
    first, second = duty(db, "first"), duty(db, "second")
    async with running(first):
        await has_it(first)
    hour = 3_600_000
    await db.write(
        lambda transaction: transaction.execute(
            "UPDATE duty SET renewed_at = renewed_at + $1, ends_at = ends_at + $1", hour
        )
    )
    async with running(second):
        await has_it(second)


async def test_one_that_hears_nobody_gives_way_as_soon_as_it_has_surely_noticed(
    db: Database,
) -> None:
    first, second = duty(db, "first", degraded=True), duty(db, "second")
    async with running(first):
        await has_it(first)
        began = time.monotonic()
        async with running(second):
            await has_it(second)
            assert time.monotonic() - began >= 1.0


async def test_one_that_stops_leaves_it_to_another_at_once(db: Database) -> None:
    second, first = duty(db, "second", lease=60), duty(db, "first", lease=60)
    async with running(first):
        await has_it(first)
        await first.lay_down()
        assert first.term is None
    async with running(first, second):
        await has_it(second)
        assert first.term is None


async def test_a_turn_that_was_over_is_another_one_also_of_the_same_node(db: Database) -> None:
    first = duty(db, "first", lease=0.3)
    async with running(first):
        await has_it(first)
    await until(lambda: first.term is None)
    # It began to be over for the node before it was written how long it lasts.
    ended = partial(db.read, f"SELECT {db.clock} - ends_at, renewed_at FROM duty")
    ((_, renewed_at),) = await first_answer(ended, lambda rows: rows[0][0] > 0)
    async with running(first):
        await has_it(first)
        assert first.term == ("first", 2, renewed_at // 1000, False)


async def test_it_is_noted_how_long_another_had_its_turn(db: Database) -> None:
    first, second = duty(db, "first"), duty(db, "second")
    began = time.monotonic()
    async with running(first):
        await has_it(first)
        assert first.another is None
        async with running(second):
            await until(lambda: second.another is not None)
            seen = second.another
            assert seen is not None and seen[:2] == ("first", 1) and seen.since >= began
            await until(lambda: second.another is not None and second.another.until > seen.until)
            assert second.another is not None and second.another.since == seen.since
