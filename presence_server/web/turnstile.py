"""So many requests begin in one turn of the event loop and no more.

A turn lasts as long as all that is done in it, and open sockets are heard and written to once in
each: a crowd of requests at once would make everybody who has a page open wait for all of them.
"""

import asyncio
from collections import deque
from collections.abc import Callable

# Some ten milliseconds of work.
_IN_ONE_TURN = 6


class Turnstile:
    def __init__(self) -> None:
        self._let_in = 0
        self._waiting: deque[tuple[asyncio.Future[None], Callable[[], bool]]] = deque()

    async def enter(self, is_gone: Callable[[], bool]) -> None:
        """Wait for a turn with room in it; those who came before go first, and those who are gone
        by then take no room."""
        if not self._let_in:
            asyncio.get_running_loop().call_soon(self._next_turn)
        if self._let_in < _IN_ONE_TURN and not self._waiting:
            self._let_in += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((turn, is_gone))
        await turn

    def _next_turn(self) -> None:
        self._let_in = 0
        while self._waiting and self._let_in < _IN_ONE_TURN:
            turn, is_gone = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._let_in += not is_gone()
        if self._let_in:
            asyncio.get_running_loop().call_soon(self._next_turn)
