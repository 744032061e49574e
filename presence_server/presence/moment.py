"""The time at which something happens, as the rules take it in."""

from typing import NamedTuple

from presence_server.presence.timing import CLOCKS_ALIKE


class Moment(NamedTuple):
    """One instant on two clocks, because neither serves both ends.

    `elapsed` is in seconds on a clock that never jumps and is compared only with itself: for
    deadlines. `unix` is the Unix second: for people, who are told since when somebody is here.
    """

    elapsed: float
    unix: int


def seconds_behind(theirs: int, before: int, after: int) -> int:
    """So much another clock is behind that said `theirs` between two seconds of ours; 0: alike."""
    if before - CLOCKS_ALIKE <= theirs <= after + CLOCKS_ALIKE:
        return 0
    return before - theirs if theirs < before else after - theirs
