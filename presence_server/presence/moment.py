"""The time at which something happens, as the rules take it in."""

from typing import NamedTuple


class Moment(NamedTuple):
    """One instant on two clocks, because neither serves both ends.

    `elapsed` is in seconds on a clock that never jumps and is compared only with itself: for
    deadlines. `unix` is the Unix second: for people, who are told since when somebody is here.
    """

    elapsed: float
    unix: int
