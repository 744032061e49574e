"""However much comes at once, a turn of the event loop is short, and nobody is left out."""

import asyncio
import socket
from functools import partial

from presence_server import event_loop
from presence_server.event_loop import new_event_loop

CROWD = 4 * event_loop._IN_ONE_TURN


def test_a_crowd_is_heard_in_turns_and_nobody_is_left_out() -> None:
    turns: list[set[int]] = []

    def hear(number: int) -> None:
        turns[-1].add(number)

    async def hear_all() -> None:
        loop = asyncio.get_running_loop()
        pairs = [socket.socketpair() for _ in range(CROWD)]
        for number, (near, far) in enumerate(pairs):
            near.setblocking(False)
            far.send(b"x")
            # Nobody reads: all of them stay ready.
            loop.add_reader(near, partial(hear, number))
        for _ in range(6):
            turns.append(set())
            await asyncio.sleep(0)
        for near, far in pairs:
            loop.remove_reader(near)
            near.close()
            far.close()

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(hear_all())
    assert max(len(turn) for turn in turns) <= event_loop._IN_ONE_TURN
    assert set.union(*turns) == set(range(CROWD))
