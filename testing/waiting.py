"""Waiting for what can only be asked for: nothing tells when it is so."""

import asyncio
from collections.abc import Callable


async def until(
    true: Callable[[], object], within: float = 15, told: Callable[[], object] | None = None
) -> None:
    """Ask again and again; when it has not become true in time, `told` says what there was."""
    try:
        async with asyncio.timeout(within):
            while not true():
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError("not in time" if told is None else told()) from None
