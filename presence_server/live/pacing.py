"""How soon one flush may follow another: by what they cost, and not by a fixed interval."""

# The part of a processor's time that flushes may take, and the seconds of it that are saved up.
_SHARE = 0.15
_SAVED = 0.03


class Budget:
    """CPU seconds that refill at a fixed rate and of which a little is kept.

    Few changes are told as they happen, and so are many to few observers. What costs more is told
    together, when what has been spent is earned again: whatever happens, most of the time is left
    to others, and so to crowds who come at once.
    """

    def __init__(self, now: float) -> None:
        self._at = now
        self._left = _SAVED

    def spend(self, seconds: float, now: float) -> None:
        self._earn(now)
        self._left -= seconds

    def wait(self, now: float) -> float:
        """Seconds until it is not overdrawn."""
        self._earn(now)
        return max(0.0, -self._left / _SHARE)

    def _earn(self, now: float) -> None:
        self._left = min(_SAVED, self._left + _SHARE * (now - self._at))
        self._at = now
