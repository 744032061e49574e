"""Requests that do not come to their end hold nobody else up."""

import asyncio
import time

import pytest

from tests.conftest import ServerProcesses, Visit

pytestmark = pytest.mark.both_databases

SLOW = [
    b"",
    b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ",
    b"POST /log_in/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n\r\nusername=",
]


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
        # A page and two forms; a machine that runs tests has other work to do.
        assert time.monotonic() - started < 2
    finally:
        for writer in writers:
            writer.close()
