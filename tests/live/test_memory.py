"""What an open socket takes of the server's memory."""

import gc
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import CoroutineType

import pytest
from aiohttp import web

from testing.meters import resident_bytes
from presence_server.accounts.sessions import Session
from presence_server.app import create_app
from presence_server.config import Config
from presence_server.resources import ROOT
from presence_server.web.runner import Runner
from tests.conftest import ServerProcesses, Visit
from testing.raw_peer import RawPeer
from testing.visitor import Visitor
from testing.waiting import until

WARM_UP = 30
SOCKETS = 100
LONG_HEADERS = "".join(f"X-Long-{number}: {7000 * 'x'}\r\n" for number in range(2))

_CROWD_OF_WRITERS = """
import asyncio, pathlib, sys, tracemalloc
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import StreamWriter
from presence_server.app import create_app
from presence_server.config import Config
from presence_server.web.runner import Runner

async def main():
    app = create_app(Config(database=pathlib.Path(sys.argv[1])))
    runner = Runner(app, keepalive_timeout=15, shutdown_timeout=1)
    await runner.setup()
    loop = asyncio.get_running_loop()
    writers = [StreamWriter(BaseProtocol(loop), loop) for _ in range(1000)]
    tracemalloc.start()
    for writer in writers:
        writer.buffer_size = writer.output_size = 1
    print(tracemalloc.get_traced_memory()[0] // len(writers))
    await runner.cleanup()

asyncio.run(main())
"""


async def connect(stack: AsyncExitStack, visitor: Visitor, count: int) -> None:
    for _ in range(count):
        peer = await stack.enter_async_context(RawPeer.of(visitor, headers=LONG_HEADERS))
        await peer.frame()


async def test_a_socket_does_not_keep_the_headers_of_its_handshake(
    server_process: ServerProcesses, visit: Visit
) -> None:
    server = await server_process(max_sockets_per_user=0, max_sockets_per_address=0)
    alice = await visit(server, "alice")
    async with AsyncExitStack() as stack:
        await connect(stack, alice, WARM_UP)
        before = resident_bytes(server.pid)
        await connect(stack, alice, SOCKETS)
        grown = (resident_bytes(server.pid) - before) / SOCKETS
    assert grown < 26 * 1024


async def test_a_socket_that_has_ended_is_gone_without_a_collection(alice: Visitor) -> None:
    await end_sockets(alice)


async def test_a_socket_keeps_nothing_of_what_only_its_request_needed(alice: Visitor) -> None:
    async with alice.live() as socket:
        await socket.first()
        things = gc.get_objects()
        checks = {each.__name__ for each in things if isinstance(each, CoroutineType)}
        assert "live" in checks and not checks & {"known_host", "same_origin", "__anext__"}
        assert not any(isinstance(each, Session) for each in things)


def test_the_writers_of_a_crowd_that_comes_first_have_no_dicts(tmp_path: Path) -> None:
    """In a process of its own: what the first objects of a class have decides for all others."""
    program = [sys.executable, "-c", _CROWD_OF_WRITERS, str(tmp_path / "presence.sqlite3")]
    done = subprocess.run(program, cwd=ROOT, stdout=subprocess.PIPE, check=True, timeout=60)
    assert int(done.stdout) < 50


@pytest.fixture
async def alice(config: Callable[..., Config]) -> AsyncIterator[Visitor]:
    """Whose server is in this process."""
    runner = Runner(create_app(config()), keepalive_timeout=15, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        async with Visitor.at(f"http://{host}:{port}") as alice:
            await alice.enter("alice")
            yield alice
    finally:
        await runner.cleanup()


async def end_sockets(alice: Visitor) -> None:
    gc.collect()
    gc.disable()
    try:
        async with alice.live() as socket:
            await socket.first()
        async with RawPeer.of(alice) as peer:
            await peer.frame()
        async with RawPeer.of(alice) as peer:
            peer.reset()
        await until(lambda: not sockets_left(), 10)
    finally:
        gc.enable()


def sockets_left() -> int:
    return sum(isinstance(thing, web.WebSocketResponse) for thing in gc.get_objects())
