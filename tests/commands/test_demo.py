"""The made-up people of the demo, without a server."""

import asyncio
import random
import socket
from collections.abc import Callable, Iterable
from pathlib import Path

import aiohttp

from presence_server.app import create_app
from presence_server.commands import elements
from presence_server.commands.demo_site import _Crowd
from presence_server.config import Config
from presence_server.presence.commands import Breathe, Command
from presence_server.presence.moment import Moment
from presence_server.presence.node import Node
from testing.processes import launch
from tests.conftest import ServeApp

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


async def test_a_site_below_a_path_is_named_with_it_once(
    config: Callable[..., Config], serve_app: ServeApp
) -> None:
    app = create_app(config(public_url="http://127.0.0.1/demo"))
    elements.furnish(app, PEOPLE)
    server = await serve_app(app)
    url = server.make_url("/demo/elements/")
    async with aiohttp.ClientSession() as http, http.get(url) as page:
        assert "http://127.0.0.1/demo/client/v1/presence.js" in await page.text()
