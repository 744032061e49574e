"""So many requests begin, or go on to the rest of their work, in one turn of the event loop.

A turn lasts as long as all that is done in it, and open sockets are heard and written to once in
each: a crowd of requests at once would make everybody who has a page open wait for all of them.
What they wait for comes for many at once, so they are let in again before a page is made.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from aiohttp import web

from presence_server.crowd import Crowd

# Some ten milliseconds of work.
_IN_ONE_TURN = 6
# To find that one is gone is work, too, if little.
_GONE_IN_ONE_TURN = 60

_Waiting = deque[tuple[asyncio.Future[None], Callable[[], bool]]]


class Turnstile:
    """Notes in `crowd` for how long people wait."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._let_in = 0
        self._expecting = False
        self._beginning: _Waiting = deque()
        self._going_on: _Waiting = deque()

    async def enter(self, is_gone: Callable[[], bool]) -> None:
        """Begin in a turn with room in it; those who came before go first, and those who are gone
        by then take little room."""
        await self._pass(self._beginning, is_gone)

    async def go_on(self) -> None:
        """Go on in a turn with room in it, before those who have not begun."""
        await self._pass(self._going_on, lambda: False)

    async def _pass(self, queue: _Waiting, is_gone: Callable[[], bool]) -> None:
        self._expect_turn()
        if self._let_in < _IN_ONE_TURN and not self._next_queue():
            self._let_in += 1
            return
        loop = asyncio.get_running_loop()
        turn, came = loop.create_future(), loop.time()
        queue.append((turn, is_gone))
        await turn
        self._crowd.note(came, loop.time())

    def _expect_turn(self) -> None:
        if not self._expecting:
            self._expecting = True
            asyncio.get_running_loop().call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._expecting = False
        self._let_in = gone = 0
        while self._let_in < _IN_ONE_TURN and gone < _GONE_IN_ONE_TURN:
            if not (queue := self._next_queue()):
                break
            turn, is_gone = queue.popleft()
            if turn.done() or is_gone():
                gone += 1
            else:
                self._let_in += 1
            if not turn.done():
                turn.set_result(None)
        if self._let_in or gone:
            self._expect_turn()

    def _next_queue(self) -> _Waiting:
        return self._going_on or self._beginning


TURNSTILE = web.AppKey("TURNSTILE", Turnstile)
