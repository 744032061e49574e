"""Whether more come than can be let in at once: who waits at the door is not taken for gone."""

import math

# In seconds. Whoever waits for less is as late as by a slow network.
_NOTICED = 0.5
# Within this time of being let in somebody is known to be here, however much else is to be done.
_KNOWN_WITHIN = 1.0


class Crowd:
    """Moments are of the monotonic clock."""

    def __init__(self) -> None:
        self._since = self._until = -math.inf
        # When somebody who had waited was let in last, and until when others may find no place.
        self._let_in = self._full_until = -math.inf

    def note(self, since: float, now: float) -> None:
        """Somebody is let in now who may have waited since then."""
        if now - since < _NOTICED:
            return
        self._let_in = now
        self._begin(since, now)
        # Who finds no room in the kernel's queue tries again after as long as they have tried.
        self._last(now + max(_KNOWN_WITHIN, now - self._since))

    def send_away(self, now: float, retry_after: float) -> None:
        """Somebody finds no place now, and comes again within so many seconds."""
        self._begin(now, now)
        self._full_until = now + retry_after + _KNOWN_WITHIN
        self._last(self._full_until)

    def since(self, now: float) -> float | None:
        """From when on somebody may have come of whom it is not known yet; None: nobody waits."""
        return self._since if now <= self._until else None

    def comes_in(self, now: float) -> bool:
        """Whether people who had to wait are being let in, and all find a place."""
        return now <= self._let_in + _KNOWN_WITHIN and now > self._full_until

    def _begin(self, since: float, now: float) -> None:
        if self.since(now) is None:
            self._since = since

    def _last(self, until: float) -> None:
        self._until = max(self._until, until)
