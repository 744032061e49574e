"""Nothing is left of a connection, however it ends; who only stops sending is still answered."""

import asyncio
import contextlib
import gc
import socket
import struct
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote_plus

import pytest
from aiohttp import web

from presence_server.accounts import passwords
from presence_server.app import create_app
from presence_server.config import Config
from presence_server.keys import DATABASE, PASSWORDS, THROTTLE
from presence_server.storage import sqlite
from presence_server.web import bodies, waiting
from presence_server.web.intake import Intake
from presence_server.web.runner import Runner
from testing.raw_peer import RawPeer
from testing.visitor import Visitor
from testing.waiting import until
from tests.fuzz.hostile import BELOW_HTTP, frame

_POST = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
_CHUNKED = _POST + b"Transfer-Encoding: chunked\r\n\r\n"
WAYS = {
    **BELOW_HTTP,
    **{
        f"half a body to {path.decode()}": _POST % path + b"Content-Length: 1000\r\n\r\nusername="
        for path in (b"/log_in/", b"/sign_up/", b"/log_out/", b"/account/end", b"/nothing", b"/")
    },
    "half a chunk": _CHUNKED % b"/log_in/" + b"5\r\nab",
    "chunks of a byte": _CHUNKED % b"/log_in/" + b"1\r\na\r\n" * 40_000,
    "chunks to nowhere": _CHUNKED % b"/nothing" + b"1\r\na\r\n" * 40_000,
    "a body too large": _POST % b"/log_in/" + b"Content-Length: 100000\r\n\r\nusername=",
    "a whole form": _POST % b"/log_in/" + b"Content-Length: 3\r\n\r\na=1",
    "a redirect": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a page": b"GET /log_in/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "pages": b"GET /log_in/ HTTP/1.1\r\nHost: x\r\n\r\n" * 100,
    "nothing there": b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n",
    "another method": b"PUT / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a head without end": b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000,
    "no session": b"GET /users/ HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\n"
    b"Upgrade: websocket\r\n\r\n",
}
# What a socket sends before it ends.
FRAMES = {
    "nothing": b"",
    "no frame": b"\xff" * 100,
    "half a frame": b"\x81\xfe\x01",
    "continuations": frame(1, b"", final=False) + frame(0, b"", final=False) * 100_000,
    "a close": frame(8, b"\x03\xe8"),
    "messages": frame(1, b"{}") * 50,
}


@pytest.fixture
async def runner(
    request: pytest.FixtureRequest,
    config: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Runner]:
    """A server within this test, with connections as a real one has them."""
    monkeypatch.setattr(bodies, "BODY_TIMEOUT", 0.3)
    most = getattr(request, "param", 0)
    settings = config(max_sockets_per_user=0, max_sockets_per_address=most)
    runner = Runner(create_app(settings), keepalive_timeout=1.5, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner
    finally:
        await runner.cleanup()


@pytest.fixture
def site(runner: Runner) -> int:
    """Its port."""
    port: int = runner.addresses[0][1]
    return port


async def _end(sock: socket.socket, end: str) -> None:
    if end == "reset":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    elif end == "half-closed":
        sock.shutdown(socket.SHUT_WR)
        # The server is to see the half before the whole.
        await asyncio.sleep(0.2)
    elif end == "waited for":
        # Longer than the server waits.
        await asyncio.sleep(2.1)
    sock.close()


async def _request(port: int, data: bytes, end: str) -> None:
    loop = asyncio.get_running_loop()
    sock = socket.socket()
    sock.setblocking(False)
    await loop.sock_connect(sock, ("127.0.0.1", port))
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(0.3):
            await loop.sock_sendall(sock, data)
    # What was sent is to be read before the end comes; of most of it there is no answer.
    await asyncio.sleep(0.1)
    with contextlib.suppress(OSError):
        await _end(sock, end)
    sock.close()


async def _socket(visitor: Visitor, data: bytes, end: str) -> None:
    async with RawPeer.of(visitor) as peer:
        peer.write(data)
        # As above.
        await asyncio.sleep(0.1)
        if end == "reset":
            peer.reset()


ENDS = ("reset", "closed", "half-closed", "waited for")


async def test_no_way_to_end_a_connection_leaves_anything_to_be_collected(site: int) -> None:
    async def every_way(visitor: Visitor) -> None:
        async with asyncio.TaskGroup() as tasks:
            for end in ENDS:
                for data in WAYS.values():
                    tasks.create_task(_request(site, data, end))
            for end in ENDS[:2]:
                for data in FRAMES.values():
                    tasks.create_task(_socket(visitor, data, end))
        # Those who dawdle are given up.
        await asyncio.sleep(2.4)

    async with Visitor.at(f"http://127.0.0.1:{site}") as alice:
        await alice.enter("alice")
        await every_way(alice)
        gc.collect()
        gc.disable()
        try:
            await every_way(alice)
            gc.set_debug(gc.DEBUG_SAVEALL)
            gc.collect()
            found = Counter(type(garbage).__name__ for garbage in gc.garbage)
            # Those of the peers are in this process, too.
            found["transport"] = sum(_is_of(site, garbage) for garbage in gc.garbage)
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
    ours = {"Connection", "Request", "HTTPNotFound", "frame", "traceback", "WebSocketResponse"}
    ours |= {"transport", "Task", "Observer", "ConnectionResetError"}
    assert not {name for name in ours if found[name]}, found


def _is_of(port: int, garbage: object) -> bool:
    """Whether it is the server's end of a connection."""
    if not isinstance(garbage, asyncio.Transport):
        return False
    name: tuple[str, int] = garbage.get_extra_info("sockname")
    return name[1] == port


@pytest.mark.parametrize(
    ("flood", "code"),
    [
        (FRAMES["continuations"], 1008),
        # All pings and messages that are allowed, and no byte more than that.
        ((frame(9, b"x" * 125) * 100 + frame(1, b"{}".ljust(4096)) * 20), None),
        (frame(1, b"x" * 1_000_000), 1009),
    ],
    ids=["frames of no meaning", "all that is allowed", "one that is too big"],
)
async def test_the_bytes_of_a_socket_are_counted(
    site: int, flood: bytes, code: int | None
) -> None:
    async with Visitor.at(f"http://127.0.0.1:{site}") as alice:
        await alice.enter("alice")
        async with RawPeer.of(alice) as peer:
            peer.write(flood)
            if code is None:
                peer.write(frame(8, b"\x03\xe8"))
            async with asyncio.timeout(15):
                assert await peer.close_code() == (code or 1000)


async def _ask(port: int, data: bytes) -> bytes:
    """Send it, say that no more will come, and read to the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    writer.write_eof()
    try:
        # To the end of a body that does not come.
        async with asyncio.timeout(30):
            return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("name", "answers"),
    [("a page", 1), ("pages", 100), ("a whole form", 1), ("nothing there", 1), ("a redirect", 1)],
)
async def test_who_stops_sending_is_still_answered(site: int, name: str, answers: int) -> None:
    found = await _ask(site, WAYS[name])
    assert found.count(b"HTTP/1.1 ") == answers
    assert found.rstrip().endswith((b"</html>", b"303: See Other"))


@pytest.mark.parametrize("name", ["half a request", "half a body to /log_in/", "half a chunk"])
async def test_who_stops_in_the_middle_is_not_waited_for(site: int, name: str) -> None:
    assert b"200 OK" not in await _ask(site, WAYS[name])


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("chunks of a byte", b"400"),
        ("chunks to nowhere", b"404"),
        ("a head without end", b"400"),
        ("a body too large", b"413"),
    ],
)
async def test_what_costs_more_than_it_says_is_not_parsed(
    site: int, name: str, status: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed = 0
    feed = Intake._parse

    def count(intake: Intake, data: bytes) -> Any:
        nonlocal parsed
        parsed += len(data)
        return feed(intake, data)

    monkeypatch.setattr(Intake, "_parse", count)
    reader, writer = await asyncio.open_connection("127.0.0.1", site)
    writer.write(WAYS[name])
    async with asyncio.timeout(15):
        assert (await reader.readline()).split()[1] == status
    writer.close()
    assert parsed <= 40 * 1024


async def test_chunks_of_a_usual_size_are_read(site: int) -> None:
    chunks = b"1000\r\n" + b"a=" + b"x" * 4094 + b"\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", site)
    writer.write(_CHUNKED % b"/log_in/" + chunks + b"0\r\n\r\n")
    async with asyncio.timeout(15):
        # Read to its end: what is missing is the token.
        assert b" 403 " in await reader.readline()
    writer.close()


async def test_no_log_in_waits_in_line_for_a_client_that_is_gone(
    runner: Runner, site: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = threading.Event()

    def slow(*values: object) -> bool:
        assert opened.wait(10)
        return False

    async with Visitor.at(f"http://127.0.0.1:{site}") as alice:
        token = quote_plus((await alice.get("/log_in/")).csrf_token)
        (cookie,) = alice.http.cookie_jar
        monkeypatch.setattr(passwords, "_matches", slow)
        body = f"csrf_token={token}&username=alice&password=johnson123".encode()
        head = _POST % b"/log_in/" + f"Cookie: {cookie.key}={cookie.value}\r\n".encode()
        form = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
        async with asyncio.TaskGroup() as tasks:
            for end in ("closed", "reset", "half-closed") * 7:
                tasks.create_task(_request(site, form, end))
        queue = runner.app[PASSWORDS]._queues[False]
        throttle = runner.app[THROTTLE]
        await until(lambda: not (queue._length or throttle._waiting))
        opened.set()


@asynccontextmanager
async def reader_held(runner: Runner) -> AsyncIterator[None]:
    """Nothing is read from the database meanwhile."""
    opened = threading.Event()
    reader = runner.app[DATABASE]._engine._reader  # type: ignore[attr-defined]  # SQLite's
    held = asyncio.ensure_future(reader.run(lambda connection: opened.wait(20)))
    try:
        yield
    finally:
        opened.set()
        await held


def page(visitor: Visitor) -> bytes:
    """A request for the list."""
    (cookie,) = visitor.http.cookie_jar
    return f"GET / HTTP/1.1\r\nHost: x\r\nCookie: {cookie.key}={cookie.value}\r\n\r\n".encode()


async def test_no_page_is_made_for_a_client_that_is_gone(
    runner: Runner, site: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = sqlite._execute
    looked_up = 0

    def count(sql: str, *rest: Any) -> Any:
        nonlocal looked_up
        looked_up += "FROM sessions" in sql
        return read(sql, *rest)

    def answering() -> int:
        return sum("Connection._handle_request" in repr(task) for task in asyncio.all_tasks())

    async with Visitor.at(f"http://127.0.0.1:{site}") as alice:
        await alice.enter("alice")
        monkeypatch.setattr(sqlite, "_execute", count)
        async with reader_held(runner):
            async with asyncio.TaskGroup() as tasks:
                for _ in range(20):
                    tasks.create_task(_request(site, page(alice), "reset"))
            await until(lambda: not answering())
        assert (await alice.get("/")).status == 200
        assert looked_up == 1


@pytest.mark.parametrize("runner", [10], indirect=True)
async def test_one_address_has_only_so_many_answers_made_after_it_stopped_sending(
    runner: Runner, site: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_PATIENCE", 0)

    async def ask(data: bytes) -> bool:
        with contextlib.suppress(ConnectionError):
            return b"200 OK" in await _ask(site, data)
        return False

    async with Visitor.at(f"http://127.0.0.1:{site}") as alice:
        await alice.enter("alice")
        async with reader_held(runner):
            asked = []
            for _ in range(30):
                asked.append(asyncio.ensure_future(ask(page(alice))))
                await asyncio.sleep(0.01)
            await until(lambda: sum(one.done() for one in asked) >= 20)
        answered = await asyncio.gather(*asked)
        # The latest; one of the ten is the visitor's own connection.
        assert 8 <= sum(answered) <= 10 and not any(answered[:20])


@pytest.mark.parametrize(
    "line",
    [
        "HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked",
        "HTTP/1.1\r\nTransfer-Encoding: gzip, chunked",
        "HTTP/1.1\r\nTransfer-Encoding: identity, chunked",
        "HTTP/1.1\r\nTransfer-Encoding: , chunked",
        "HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    ],
)
async def test_nobody_in_front_sees_another_end_of_a_body(site: int, line: str) -> None:
    request = f"POST /log_in/ {line}\r\nHost: 127.0.0.1:{site}\r\n\r\n0\r\n\r\n"
    answer = await _ask(site, request.encode() + WAYS["nothing there"])
    assert answer.count(b"HTTP/1.") == 1 and b" 400 " in answer.partition(b"\r\n")[0]
