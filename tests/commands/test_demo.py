"""The made-up people of the demo, without a server."""

import asyncio
import random
import socket
from collections.abc import Iterable
from pathlib import Path

from presence_server.commands.demo_site import _Crowd
from presence_server.presence.commands import Breathe, Command
from presence_server.presence.moment import Moment
from presence_server.presence.node import Node
from testing.processes import launch

PEOPLE = [f"person{number:03}" for number in range(300)]
NOW = 1_795_420_800
SECONDS = 0.4  # between two who do something


def test_as_many_are_here_after_hours_and_most_have_been_for_long() -> None:
    node = Node("d" * 16, grace=8, lease=10, now=Moment(0, NOW))

    def carry_out(commands: Iterable[Command]) -> None:
        if Breathe() in commands:
            node.woke(Moment(0, NOW))

    crowd = _Crowd(node, carry_out, PEOPLE, random.Random(1))
    crowd.gather(NOW)
    counts, now = [], float(NOW)
    for act in range(12_000):
        now += SECONDS
        crowd.act(now)
        if act % 500 == 0:
            counts.append(len(node.rooms.own.roster.here))
    here = node.rooms.own.roster.here.values()
    assert all(90 <= count <= 150 for count in counts), counts
    for_long = [person for person in here if now - person.since > 10 * 60]
    assert len(for_long) > len(here) / 2


async def test_nobody_is_invited_to_a_port_that_is_taken(tmp_path: Path) -> None:
    log_file = tmp_path / "demo.log"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = await launch("demo", f"--port={port}", "--bcrypt-cost=4", log_file=log_file)
        async with asyncio.timeout(60):
            said, _ = await process.communicate()
    assert (process.returncode, said) == (2, b"")
    assert "Address already in use" in log_file.read_text("utf-8")
