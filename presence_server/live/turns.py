"""Turns of the event loop for everybody else, while much is done."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import TypeVar

# So many observers are written to between two turns of the event loop.
_AT_ONCE = 100

T = TypeVar("T")


async def in_turns(all_of_them: Sequence[T]) -> AsyncIterator[Sequence[T]]:
    """Some of them at a time, with turns of the event loop for everybody else between."""
    for start in range(0, len(all_of_them), _AT_ONCE):
        if start:
            await asyncio.sleep(0)
        yield all_of_them[start : start + _AT_ONCE]
