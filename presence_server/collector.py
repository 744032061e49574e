"""Garbage collection in a process that holds very many objects for a very long time.

A full collection looks at every object of every socket while the event loop waits: half a second
with 10,000 sockets. What has survived one is therefore set aside, and the next looks only at what
is new. But whatever is set aside and dies later in a cycle stays for good, and at each moment some
connection is under way. So connections leave no cycles behind, however they end; and should
something else do so, all is looked at again before half as much again has gathered.
"""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

# Each thousand new objects take about a millisecond in each of the two collections before a full
# one, and the loop waits for that, too.
_THRESHOLDS = (600, 4, 2)
_EVERYTHING_EVERY = 6 * 3600.0  # seconds
# Blocks of memory by which a process may grow between two looks at everything: by half, and by
# some 20 MiB besides.
_GROWN, _GROWN_BY = 1.5, 200_000


@contextmanager
def short_collections(everything_every: float = _EVERYTHING_EVERY) -> Iterator[None]:
    """Collect in such a way while this is open."""
    everything_due = monotonic() + everything_every
    blocks = sys.maxsize
    seen = False

    def set_survivors_aside(phase: str, info: dict[str, Any]) -> None:
        nonlocal everything_due, blocks, seen
        if info["generation"] < 2:
            return
        if phase == "start":
            seen = monotonic() >= everything_due or sys.getallocatedblocks() > blocks
            if seen:
                gc.unfreeze()
            return
        gc.freeze()
        if seen:
            everything_due = monotonic() + everything_every
            blocks = int(sys.getallocatedblocks() * _GROWN) + _GROWN_BY

    before = gc.get_threshold()
    gc.collect()
    blocks = int(sys.getallocatedblocks() * _GROWN) + _GROWN_BY
    gc.callbacks.append(set_survivors_aside)
    gc.set_threshold(*_THRESHOLDS)
    try:
        yield
    finally:
        gc.callbacks.remove(set_survivors_aside)
        gc.set_threshold(*before)
        gc.unfreeze()


def untie(error: BaseException | None) -> None:
    """Let an error forget where it was raised, and those that it came of.

    What ended something holds it by its traceback, and is often held by it: only a full collection
    would find both, with all that belongs to them.
    """
    while error is not None:
        error.__traceback__ = None
        error = error.__context__
