"""What operators read: the admin port, `who`, and the log of a loop that stands still."""

import asyncio
import json
import logging
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest

from presence_server.config import PostgresUrl
from presence_server.resources import ROOT
from presence_server.watchdog import Watchdog
from tests.conftest import ServerProcesses, Visit
from testing.processes import ServerProcess
from testing.redis_server import RedisServer, free_port
from testing.waiting import first_answer, until


async def ask(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        return answer.status, await answer.text()


async def asked(url: str) -> Any:
    status, text = await ask(url)
    assert status == 200, text
    return json.loads(text)


def value_of(metric: str, exposition: str) -> float:
    lines = [line for line in exposition.splitlines() if line.startswith(metric + " ")]
    assert len(lines) == 1, f"{metric} in\n{exposition}"
    return float(lines[0].rpartition(" ")[2])


def who(server: ServerProcess, *flags: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "presence_server", "who", *flags],
        cwd=server.folder,
        # A way out that leads nowhere.
        env={"PYTHONPATH": str(ROOT), "PATH": "", "http_proxy": "http://127.0.0.1:1"},
        capture_output=True,
        text=True,
        timeout=60,
    )


async def test_metrics_tell_what_happens(server_process: ServerProcesses, visit: Visit) -> None:
    server = await server_process(admin_port=0)
    alice, bob = await visit(server, "alice"), await visit(server, "bob")
    assert (await bob.log_in("bob", "not the password")).status == 401
    async with alice.live() as of_alice, bob.live() as of_bob:
        await of_bob.send({"type": "status", "status": "away"})
        await of_alice.sees("bob", "away")
        _, text = await ask(f"{server.admin_url}/metrics")
    assert value_of('presence_people{status="online"}', text) == 1
    assert value_of('presence_people{status="away"}', text) == 1
    assert value_of("presence_sockets", text) == 2
    assert value_of("presence_relay_in_touch", text) == 1
    assert value_of("presence_changes_total", text) >= 3
    assert value_of("presence_flush_bytes_total", text) > 0
    assert value_of("presence_change_to_write_seconds_count", text) > 0
    assert value_of('presence_log_ins_total{result="welcome"}', text) == 2
    assert value_of('presence_log_ins_total{result="wrong"}', text) == 1
    assert value_of('presence_database_seconds_count{kind="write"}', text) > 0


async def test_the_public_port_tells_operators_things_to_nobody(
    server_process: ServerProcesses,
) -> None:
    server = await server_process(admin_port=0)
    assert await ask(f"{server.url}/readyz") == (200, "ready\n")
    assert await ask(f"{server.url}/healthz") == (200, "alive\n")
    for path in ("/metrics", "/roster"):
        assert (await ask(server.url + path))[0] == 404


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Host": "127.0.0.1"}, 200),
        ({"Host": "localhost:9001"}, 200),
        ({"Host": "[::1]:9001"}, 200),
        ({"Host": socket.gethostname().upper()}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        # A name that somebody else lets lead here.
        ({"Host": "rebound.example"}, 421),
        ({"Host": "127.0.0.1.example"}, 421),
        ({"Host": "a b"}, 400),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
async def test_the_admin_port_answers_to_no_page_of_another_site(
    server_process: ServerProcesses, visit: Visit, headers: dict[str, str], expected: int
) -> None:
    operator = await visit((await server_process(admin_port=0)).admin_url)
    for path in ("/roster", "/metrics", "/readyz"):
        assert (await operator.get(path, headers=headers)).status == expected


async def test_a_node_that_hears_no_other_stays_ready(
    server_process: ServerProcesses, own_redis: RedisServer
) -> None:
    server = await server_process(admin_port=0, redis_url=own_redis.url, lease=1)
    async with asyncio.timeout(15):
        # It listens before it has heard itself through Redis for the first time.
        while (await asked(f"{server.admin_url}/readyz"))["degraded"]:
            pass
    own_redis.kill()
    async with asyncio.timeout(15):
        while not (await asked(f"{server.admin_url}/readyz"))["degraded"]:
            pass
    assert await ask(f"{server.url}/readyz") == (200, "ready\n")


async def test_a_database_that_cannot_be_written_is_a_reason(
    server_process: ServerProcesses,
) -> None:
    server = await server_process(admin_port=0)
    (server.folder / "presence.sqlite3").rename(server.folder / "elsewhere.sqlite3")
    status, text = await ask(f"{server.admin_url}/readyz")
    assert status == 503 and "presence.sqlite3" in json.loads(text)["reasons"][0]
    assert await ask(f"{server.url}/readyz") == (503, "not ready\n")
    assert (await ask(f"{server.url}/healthz"))[0] == 200


@asynccontextmanager
async def full_disk(server: ServerProcess, place: Path | PostgresUrl) -> AsyncIterator[None]:
    """As far as the database can tell."""
    if isinstance(place, Path):
        # No file may grow any more. The rest of the last page of the journal is no room either.
        size = Path(f"{place}-wal").stat().st_size
        before = resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        yield
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, before)
        return
    connection = await asyncpg.connect(place.url)
    await connection.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$;"
        " CREATE TRIGGER full_disk BEFORE INSERT ON sessions EXECUTE FUNCTION refuse()"
    )
    try:
        yield
    finally:
        await connection.execute("DROP FUNCTION refuse CASCADE")
        await connection.close()


@pytest.mark.both_databases
async def test_f17_a_full_disk_is_a_reason_until_there_is_room_again(
    server_process: ServerProcesses, visit: Visit, place: Path | PostgresUrl
) -> None:
    server = await server_process(admin_port=0)
    alice = await visit(server, "alice")
    async with full_disk(server, place):
        await until_ready(server, 503)
        status, text = await ask(f"{server.admin_url}/readyz")
        assert status == 503 and "disk" in json.loads(text)["reasons"][0]
        assert (await alice.log_in("alice")).status == 503
        # Who is logged in reads on.
        assert (await alice.get("/")).status == 200
    await until_ready(server, 200)
    assert (await alice.log_in("alice")).status == 303
    log = await server.logged("serves again")
    told = [line for line in log.splitlines() if "presence_server.storage" in line]
    assert len(told) == 2 and "disk" in told[0] and "serves again" in told[1], told


async def until_ready(server: ServerProcess, status: int) -> None:
    await first_answer(lambda: ask(f"{server.url}/readyz"), lambda said: said[0] == status)


async def test_who_lists_who_is_here(server_process: ServerProcesses, visit: Visit) -> None:
    server = await server_process(admin_port=0)
    port = server.admin_url.rpartition(":")[2]
    nobody = await asyncio.to_thread(who, server, "--admin-port", port)
    assert (nobody.returncode, nobody.stdout, nobody.stderr) == (0, "", "Nobody is here.\n")
    alice = await visit(server, "alice")
    # Here for as long as it takes, however busy the machine is.
    async with alice.live() as socket:
        await socket.sees("alice", "online")
        told = await asyncio.to_thread(who, server, "--admin-port", port)
        as_json = await asyncio.to_thread(who, server, "--admin-port", port, "--json")
    assert told.returncode == 0, told.stderr
    assert told.stdout.split()[:3] == ["alice", "online", "since"]
    ((username, person),) = json.loads(as_json.stdout).items()
    assert username == "alice" and person["status"] == "online"
    without = who(server)
    assert without.returncode == 2 and "--admin-port" in without.stderr
    await server.kill()
    gone = who(server, "--admin-port", port)
    assert gone.returncode == 1 and "No server answers" in gone.stderr


async def test_who_says_why_nobody_answers(server_process: ServerProcesses) -> None:
    server = await server_process()
    free = await asyncio.to_thread(who, server, f"--admin-port={free_port()}")
    assert (free.returncode, free.stdout) == (1, "")
    assert free.stderr.startswith("No server answers at http://127.0.0.1:")
    assert free.stderr.endswith("/roster: Connection refused.\n")
    # The public port is none for operators.
    public = await asyncio.to_thread(who, server, f"--admin-port={server.port}")
    assert (public.returncode, public.stdout) == (1, "")
    assert "/roster answers 404: is that the admin port" in public.stderr


async def test_a_pause_of_the_process_is_logged(
    server_process: ServerProcesses, visit: Visit
) -> None:
    server = await server_process(admin_port=0)
    server.pause()
    # Longer than what counts as standing still.
    await asyncio.sleep(1.6)
    server.resume()
    await visit(server, "alice")
    _, text = await ask(f"{server.admin_url}/metrics")
    assert value_of("presence_stalls_total", text) >= 1
    await server.logged("stood still")
    assert await server.end(signal.SIGINT) == 0


async def test_a_loop_that_stands_still_shows_where(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("presence_server.watchdog._INTERVAL", 0.02)
    monkeypatch.setattr("presence_server.watchdog._TOO_LONG", 0.1)
    late: list[float] = []
    watching = asyncio.create_task(Watchdog(late.append).run())
    with caplog.at_level(logging.WARNING):
        await until(lambda: late)
        time.sleep(0.5)
        await until(lambda: max(late, default=0) >= 0.3)
    watching.cancel()
    # A busy machine may have held the process up once more.
    said = [record.message for record in caplog.records if "stands still" in record.message]
    assert any("time.sleep(0.5)" in message for message in said)
