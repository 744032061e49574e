"""So many requests begin, or go on to the rest of their work, in one turn of the event loop.

A turn lasts as long as all that is done in it, and open sockets are heard and written to once in
each: a crowd of requests at once would make everybody who has a page open wait for all of them.
What they wait for comes for many at once, so they are let in again before a page is made.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from aiohttp import web

# Some ten milliseconds of work.
_IN_ONE_TURN = 6

_Waiting = deque[tuple[asyncio.Future[None], Callable[[], bool]]]


class Turnstile:
    def __init__(self) -> None:
        self._let_in = 0
        self._beginning: _Waiting = deque()
        self._going_on: _Waiting = deque()

    async def enter(self, is_gone: Callable[[], bool]) -> None:
        """Begin in a turn with room in it; those who came before go first, and those who are gone
        by then take no room."""
        await self._pass(self._beginning, is_gone)

    async def go_on(self) -> None:
        """Go on in a turn with room in it, before those who have not begun."""
        await self._pass(self._going_on, _is_here)

    async def _pass(self, line: _Waiting, is_gone: Callable[[], bool]) -> None:
        if not self._let_in:
            asyncio.get_running_loop().call_soon(self._next_turn)
        if self._let_in < _IN_ONE_TURN and not self._next_line():
            self._let_in += 1
            return
        turn = asyncio.get_running_loop().create_future()
        line.append((turn, is_gone))
        await turn

    def _next_turn(self) -> None:
        self._let_in = 0
        while self._let_in < _IN_ONE_TURN and (line := self._next_line()):
            turn, is_gone = line.popleft()
            if not turn.done():
                turn.set_result(None)
                self._let_in += not is_gone()
        if self._let_in:
            asyncio.get_running_loop().call_soon(self._next_turn)

    def _next_line(self) -> _Waiting:
        return self._going_on or self._beginning


TURNSTILE = web.AppKey("TURNSTILE", Turnstile)


def _is_here() -> bool:
    return False
