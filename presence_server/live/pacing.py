"""How soon one flush may follow another: by what they cost, and not by a fixed interval."""

# Seconds of CPU time of a flush that is followed by a pause as long as itself. One that costs n
# times as much is followed by n times itself, up to so many times itself.
_CHEAP = 0.003
_MOST = 6.0
# Seconds of the longest pause, unless the flush itself took longer: to ten thousand, a hundred
# changes a second are then told within some 0.6 s.
_LONGEST = 0.3
# While changes come so fast that flushes have to wait, the pause grows with the fourth power of
# what one takes beyond this, up to so many seconds, if it is not longer as above: a thousand notice
# nothing of it. To two thousand, a hundred changes a second are then told within some 0.13 s, and
# flushes take an eighth of the time.
_COSTLY = 0.0058
_STEADY = 0.09
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
        pause = max(seconds, min(seconds * min(seconds / _CHEAP, _MOST), _LONGEST))
        if self._waits:
            pause = max(pause, min(seconds * (seconds / _COSTLY) ** 4, _STEADY))
        self._paid_at = max(self._paid_at, now - seconds) + seconds + pause

    def wait(self, now: float) -> float:
        """Seconds until the next flush may begin."""
        seconds = max(0.0, self._paid_at - _CREDIT - now)
        self._waits = seconds > 0
        return seconds
