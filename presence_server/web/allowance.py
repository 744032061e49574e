"""How much may come over a line, by bytes and reads, before it is parsed.

Messages are counted after that; but a message may be without end, and come in frames of no bytes.
"""

# What twenty messages of 16 KiB in ten seconds take, and a hundred pings.
_BURST = 400 * 1024
_PER_SECOND = _BURST / 10
# What a read costs beside its bytes.
_READ = 256


class Allowance:
    __slots__ = ("_left", "_at")

    def __init__(self, now: float) -> None:
        self._left = float(_BURST)
        self._at = now

    def take(self, size: int, now: float) -> int:
        """How many bytes of a read may be parsed; with fewer than all it was too much."""
        left = min(_BURST, self._left + _PER_SECOND * (now - self._at)) - _READ
        self._left, self._at = left - size, now
        return max(0, min(size, int(left)))
