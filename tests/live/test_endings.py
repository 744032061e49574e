"""An ended session is worthless on every node within a second, with Redis or without."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from presence_server.resources import ROOT
from tests.conftest import ServerProcesses, Visit
from testing.processes import ServerProcess
from testing.redis_server import RedisServer
from testing.visitor import PASSWORD, Visitor
from testing.waiting import STALL

NEW = "another good one"
# A second by promise, which a test of its own measures; this one runs beside others.
WITHIN = 2.0 + STALL

End = Callable[[Visitor, ServerProcess], Awaitable[None]]


async def log_out(bob: Visitor, _: ServerProcess) -> None:
    assert (await bob.log_out()).status == 303


async def change_password(bob: Visitor, _: ServerProcess) -> None:
    async with Visitor.at(bob.url) as elsewhere:
        await elsewhere.log_in("bob")
        fields = {"old_password": PASSWORD, "password1": NEW, "password2": NEW}
        answer = await elsewhere.submit("/account/password", fields, form="/account/")
        assert answer.status == 303


async def delete_account(bob: Visitor, _: ServerProcess) -> None:
    fields = {"password": PASSWORD}
    answer = await bob.submit("/account/delete", fields, form="/account/")
    assert answer.status == 303


def by_command(*command: str) -> End:
    async def end(_: Visitor, server: ServerProcess) -> None:
        await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "presence_server", *command, "bob"],
            cwd=server.folder,
            env={"PYTHONPATH": str(ROOT), "PATH": ""},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            timeout=50,
        )

    return end


ON_THE_SITE: dict[str, End] = {
    "log-out": log_out,
    "password": change_password,
    "deletion": delete_account,
}
ENDS: dict[str, End] = {
    **ON_THE_SITE,
    "disabled by command": by_command("user", "disable"),
    "deleted by command": by_command("user", "delete"),
    "ended by command": by_command("sessions", "end"),
}


@pytest.mark.parametrize(
    ("how", "redis_is_there"),
    # A command nudges nobody: it is the same with Redis.
    [*((how, True) for how in ON_THE_SITE), *((how, False) for how in ENDS)],
)
async def test_t5_t6_an_ended_session_is_worthless_on_every_node(
    server_process: ServerProcesses,
    visit: Visit,
    own_redis: RedisServer,
    how: str,
    redis_is_there: bool,
) -> None:
    here, there = [await server_process(redis_url=own_redis.url) for _ in range(2)]
    bob = await visit(here, "bob")
    thief = await visit(there)
    thief.http.cookie_jar.update_cookies({c.key: c.value for c in bob.http.cookie_jar})
    async with bob.live() as first, thief.live() as second, thief.tutorial() as third:
        for socket in (first, second, third):
            await socket.receive()
        # A peer that does not read a close at once is cut off before it can.
        closings = [asyncio.create_task(s.closed(within=40)) for s in (first, second, third)]
        if not redis_is_there:
            own_redis.kill()
        await ENDS[how](bob, here)
        # At once: every request asks the database.
        assert (await thief.get("/")).location == "/log_in/"
        assert (await thief.get("/api/users")).status == 401
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with thief.live():
                pass
        assert refused.value.status == 401
        async with asyncio.timeout(WITHIN):
            assert await asyncio.gather(*closings) == [4401] * 3


@pytest.mark.alone
async def test_t6_sockets_of_another_node_are_closed_within_a_second_without_redis(
    server_process: ServerProcesses, visit: Visit, own_redis: RedisServer
) -> None:
    here, there = [await server_process(redis_url=own_redis.url) for _ in range(2)]
    bob, elsewhere = await visit(here, "bob"), await visit(there)
    own_redis.kill()
    spent = []
    for _ in range(5):
        elsewhere.http.cookie_jar.update_cookies({c.key: c.value for c in bob.http.cookie_jar})
        token = (await bob.get("/")).csrf_token
        async with elsewhere.live() as socket:
            await socket.first()
            started = time.monotonic()
            assert (await bob.post("/log_out/", {"csrf_token": token})).status == 303
            assert await socket.closed() == 4401
            spent.append(time.monotonic() - started)
        await bob.log_in("bob")
    # The unluckiest is left out: a machine that runs tests has other work to do.
    assert sorted(spent)[-2] <= 1 + STALL, spent


async def test_t37_a_log_out_while_a_socket_opens_leaves_none_open(
    server_process: ServerProcesses, visit: Visit
) -> None:
    server = await server_process(max_sockets_per_user=0)
    bob = await visit(server, "bob")
    for step in range(50):
        thief = await visit(server)
        thief.http.cookie_jar.update_cookies({c.key: c.value for c in bob.http.cookie_jar})
        token = (await bob.get("/")).csrf_token
        # From a log-out well before the upgrade to one well after.
        opening = asyncio.create_task(_opened_and_closed(thief, max(0, 25 - step) / 5000))
        await asyncio.sleep(max(0, step - 25) / 5000)
        assert (await bob.post("/log_out/", {"csrf_token": token})).status == 303
        assert await opening in (401, 4401)
        await bob.log_in("bob")


async def _opened_and_closed(visitor: Visitor, delay: float) -> int | None:
    """The status or the close code that a socket comes to."""
    await asyncio.sleep(delay)
    try:
        async with visitor.live() as socket:
            return await socket.closed(within=WITHIN)
    except aiohttp.WSServerHandshakeError as refused:
        return refused.status
