"""Whoever comes from another node waits here until that has told all it knew of them."""

import asyncio
from collections import deque
from collections.abc import Callable, Collection

from presence_server.presence.timing import ARRIVAL_WAITS


class Arrivals:
    """`knows(nodes, at)` says whether all is known that those nodes knew at a moment; if so, it is
    of every moment before."""

    def __init__(self, knows: Callable[[Collection[str], float], bool]) -> None:
        self._knows = knows
        # By the nodes from which they come, the first first: when a node is killed, all its people
        # come at once, and each look costs one question and those who may go on.
        self._waiting: dict[frozenset[str], deque[tuple[float, asyncio.Future[None]]]] = {}
        self._ended = False

    async def wait(self, nodes: Collection[str], at: float) -> None:
        """Until a look finds that it is known, for a second at most."""
        if self._ended:
            return
        known: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(frozenset(nodes), deque()).append((at, known))
        try:
            async with asyncio.timeout(ARRIVAL_WAITS):
                await known
        except TimeoutError:
            pass

    def look(self) -> None:
        """Something was heard, or time has passed: whoever waited for that goes on."""
        for nodes, waiting in list(self._waiting.items()):
            while waiting and self._may_go_on(nodes, *waiting[0]):
                _, known = waiting.popleft()
                if not known.done():
                    known.set_result(None)
            if not waiting:
                del self._waiting[nodes]

    def end(self) -> None:
        """The server stops: nobody waits any more, for whoever comes is sent away before that is
        said to other nodes."""
        self._ended = True
        self.look()

    def _may_go_on(
        self, nodes: Collection[str], at: float, known: asyncio.Future[None]
    ) -> bool:
        return self._ended or known.done() or self._knows(nodes, at)
