"""An event loop whose turns are short.

asyncio handles in one turn all that has come by then, and whatever follows from it in the next: a
thousand connections that end together would make everybody wait until all of them are cleared away.
"""

import asyncio
import math
import select
import selectors

# Sockets that are heard in one turn. Each of them costs up to a tenth of a millisecond.
_IN_ONE_TURN = 128


def new_event_loop() -> asyncio.AbstractEventLoop:
    return asyncio.SelectorEventLoop(_Selector())


class _Selector(selectors.EpollSelector):
    """The kernel names those that are ready in turns: who is left out is the first of the next
    turn. What was cut off from a longer answer would be left out again and again."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        # Rounded up: not to wake a moment too early, again and again.
        patience = -1 if timeout is None else math.ceil(max(0.0, timeout) * 1e3) * 1e-3
        found = []
        epoll: select.epoll = self._selector  # type: ignore[attr-defined]  # not in its type
        for descriptor, said in epoll.poll(patience, _IN_ONE_TURN):
            key = self.get_map().get(descriptor)
            if key is None:
                continue
            events = selectors.EVENT_WRITE if said & ~select.EPOLLIN else 0
            events |= selectors.EVENT_READ if said & ~select.EPOLLOUT else 0
            found.append((key, events & key.events))
        return found
