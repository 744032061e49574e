"""Waiting for what can only be asked for: nothing tells when it is so."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

# What other work of a machine may add to any wait, in seconds. How quick the server is, is
# measured by benchmarks and drill; a test only tells what was meant from what was not.
STALL = 5.0


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


async def first_answer(
    ask: Callable[[], Awaitable[T]], holds: Callable[[T], object], within: float = 15
) -> T:
    """Ask somebody else again and again; the first answer of which it holds."""
    last: list[T] = []

    async def found() -> T:
        while not holds(answer := await ask()):
            last[:] = [answer]
            await asyncio.sleep(0.05)
        return answer

    try:
        return await asyncio.wait_for(found(), within)
    except TimeoutError:
        raise AssertionError(f"not in time: {last}") from None


async def listening(port: int, within: float = 20) -> None:
    """Until a program of others takes connections, which says so to nobody."""
    async with asyncio.timeout(within):
        while True:
            try:
                _, writer = await asyncio.open_connection("localhost", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


async def says_it_listens(server: asyncio.subprocess.Process, within: float) -> None:
    """A server whose output is read by nobody else."""
    assert server.stdout is not None
    async with asyncio.timeout(within):
        while not (line := await server.stdout.readline()).startswith(b"Listening on "):
            assert line, "it ended"
