"""An ended session is worthless on every node within a second, with Redis or without."""

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from presence_server.resources import ROOT
from tests.conftest import ServerProcesses, Visit
from tests.processes import ServerProcess
from tests.redis_server import RedisServer
from tests.visitor import PASSWORD, Visitor

NEW = "another good one"
# A second by promise; a machine that runs tests has other work to do.
WITHIN = 2.0

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
            timeout=20,
        )

    return end


ENDS: dict[str, End] = {
    "log-out": log_out,
    "password": change_password,
    "deletion": delete_account,
    "disabled by command": by_command("user", "disable"),
    "deleted by command": by_command("user", "delete"),
    "ended by command": by_command("sessions", "end"),
}


@pytest.mark.parametrize("redis_is_there", [True, False], ids=["Redis", "without Redis"])
@pytest.mark.parametrize("how", ENDS)
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
            codes = [await socket.closed() for socket in (first, second, third)]
        assert codes == [4401] * 3
