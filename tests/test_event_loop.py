"""However much comes at once, a turn of the event loop is short, and nobody is left out."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from presence_server import event_loop
from presence_server.event_loop import new_event_loop

CROWD = 4 * event_loop._IN_ONE_TURN


TURNS = 6


@contextmanager
def ready_sockets(hear: Callable[[int], None]) -> Iterator[None]:
    """A crowd whom nobody reads: all of them stay ready."""
    loop = asyncio.get_running_loop()
    pairs = [socket.socketpair() for _ in range(CROWD)]
    for number, (near, far) in enumerate(pairs):
        near.setblocking(False)
        far.send(b"x")
        loop.add_reader(near, partial(hear, number))
    try:
        yield
    finally:
        for near, far in pairs:
            loop.remove_reader(near)
            near.close()
            far.close()


def test_a_crowd_is_heard_in_turns_and_nobody_is_left_out() -> None:
    turns: list[set[int]] = []

    def hear(number: int) -> None:
        turns[-1].add(number)

    async def hear_all() -> None:
        with ready_sockets(hear):
            for _ in range(TURNS):
                turns.append(set())
                await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(hear_all())
    assert max(len(turn) for turn in turns) <= event_loop._IN_ONE_TURN
    assert set.union(*turns) == set(range(CROWD))


def test_what_was_opened_from_here_is_heard_in_every_turn_of_a_crowd() -> None:
    """Such as the connection to Redis, on which other nodes speak."""
    heard: list[int] = []

    async def hear() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as opened:
            opened.setblocking(False)
            await loop.sock_connect(opened, server.getsockname())
            accepted, _ = server.accept()
            accepted.send(b"x")
            with accepted, ready_sockets(lambda number: None):
                loop.add_reader(opened, heard.append, 0)
                for _ in range(TURNS):
                    await asyncio.sleep(0)
                loop.remove_reader(opened)
                await asyncio.sleep(0)
                opened.close()
                await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(hear())
    assert len(heard) in (TURNS - 1, TURNS)
