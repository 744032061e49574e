"""What is due when, in the order of time."""

from collections.abc import Callable, Hashable, Iterator
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Deadlines(Generic[K]):
    def __init__(self) -> None:
        self._at: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        # Keys need not be comparable.
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._at)

    def put(self, key: K, at: float) -> None:
        """Let a key be due at a time, whatever was said of it before."""
        self._at[key] = at
        heappush(self._heap, (at, next(self._numbers), key))
        if len(self._heap) > 2 * len(self._at) + 64:
            self._rebuild()

    def put_new(self, key: K, at: float) -> None:
        """As put(), unless something has been said of the key."""
        if key not in self._at:
            self.put(key, at)

    def drop(self, key: K) -> None:
        self._at.pop(key, None)

    def take(self, now: float) -> Iterator[K]:
        """The keys that are due by now; they are forgotten."""
        while self._heap and self._heap[0][0] <= now:
            at, _, key = heappop(self._heap)
            if self._at.get(key) == at:
                del self._at[key]
                yield key

    def move(self, to: Callable[[K, float], float]) -> None:
        """Give every key another time."""
        self._at = {key: to(key, at) for key, at in self._at.items()}
        self._rebuild()

    def _rebuild(self) -> None:
        self._heap = [(at, next(self._numbers), key) for key, at in self._at.items()]
        heapify(self._heap)
