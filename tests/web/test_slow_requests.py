"""Requests that do not come to their end hold nobody else up."""

import asyncio
import socket
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing, suppress

import aiohttp
import pytest

from presence_server.web import connection as connections
from testing.waiting import STALL, until
from tests.conftest import Serve, ServerProcesses, Visit


SLOW = [
    b"",
    b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ",
    b"POST /log_in/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n\r\nusername=",
]


MOST = 20

Connect = Callable[..., Awaitable[list[asyncio.StreamReader]]]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Opens slow connections, from an address of one's own."""
    opened = []

    async def open_slow(
        port: int, count: int, source: str, kinds: int = 2
    ) -> list[asyncio.StreamReader]:
        readers = []
        for number in range(count):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, local_addr=(source, 0)
            )
            opened.append(writer)
            readers.append(reader)
            # The time of the third is over sooner.
            writer.write(SLOW[number % kinds])
        return readers

    yield open_slow
    for writer in opened:
        writer.close()


async def cut(readers: list[asyncio.StreamReader], count: int) -> list[bool]:
    """Which of them the server has cut, once there are so many."""
    ends = [asyncio.ensure_future(_end(reader)) for reader in readers]
    try:
        # Well before their time is over.
        await until(lambda: sum(end.done() for end in ends) >= count, 8)
        return [end.done() for end in ends]
    finally:
        for end in ends:
            end.cancel()


async def _end(reader: asyncio.StreamReader) -> None:
    try:
        while await reader.read(1000):
            pass
    except ConnectionError:
        pass


async def test_t18_one_address_keeps_only_so_many_connections_waiting(
    server_process: ServerProcesses, visit: Visit, connect: Connect
) -> None:
    server = await server_process(max_sockets_per_address=MOST)
    slow = await connect(server.port, MOST, "127.0.0.9", kinds=3)
    elsewhere = await connect(server.port, MOST, "127.0.0.8")
    # What has come just now may have been sent already, and is not yet slow.
    await asyncio.sleep(1.5)
    late = await connect(server.port, MOST - 2, "127.0.0.9")
    assert await cut(slow, MOST - 2) == [True] * (MOST - 2) + [False] * 2
    assert not any(await cut([*late, *elsewhere], 0))
    # Nor are they counted who have become sockets, or whose requests are being seen to.
    alice = await visit(server, "alice")
    async with alice.live() as page:
        await page.first()


async def test_t18_who_waits_for_the_server_is_not_cut(
    server_process: ServerProcesses, visit: Visit
) -> None:
    server = await server_process(max_sockets_per_address=5)
    visitor = await visit(server)
    await visitor.sign_up("alice")
    token = (await visitor.get("/log_in/")).csrf_token
    fields = {"csrf_token": token, "username": "alice", "password": "johnson123"}

    async def log_in() -> int:
        return (await visitor.post("/log_in/", fields)).status

    with closing(sqlite3.connect(server.folder / "presence.sqlite3")) as database:
        database.execute("BEGIN IMMEDIATE")
        answers = [asyncio.create_task(log_in()) for _ in range(20)]
        until = time.monotonic() + 1.6
        while time.monotonic() < until:
            async with aiohttp.request("GET", server.url + "/healthz") as answer:
                assert answer.status == 200
            await asyncio.sleep(0.1)
    assert {await answer for answer in answers} <= {303, 503}


async def test_t18_a_proxy_of_ours_has_limits_of_its_own(
    server_process: ServerProcesses, connect: Connect
) -> None:
    server = await server_process(max_sockets_per_address=5, trusted_proxies="127.0.0.9")
    slow = await connect(server.port, MOST, "127.0.0.9")
    # By now they count as slow, and the next ones would push them out.
    await asyncio.sleep(1.5)
    slow += await connect(server.port, MOST, "127.0.0.9")
    async with aiohttp.request("GET", server.url + "/healthz") as answer:
        assert answer.status == 200
    assert not any(await cut(slow, 0))


async def test_t18_who_does_not_read_the_answers_is_cut(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connections, "_READ_WITHIN", 0.5)
    server = await serve()
    page = b"GET /static/x/presence.css HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.create_connection((server.host, server.port)) as peer:
        peer.settimeout(0.2)
        async with asyncio.timeout(20):
            with pytest.raises(ConnectionError):
                while True:
                    # When the server waits for us to read, it reads no more either.
                    with suppress(TimeoutError):
                        await asyncio.to_thread(peer.sendall, 50 * page)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.slow
async def test_t18_five_hundred_slow_requests_hold_nobody_up(
    server_process: ServerProcesses, visit: Visit
) -> None:
    server = await server_process()
    alice = await visit(server)
    await alice.sign_up("alice")
    writers = []
    try:
        for number in range(500):
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writers.append(writer)
            writer.write(SLOW[number % len(SLOW)])
        await asyncio.gather(*(writer.drain() for writer in writers))
        started = time.monotonic()
        assert (await alice.log_in("alice")).status == 303
        assert (await alice.get("/")).status == 200
        # A page and two forms: none waits until the slow ones are cut.
        assert time.monotonic() - started < 2 + STALL
    finally:
        for writer in writers:
            writer.close()
