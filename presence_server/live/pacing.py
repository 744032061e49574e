"""How soon one flush may follow another: by what they cost, and not by a fixed interval."""

# Seconds of CPU time of a flush that is followed by a pause as long as itself. One that costs n
# times as much is followed by n times itself; and by more, with the fourth power of what it takes
# beyond the second of these, while changes come so fast that flushes have to wait: a thousand
# notice nothing of that.
_CHEAP = 0.005
_COSTLY = 0.010
# Seconds from one flush to the next that are enough, as long as half of them is left to others: to
# two thousand, a hundred changes a second are then told within some 0.13 s, and where a write takes
# 20 µs, within 0.15 s.
_OFTEN = 0.1
# What takes more than half of that is told a few times a second, after pauses that grow to so many
# seconds: to ten thousand, a hundred changes a second are then told within some 0.6 s.
_LONGEST = 0.3
# Seconds of pauses that may be put off: changes come at random, and some at once. To two thousand
# eight changes a second are then told as they happen also where a write takes 8 µs.
_CREDIT = 1.0


class Budget:
    """Flushes pay for their CPU time with pauses, and have some credit.

    Few changes are told as they happen, and so are many to few observers. What costs more is told
    together, at longer intervals: whatever happens, half of the time is left to others, and more
    after what is costly, such as a crowd who all come at once.
    """

    def __init__(self, now: float) -> None:
        self._paid_at = now
        # Whether the next flush has to wait.
        self._waits = False

    def spend(self, seconds: float, now: float) -> None:
        """A flush took so much CPU time."""
        pause = max(seconds, self._in_time(seconds), _a_few_times_a_second(seconds))
        self._paid_at = max(self._paid_at, now - seconds) + seconds + pause

    def wait(self, now: float) -> float:
        """Seconds until the next flush may begin."""
        seconds = max(0.0, self._paid_at - _CREDIT - now)
        self._waits = seconds > 0
        return seconds

    def _in_time(self, seconds: float) -> float:
        pause = seconds * seconds / _CHEAP
        if self._waits:
            pause = max(pause, seconds * (seconds / _COSTLY) ** 4)
        return min(pause, _OFTEN - seconds)


def _a_few_times_a_second(seconds: float) -> float:
    return min(seconds * (2 * seconds / _OFTEN) ** 3, _LONGEST)
