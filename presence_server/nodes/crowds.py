"""A node that starts in the place of one that was killed begins when the crowd is in at the others.

Whom the dead node had come to the others of its machine, all at once. To take over those who are
just coming back there, and to be told of everybody, would take processors from who lets them in.
"""

import asyncio
import logging
import time

from presence_server.background import next_round
from presence_server.crowd import Crowd
from presence_server.nodes.lives import Lives

# Seconds.
_LOOK = 0.25

log = logging.getLogger(__name__)


async def tell_crowds(crowd: Crowd, lives: Lives) -> None:
    """Tell the nodes of this machine whether a crowd comes in here, for ever."""
    told = False
    while True:
        await next_round(_LOOK)
        if crowd.comes_in(time.monotonic()) != told:
            told = not told
            lives.say_crowded(told)


async def let_crowds_in(lives: Lives, longest: float) -> None:
    """Wait, at most so many seconds, if a node of this machine was killed."""
    if not (lives.find_ended() and lives.is_any_crowded()):
        return
    log.info("waiting until those are in who come to the other nodes of this machine")
    until = time.monotonic() + longest
    while lives.is_any_crowded() and time.monotonic() < until:
        await asyncio.sleep(_LOOK)
