"""What an open socket takes of the server's memory."""

import gc
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from types import CoroutineType

import pytest
from aiohttp import web

from testing.meters import resident_bytes
from presence_server.accounts.sessions import Session
from presence_server.app import create_app
from presence_server.config import Config
from presence_server.web.runner import Runner
from tests.conftest import ServerProcesses, Visit
from testing.raw_peer import RawPeer
from testing.visitor import Visitor
from testing.waiting import until

WARM_UP = 30
SOCKETS = 100
LONG_HEADERS = "".join(f"X-Long-{number}: {7000 * 'x'}\r\n" for number in range(2))


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
        assert "live" in checks and not checks & {"known_host", "same_origin"}
        assert not any(isinstance(each, Session) for each in things)


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
