"""A server that is killed during sign-ups has lost none that it acknowledged."""

import asyncio
import os
import random
import sqlite3
from contextlib import closing

import aiohttp
import pytest

from tests.conftest import ServerProcesses, Visit
from testing.processes import ServerProcess
from testing.visitor import PASSWORD, Visitor
from testing.waiting import until

KILLS = int(os.environ.get("KILLS", "10"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
AT_ONCE = 3


@pytest.mark.slow
@pytest.mark.timeout(60 + KILLS * 30)
async def test_acknowledged_sign_ups_survive_kills(
    server_process: ServerProcesses, visit: Visit
) -> None:
    print(f"FUZZ_SEED={SEED} KILLS={KILLS}")
    delays = random.Random(SEED)
    server = await server_process()
    visitor = await visit(server)
    token = (await visitor.get("/sign_up/")).csrf_token
    acknowledged: list[str] = []
    for life in range(KILLS):
        before = len(acknowledged)
        people = [
            asyncio.create_task(_sign_up(visitor, token, f"life{life}.{person}", acknowledged))
            for person in range(AT_ONCE)
        ]
        await until(lambda: len(acknowledged) != before, 30)
        # Anywhere within the sign-ups that follow.
        await asyncio.sleep(delays.uniform(0, 0.2))
        await server.kill()
        await asyncio.gather(*people)
        await server.start()
        visitor.url = server.url
    names, verdict = _stored(server)
    assert verdict == "ok"
    assert sorted(set(acknowledged) - names) == []
    assert len(acknowledged) >= KILLS
    assert (await visitor.log_in(acknowledged[-1])).status == 303


async def _sign_up(visitor: Visitor, token: str, prefix: str, acknowledged: list[str]) -> None:
    """One after the other until the server is gone; the key that tokens hang on is a file."""
    for number in range(1000):
        username = f"{prefix}.{number}"
        fields = {"username": username, "password1": PASSWORD, "password2": PASSWORD}
        try:
            answer = await visitor.post("/sign_up/", {"csrf_token": token, **fields})
        except (aiohttp.ClientError, ConnectionError):
            return
        # Beyond the throttle's burst there is nothing more to lose.
        assert answer.status in (303, 429), answer.text
        if answer.status == 429:
            return
        acknowledged.append(username)


def _stored(server: ServerProcess) -> tuple[set[str], str]:
    with closing(sqlite3.connect(server.folder / "presence.sqlite3")) as database:
        names = {name for (name,) in database.execute("SELECT username FROM users")}
        ((verdict,),) = database.execute("PRAGMA integrity_check")
    return names, verdict
