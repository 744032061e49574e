"""Queues that people wait in: they have an end in length, in time, and with whoever waits."""

import asyncio
from collections import OrderedDict, deque
from dataclasses import dataclass

# Seconds after which nobody need wait any more: a browser, or a proxy, would give up soon.
LONGEST = 30.0


class PasswordsBusy(Exception):
    """Too many are waiting to have a password hashed; a later try may do."""


@dataclass(frozen=True, slots=True)
class Waiter:
    """Who waits: `share` is what takes turns with others, and `gone` is done when nobody wants the
    answer any more."""

    share: bytes = b""
    gone: asyncio.Future[None] | None = None


ANYBODY = Waiter()


class Queue:
    """Shares take turns, and when the queue is full, who has the largest gives way: nobody keeps
    others out by waiting many times."""

    def __init__(self, most: int) -> None:
        self._most = most
        # Those that wait, by share; the next in turn first.
        self._shares: OrderedDict[bytes, deque[asyncio.Future[None]]] = OrderedDict()
        self._length = 0

    def is_full(self, share: bytes) -> bool:
        """Whether there is no room for one more of this share."""
        return self._length >= self._most and self._gives_way(share) is None

    def join(self, share: bytes) -> asyncio.Future[None]:
        """Done when it is one's turn, cancelled when somebody else needs the room more.

        Raises PasswordsBusy."""
        if self._length >= self._most:
            largest = self._gives_way(share)
            if largest is None:
                raise PasswordsBusy("too many passwords are waiting to be checked")
            last = self._shares[largest][-1]
            self._take_out(largest, last)
            last.cancel()
        turn = asyncio.get_running_loop().create_future()
        self._shares.setdefault(share, deque()).append(turn)
        self._length += 1
        return turn

    def leave(self, share: bytes, turn: asyncio.Future[None]) -> bool:
        """Stop waiting. False if it was one's turn already: somebody else may have it."""
        if turn in self._shares.get(share, ()):
            self._take_out(share, turn)
            return True
        return turn.cancelled()

    def next(self) -> bool:
        """Let the next one in; False if nobody waits."""
        if not self._shares:
            return False
        share = next(iter(self._shares))
        turn = self._shares[share][0]
        self._shares.move_to_end(share)
        self._take_out(share, turn)
        turn.set_result(None)
        return True

    def send_away(self) -> None:
        """Nobody in the queue will have a turn."""
        for turns in self._shares.values():
            for turn in turns:
                turn.cancel()
        self._shares.clear()
        self._length = 0

    def _gives_way(self, share: bytes) -> bytes | None:
        largest = max(self._shares, key=lambda name: len(self._shares[name]))
        mine = len(self._shares.get(share, ()))
        return largest if len(self._shares[largest]) > mine + 1 else None

    def _take_out(self, share: bytes, turn: asyncio.Future[None]) -> None:
        self._shares[share].remove(turn)
        self._length -= 1
        if not self._shares[share]:
            del self._shares[share]


async def patiently(turn: asyncio.Future[None], gone: asyncio.Future[None] | None) -> None:
    """Wait for a turn. Raises PasswordsBusy when there will be none, or not in time, and
    ConnectionResetError when nobody wants it any more."""
    awaited = {turn} if gone is None else {turn, gone}
    await asyncio.wait(awaited, timeout=LONGEST, return_when=asyncio.FIRST_COMPLETED)
    if turn.done() and not turn.cancelled():
        return
    if gone is not None and gone.done():
        raise ConnectionResetError("gone before it was its turn")
    raise PasswordsBusy("waited too long, or others needed the room more")
