"""The beat by which lines are kept alive, counted in turns and not in seconds.

After a pause of this process all clocks say that every peer has been silent for long, while their
answers lie unread in the kernel. Between two turns there is always time to read them.
"""

import math
import secrets


class Heartbeat:
    """`turn` counts up, `turns` make one heartbeat, `payload` is what pings of this turn carry."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.turns = max(8, math.ceil(seconds))
        # Seconds of a turn.
        self.interval = seconds / self.turns
        # Turns in which a ping must be answered: with those before it one and a half heartbeats.
        self.patience = self.turns // 2
        self.turn = 0
        self.payload = b""
        self.next()

    def next(self) -> None:
        self.turn += 1
        self.payload = secrets.token_bytes(4)

    def turns_in(self, seconds: float) -> int:
        return max(1, int(seconds / self.interval))
