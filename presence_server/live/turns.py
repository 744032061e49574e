"""Turns of the event loop for everybody else, while much is done."""

import asyncio
from collections.abc import Iterator, Sequence
from time import thread_time
from typing import TypeVar

# Seconds of CPU time until the next turn of the event loop: a hundred observers where a write takes
# 7 µs. The clock is looked at behind each so many, in however many rooms.
_LONGEST = 0.0007
_AT_ONCE = 25

T = TypeVar("T")


class Turns:
    """Those that one round through rooms leaves to others, and what it takes itself."""

    def __init__(self) -> None:
        self._done = 0
        self._spent = 0.0
        self._began = thread_time()

    @property
    def spent(self) -> float:
        """Seconds of CPU time; in their turns others spend theirs."""
        return self._spent + thread_time() - self._began

    async def before(self, count: int) -> None:
        """So many observers are next; others come first when enough was done at once."""
        self._done += count
        if self._done <= _AT_ONCE:
            return
        self._done = count
        if thread_time() - self._began < _LONGEST:
            return
        self._spent = self.spent
        await asyncio.sleep(0)
        self._began = thread_time()


def slices(all_of_them: Sequence[T]) -> Iterator[Sequence[T]]:
    """No more of them at a time than are written to without a look at the time."""
    for start in range(0, len(all_of_them), _AT_ONCE):
        yield all_of_them[start : start + _AT_ONCE]
