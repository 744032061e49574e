import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress

import pytest

from testing.tcp_proxy import Proxy

Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """In front of a server that sends back what it gets."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        echoing.add(task := asyncio.current_task())
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        finally:
            await end(writer)
            echoing.discard(task)

    echoing: set[asyncio.Task[None] | None] = set()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    try:
        async with Proxy(server.sockets[0].getsockname()) as proxy:
            yield proxy
    finally:
        server.close()
        await asyncio.gather(*filter(None, echoing), return_exceptions=True)


@pytest.fixture
async def connect(proxy: Proxy) -> AsyncIterator[Callable[[], Awaitable[Client]]]:
    async with AsyncExitStack() as clients:

        async def open_one() -> Client:
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            clients.push_async_callback(end, writer)
            return reader, writer

        yield open_one


async def say(client: Client, text: bytes, timeout: float = 5) -> bytes:
    client[1].write(text)
    async with asyncio.timeout(timeout):
        return await client[0].readexactly(len(text))


async def end(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()


Connect = Callable[[], Awaitable[Client]]


async def test_what_is_said_passes_both_ways(proxy: Proxy, connect: Connect) -> None:
    client = await connect()
    text = bytes(range(256)) * 2000
    assert await say(client, text) == text
    assert proxy.accepted == 1


async def test_the_end_passes_after_the_last_words(proxy: Proxy, connect: Connect) -> None:
    reader, writer = await connect()
    writer.write(b"goodbye")
    await reader.readexactly(7)
    writer.write_eof()
    async with asyncio.timeout(5):
        assert await reader.read() == b""


async def test_a_delay_holds_each_way_but_does_not_thin_the_stream(
    proxy: Proxy, connect: Connect
) -> None:
    proxy.delay = 0.1
    client = await connect()
    began = asyncio.get_running_loop().time()
    await say(client, b"x" * 1_000_000)
    assert 0.2 <= asyncio.get_running_loop().time() - began < 1


async def test_a_rate_makes_the_way_thin(proxy: Proxy, connect: Connect) -> None:
    proxy.rate = 200_000
    client = await connect()
    began = asyncio.get_running_loop().time()
    await say(client, b"x" * 100_000)
    assert 0.4 <= asyncio.get_running_loop().time() - began < 2


@pytest.mark.parametrize("way", ["up", "down"])
async def test_a_stopped_way_holds_what_is_said_until_it_goes_on(
    proxy: Proxy, connect: Connect, way: str
) -> None:
    client = await connect()
    await say(client, b"hello")
    proxy.stop(way)  # type: ignore[arg-type]
    with pytest.raises(TimeoutError):
        await say(client, b"silence", timeout=0.1)
    proxy.go()
    async with asyncio.timeout(5):
        assert await client[0].readexactly(7) == b"silence"


async def test_a_cut_ends_connections_and_new_ones_are_welcome(
    proxy: Proxy, connect: Connect
) -> None:
    client = await connect()
    await say(client, b"hello")
    proxy.cut()
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await say(client, b"hello")
    assert await say(await connect(), b"hello") == b"hello"


async def test_shut_it_refuses_new_connections_until_it_is_open(
    proxy: Proxy, connect: Connect
) -> None:
    client = await connect()
    await say(client, b"hello")
    proxy.shut()
    with pytest.raises(ConnectionRefusedError):
        await connect()
    assert await say(client, b"still here") == b"still here"
    await proxy.open()
    assert await say(await connect(), b"hello") == b"hello"


async def test_a_server_that_is_not_there_ends_the_connection(
    proxy: Proxy, connect: Connect
) -> None:
    proxy.to = ("127.0.0.1", 1)
    reader, _ = await connect()
    async with asyncio.timeout(5):
        assert await reader.read() == b""
