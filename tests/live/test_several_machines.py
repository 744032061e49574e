"""Servers on ports of their own, as on three machines: one PostgreSQL, one Redis, one key file."""

import asyncio
import re
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from presence_server.storage.database import open_database
from presence_server.config import ConfigError, PostgresUrl
from tests.commands.test_accounts import on_running
from tests.conftest import ServerProcesses, Visit
from testing.postgresql_server import PASSWORD, PostgresqlServer
from testing.processes import ENDED_WITHIN, ServerProcess, launch, on_database
from testing.redis_server import RedisServer
from testing.visitor import Page
from testing.waiting import STALL, first_answer

RECOVERED_WITHIN = 40.0
STOPS_WITHIN = 5.0 + STALL


async def start_three(
    server_process: ServerProcesses, database: PostgresqlServer, redis: RedisServer, folder: Path
) -> list[ServerProcess]:
    flags = {
        **on_database(database.url("accounts"), folder),
        # Lines are not read while the database restarts, and nobody is cut off for that.
        "heartbeat": 300,
    }
    return [
        await server_process(redis_url=redis.url, grace=2, lease=4, admin_port=0, **flags)
        for _ in range(3)
    ]


async def answered(ask: Callable[[], Awaitable[Page]], status: int) -> Page:
    """The answer as soon as it has the status."""
    return await first_answer(ask, lambda page: page.status == status, RECOVERED_WITHIN)


async def test_three_servers_are_one_site_also_while_the_database_restarts(
    server_process: ServerProcesses,
    visit: Visit,
    own_postgresql: PostgresqlServer,
    redis_server: RedisServer,
    tmp_path: Path,
) -> None:
    first, second, third = await start_three(
        server_process, own_postgresql, redis_server, tmp_path
    )
    alice, bob = await visit(first), await visit(third, "bob")
    async with bob.live() as of_bob:
        await of_bob.first()
        assert (await alice.sign_up("alice")).status == 303
        alice.url = second.url
        assert (await alice.log_in("alice")).status == 303
        async with alice.live() as of_alice:
            await of_bob.sees("alice", "online")
            await asyncio.to_thread(own_postgresql.stop)
            # Presence goes on without it, and pages say what is wrong.
            await of_alice.send({"type": "status", "status": "away"})
            await of_bob.sees("alice", "away")
            await answered(lambda: alice.get("/"), 503)
            await answered(lambda: bob.get("/"), 503)
            assert (await alice.get("/readyz")).status == 503
            await asyncio.to_thread(own_postgresql.start)
            # By itself, and nobody has to log in again.
            for server in (first, second, third):
                alice.url = server.url
                page = await answered(lambda: alice.get("/"), 200)
                # Opening the list is a sign of life.
                assert re.search("alice: (Online|Away)", page.text), page.text
                assert "bob: Online" in page.text
                await answered(lambda: alice.get("/readyz"), 200)
            assert (await (await visit(first)).sign_up("carol")).status == 303
            # Told to one server, it closes what hangs on another.
            alice.url = first.url
            assert (await alice.log_out()).status == 303
            assert await of_alice.closed() == 4401
            await of_bob.sees("alice", "offline")
        # Read all the while, as browsers do: who does not answer a close is cut off.
        closing = asyncio.create_task(of_bob.closed(within=50))
        assert await on_running(first, "sessions", "end", "bob") == "Ended 1 session of bob.\n"
        assert await asyncio.wait_for(closing, 1 + 2 * STALL) == 4401
    for server in (first, second, third):
        assert PASSWORD not in server.log
    # These were asked meanwhile: one line when it began, and one when it was over.
    for server in (second, third):
        log = await server.logged("serves again")
        told = [line for line in log.splitlines() if " presence_server.storage." in line]
        assert len(told) == 2 and told[1].endswith("serves again."), told


@pytest.mark.alone
async def test_a_database_that_stands_still_does_not_hold_up_the_end(
    server_process: ServerProcesses,
    visit: Visit,
    own_postgresql: PostgresqlServer,
    tmp_path: Path,
) -> None:
    server = await server_process(**on_database(own_postgresql.url("accounts"), tmp_path))
    alice = await visit(server, "alice")
    async with alice.live() as live:
        await live.sees("alice", "online")
        own_postgresql.pause()
        try:
            started = time.monotonic()
            ending = asyncio.create_task(server.terminate())
            assert await live.closed(within=STOPS_WITHIN) == 1012
            assert await ending == 0
            assert time.monotonic() - started < STOPS_WITHIN
        finally:
            own_postgresql.resume()


async def refused(folder: Path, **flags: object) -> tuple[int, str]:
    log = folder / "refused.log"
    log.unlink(missing_ok=True)
    given = [f"--{name.replace('_', '-')}={value}" for name, value in flags.items()]
    process = await launch("--port=0", *given, log_file=log)
    async with asyncio.timeout(2 * ENDED_WITHIN):
        status = await process.wait()
    *_, sentence = log.read_text().splitlines()
    assert PASSWORD not in log.read_text()
    return status, sentence


async def test_what_refuses_the_start(
    postgresql_server: PostgresqlServer, tmp_path: Path
) -> None:
    url = postgresql_server.url("accounts").url
    keys = tmp_path / "keys"
    assert await refused(tmp_path, database=url) == (
        2,
        "presence-server: --secret-key-file (PRESENCE_SECRET_KEY_FILE) is needed with a PostgreSQL "
        "database: all servers must have the same keys.",
    )
    wrong = url.replace(PASSWORD, f"{PASSWORD}-not")
    status, sentence = await refused(tmp_path, database=wrong, secret_key_file=keys)
    assert status == 3 and "the user or the password is wrong" in sentence
    nowhere = "postgresql://presence@127.0.0.1:1/accounts"
    status, sentence = await refused(tmp_path, database=nowhere, secret_key_file=keys)
    assert status == 3 and "cannot be reached" in sentence
    status, sentence = await refused(
        tmp_path, database=f"postgresql://me:{PASSWORD}@host:port/x", secret_key_file=keys
    )
    assert status == 2 and "--database (PRESENCE_DATABASE) must be a URL" in sentence


async def test_without_the_driver_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    for name in [name for name in sys.modules if "storage.postgresql" in name]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ConfigError, match=r"pip install 'presence-server\[postgresql\]'"):
        async with open_database(PostgresUrl("postgresql://host/people")):
            pass
