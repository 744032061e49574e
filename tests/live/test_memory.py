"""What an open socket takes of the server's memory."""

from contextlib import AsyncExitStack

from benchmarks.meters import resident_bytes
from tests.conftest import ServerProcesses, Visit
from tests.raw_peer import RawPeer
from tests.visitor import Visitor

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
