"""Where a server listens: on several addresses, on both families, on a socket file."""

import asyncio
import itertools
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from presence_server import listening
from presence_server.config import ConfigError
from presence_server.crowd import Crowd
from presence_server.listening import open_listeners, serve_at
from testing.processes import ServerProcess
from testing.visitor import Visitor
from testing.waiting import until
from tests.conftest import ServerProcesses, Visit


@asynccontextmanager
async def through_file(path: Path) -> AsyncIterator[Visitor]:
    async with aiohttp.ClientSession(
        connector=aiohttp.UnixConnector(str(path)), cookie_jar=aiohttp.CookieJar(unsafe=True)
    ) as http:
        yield Visitor("http://localhost", http)


async def test_two_colons_are_both_families(server_process: ServerProcesses, visit: Visit) -> None:
    server = await server_process(host="::")
    assert server.url.startswith("http://[::]:")
    for host in ("127.0.0.1", "[::1]"):
        visitor = await visit(f"http://{host}:{server.port}")
        assert (await visitor.get("/log_in/")).status == 200
        await visitor.get("/", headers={"User-Agent": host})
    # An address of the older family is written as such.
    await server.logged("address=127.0.0.1 ")
    await server.logged("address=::1 ")


async def test_several_addresses_share_a_port(
    server_process: ServerProcesses, visit: Visit
) -> None:
    server = await server_process(host="127.0.0.1,127.0.0.2,[::1]")
    port = server.port
    assert server.url == (
        f"http://127.0.0.1:{port}, http://127.0.0.2:{port}, http://[::1]:{port}"
    )
    for host in ("127.0.0.1", "127.0.0.2", "[::1]"):
        visitor = await visit(f"http://{host}:{port}")
        assert (await visitor.get("/healthz")).status == 200


@pytest.mark.parametrize(
    "host", ["127.0.0.1,localhost,127.0.0.1", "127.0.0.1,0.0.0.0", "::1,::,0.0.0.0,127.0.0.1"]
)
async def test_an_address_that_another_stands_for_is_taken_once(host: str) -> None:
    with ExitStack() as stack:
        opened = await open_listeners(stack, host, 0, "--host")
        for listener in map(stack.enter_context, opened.listeners):
            # Two of which each is bound already can still be in each other's way here.
            listener.listen()
        port = opened.listeners[0].getsockname()[1]
        urls = [f"[{place}]" if ":" in place else place for place in dict.fromkeys(host.split(","))]
        assert opened.where == ", ".join(f"http://{url}:{port}" for url in urls)
        socket.create_connection(("127.0.0.1", port)).close()


async def test_of_two_that_take_an_address_in_the_same_moment_one_ends_with_a_sentence() -> None:
    with ExitStack() as stack:
        first = await open_listeners(stack, "127.0.0.1", 0, "--host")
        (listener,) = map(stack.enter_context, first.listeners)
        port = listener.getsockname()[1]
        second = await open_listeners(stack, "127.0.0.1", port, "--host")
        (other,) = map(stack.enter_context, second.listeners)
        listener.listen()
        runner = web.AppRunner(web.Application())
        await runner.setup()
        with pytest.raises(ConfigError, match="--host: cannot listen on .* already in use"):
            await serve_at(runner, second, "--host")
        await runner.cleanup()
        other.close()


async def test_a_socket_file_serves_pages_and_sockets_and_goes_with_the_server(
    server_process: ServerProcesses, tmp_path: Path
) -> None:
    path = tmp_path / "presence.sock"
    server = await server_process(host=f"unix:{path}")
    assert server.url == f"unix:{path}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    async with through_file(path) as alice:
        # Who can open the file is a proxy of ours, and says who is behind it.
        alice.http.headers["X-Forwarded-For"] = "203.0.113.9"
        await alice.enter("alice")
        async with alice.live() as page:
            await page.sees("alice", "online")
    await server.logged("address=203.0.113.9 method=GET path=/users/")
    assert await server.terminate() == 0
    assert not path.exists()


async def test_a_socket_file_that_was_left_is_taken_over_but_not_one_in_use(
    server_process: ServerProcesses, tmp_path: Path
) -> None:
    path = tmp_path / "presence.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    server = await server_process(host=f"unix:{path}")
    second = ServerProcess(tmp_path, "second", host=f"unix:{path}")
    with pytest.raises(AssertionError):
        await second.start()
    assert f"--host and --port: cannot listen on unix:{path}: another server" in second.log
    async with through_file(path) as visitor:
        assert (await visitor.get("/healthz")).status == 200
    await server.kill()
    assert path.exists()
    await server.start()
    async with asyncio.timeout(15), through_file(path) as visitor:
        assert (await visitor.get("/healthz")).status == 200


@pytest.mark.parametrize(
    ("name", "words"),
    [("missing/presence.sock", "No such file or directory"), ("x" * 120, "too long")],
)
async def test_a_socket_file_that_cannot_be_is_one_sentence(
    tmp_path: Path, name: str, words: str
) -> None:
    server = ServerProcess(tmp_path, host=f"unix:{tmp_path / name}")
    with pytest.raises(AssertionError):
        await server.start()
    (line,) = [line for line in server.log.splitlines() if "cannot listen on unix:" in line]
    assert words in line and "Traceback" not in server.log


async def test_it_is_noted_since_when_people_wait_in_the_queue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, most = 0.0, listening._IN_ONE_TURN
    monkeypatch.setattr(listening, "monotonic", lambda: now)
    with ExitStack() as stack:
        opened = await open_listeners(stack, "127.0.0.1", 0, "--host")
        (listener,) = map(stack.enter_context, opened.listeners)
        listener.listen()
        listener.setblocking(False)
        crowd = Crowd()
        listener.tell(crowd)

        def come(count: int) -> None:
            for _ in range(count):
                stack.enter_context(socket.create_connection(listener.getsockname()))

        def take(count: int) -> None:
            for _ in range(count):
                stack.enter_context(listener.accept()[0])

        come(4 * most)
        for now in (10.0, 10.3, 10.6):
            take(most)
        assert crowd.since(now) == 10, "since more waited than were taken in one turn"
        now = 20.0
        take(most)
        assert crowd.since(now) is None, "whoever came later did not wait since then"
        with pytest.raises(BlockingIOError):
            listener.accept()
        come(most)
        now = 20.4
        take(most)
        come(1)
        now = 20.8
        take(1)
        assert crowd.since(now) is None, "the queue was empty meanwhile"


async def test_who_waits_is_noted_while_it_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    times = itertools.count()
    monkeypatch.setattr(listening, "monotonic", lambda: 0.05 * next(times))
    crowd = Crowd()
    with ExitStack() as stack:
        # One may be taken in while it stops, which nobody waits for.
        runner = web.AppRunner(web.Application(), shutdown_timeout=0)
        await runner.setup()
        opened = await open_listeners(stack, "127.0.0.1", 0, "--host")
        await serve_at(runner, opened, "--host", crowd)
        for _ in range(3 * listening._IN_ONE_TURN):
            address = opened.listeners[0].getsockname()
            stack.enter_context(socket.create_connection(address))
        await until(lambda: crowd.since(0.05 * 3 * listening._IN_ONE_TURN) is not None)
        await runner.cleanup()
