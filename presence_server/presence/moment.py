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


def seconds_behind(theirs: float, before: float, after: float) -> int:
    """By so much another clock is behind that said `theirs` between two times of ours; 0: alike.

    Not by whole seconds of both: where these differ by two now and then by three, a second that
    goes to and fro would become later each time.
    """
    if before - CLOCKS_ALIKE <= theirs <= after + CLOCKS_ALIKE:
        return 0
    return round(before - theirs if theirs < before else after - theirs)
