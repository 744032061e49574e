"""Garbage collection in a process that holds very many objects for a very long time.

A full collection looks at every object of every socket while the event loop waits: half a second
with 10,000 sockets. What has survived one is therefore set aside, and the next looks only at what
is new. Sockets, which come and go, leave no cycles behind; for whatever else might, once in a while
everything is looked at again.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

# Each thousand new objects take about a millisecond in each of the two collections before a full
# one, and the loop waits for that, too.
_THRESHOLDS = (600, 4, 2)
_EVERYTHING_EVERY = 6 * 3600.0  # seconds


@contextmanager
def short_collections(everything_every: float = _EVERYTHING_EVERY) -> Iterator[None]:
    """Collect in such a way while this is open."""
    everything_due = monotonic() + everything_every

    def set_survivors_aside(phase: str, info: dict[str, Any]) -> None:
        nonlocal everything_due
        if info["generation"] < 2:
            return
        if phase == "stop":
            gc.freeze()
        elif monotonic() >= everything_due:
            everything_due = monotonic() + everything_every
            gc.unfreeze()

    before = gc.get_threshold()
    gc.callbacks.append(set_survivors_aside)
    gc.collect()
    gc.set_threshold(*_THRESHOLDS)
    try:
        yield
    finally:
        gc.callbacks.remove(set_survivors_aside)
        gc.set_threshold(*before)
        gc.unfreeze()
