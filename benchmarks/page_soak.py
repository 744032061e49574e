"""`make soak PART=page`: a page with the client while people come and go for an hour.

Its memory must stay as it was, and a newcomer must see the first person as soon after it as before.
"""

import statistics
from collections.abc import Sequence

from benchmarks.client import first_person, heap

# A page in whose room somebody comes or goes every so many seconds.
CHANGE_EACH = 0.05
# The first part fills what is kept once, and is not judged.
WARM_UP = 0.25
MOST_GROWN = 1024 * 1024  # bytes
# Milliseconds until a newcomer sees the first person.
SOON = 1_000.0
LOADS = 10


def growth(samples: Sequence[tuple[float, int]]) -> float:
    """Bytes by which the memory grew from the first sample to the last, by the line through all."""
    if len(samples) < 3:
        return 0.0
    seconds, sizes = zip(*samples)
    slope = statistics.linear_regression(seconds, sizes).slope
    return float(slope * (seconds[-1] - seconds[0]))


def churned(seconds: float) -> list[str]:
    """What is not as it should be with a page after that time, a sentence each."""
    samples = [sample for sample in heap(seconds, CHANGE_EACH) if sample[0] >= WARM_UP * seconds]
    grown = growth(samples)
    first, last = samples[0][1], samples[-1][1]
    print(
        f"page: memory {first / 2**20:.2f} MiB, then {last / 2**20:.2f}, "
        f"grown by {grown / 1024:.0f} KiB"
    )
    return [f"a page grew by {grown / 1024:.0f} KiB"] if grown > MOST_GROWN else []


def soak_page(minutes: float, loads: int = LOADS) -> list[str]:
    """The same, and how soon newcomers see somebody before it and after it."""
    before = first_person(loads)
    found = churned(60 * minutes)
    after = first_person(loads)
    print(f"page: first person on screen after {before:.0f} ms, and in the end {after:.0f} ms")
    late = [shown for shown in (before, after) if shown > SOON]
    return found + [f"the first person was on screen after {shown:.0f} ms" for shown in late]
