"""Garbage collection in a process that holds very many objects for a very long time.

A full collection looks at every object of every socket while the event loop waits: half a second
with 10,000 sockets. What has survived one look is therefore set aside, and the next looks only at
what is new: where thousands come at once nearly all that is new stays, and three looks at each
would take a tenth of the processor time. But whatever is set aside and dies later in a cycle stays
for good, and at each moment some connection is under way. So connections leave no cycles behind,
however they end; and should something else do so, all is looked at again before as much again has
gathered.
"""

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

# So many new objects take some five milliseconds, for which the loop waits. There is nothing to be
# looked at in the other generations.
_THRESHOLDS = (5_000, 0, 0)
_EVERYTHING_EVERY = 6 * 3600.0  # seconds
# Blocks of memory by which a process may grow between two looks at everything: to twice as many,
# and by some 20 MiB besides.
_GROWN, _GROWN_BY = 2.0, 200_000


@contextmanager
def short_collections(
    soon: Callable[[Callable[[], None]], object],
    is_crowded: Callable[[], bool] = lambda: False,
    *,
    everything_every: float = _EVERYTHING_EVERY,
) -> Iterator[None]:
    """Collect in such a way while this is open; `soon` calls what it is given, from whichever
    thread, when no collection is under way. While it is crowded nobody has to wait for a look at
    everything, unless it is overdue."""
    everything_due = monotonic() + everything_every
    blocks = _most_blocks()
    is_asked = False

    def set_survivors_aside(phase: str, info: dict[str, Any]) -> None:
        nonlocal is_asked
        if phase == "start":
            return
        gc.freeze()
        is_due = monotonic() >= everything_due or sys.getallocatedblocks() > blocks
        if is_due and not is_asked:
            is_asked = True
            soon(look_at_everything)

    def look_at_everything() -> None:
        nonlocal everything_due, blocks, is_asked
        if is_crowded() and sys.getallocatedblocks() < blocks * _GROWN:
            # The next collection asks again.
            is_asked = False
            return
        gc.unfreeze()
        gc.collect()
        everything_due = monotonic() + everything_every
        blocks = _most_blocks()
        is_asked = False

    before = gc.get_threshold()
    gc.collect()
    gc.callbacks.append(set_survivors_aside)
    gc.set_threshold(*_THRESHOLDS)
    try:
        yield
    finally:
        gc.callbacks.remove(set_survivors_aside)
        gc.set_threshold(*before)
        gc.unfreeze()


def _most_blocks() -> int:
    return int(sys.getallocatedblocks() * _GROWN) + _GROWN_BY


def untie(error: BaseException | None) -> None:
    """Let an error forget where it was raised, and those that it came of.

    What ended something holds it by its traceback, and is often held by it: only a full collection
    would find both, with all that belongs to them.
    """
    while error is not None:
        error.__traceback__ = None
        error = error.__context__
