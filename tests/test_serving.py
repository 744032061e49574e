"""Starting and ending, as a process manager sees it."""

import asyncio
import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from presence_server.app import create_app
from presence_server.config import Config
from presence_server.resources import ROOT
from presence_server.serving import KEEP_ALIVE
from tests.conftest import ServeApp, ServerProcesses, Visit
from testing.processes import ServerProcess, launch
from testing.redis_server import RedisServer, free_port
from testing.visitor import Visitor
from testing.waiting import STALL, until
from tests.storage.programs import lock_of_another_program

STATUS_WITHIN = 50
ENDS_WITHIN = 5.0 + STALL


@pytest.fixture
def forks() -> bool:
    """Signals, descriptors and the way to the code are those of whoever starts it."""
    return False


async def refused(folder: Path, *arguments: str) -> tuple[int, str]:
    """The exit status of a start that fails, and the one line it says."""
    log_file = folder / "refused.log"
    process = await launch(*arguments, log_file=log_file)
    try:
        async with asyncio.timeout(STATUS_WITHIN):
            stdout, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.communicate()
        raise
    assert stdout == b""
    said = log_file.read_text()
    sentences = [line for line in said.splitlines() if line.startswith("presence-server: ")]
    assert len(sentences) == 1 and "Traceback" not in said, said
    return await process.wait(), sentences[0]


async def test_it_says_where_it_listens_and_answers_there(
    server_process: ServerProcesses, visit: Visit
) -> None:
    server = await server_process()
    assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d+", server.url)
    visitor = await visit(server)
    assert (await visitor.get("/healthz")).status == 200
    assert (await visitor.get("/readyz")).status == 200


async def test_an_ipv6_host_stands_in_brackets(
    server_process: ServerProcesses, visit: Visit
) -> None:
    server = await server_process(host="::1")
    assert server.url.startswith("http://[::1]:")
    visitor = await visit(server)
    assert (await visitor.get("/healthz")).status == 200


async def test_the_admin_port_is_another_listener(
    server_process: ServerProcesses, visit: Visit
) -> None:
    server = await server_process(admin_port=0)
    assert server.admin_url not in ("", server.url)
    visitor = await visit(server.admin_url)
    assert (await visitor.get("/log_in/")).status == 404


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_it_ends_orderly(
    server_process: ServerProcesses, visit: Visit, number: signal.Signals
) -> None:
    server = await server_process()
    alice = await visit(server, "alice")
    async with alice.live() as page, alice.tutorial() as tutorial:
        await page.sees("alice", "online")
        await tutorial.sees("alice", True)
        started = time.monotonic()
        ending = asyncio.create_task(server.end(number))
        bye = await page.message(lambda message: message["type"] == "bye")
        assert bye["reason"] == "restarting"
        assert await page.closed() in (1001, 1012)
        assert await tutorial.closed() in (1001, 1012)
        assert await ending == 0
    assert time.monotonic() - started < ENDS_WITHIN
    assert "Traceback" not in server.log


@pytest.mark.parametrize("log_format", ["text", "json"])
async def test_a_log_that_nobody_reads_holds_nobody_up(
    tmp_path: Path, log_format: str
) -> None:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    server = ServerProcess(tmp_path, log_format=log_format)
    server.stderr = writer
    try:
        await server.start()
        async with Visitor.at(server.url) as visitor:
            # Each has a line, so that the pipe is full after a few.
            for _ in range(100):
                assert (await visitor.get("/log_in/")).status == 200
        started = time.monotonic()
        assert await server.terminate() == 0
        assert time.monotonic() - started < ENDS_WITHIN
    finally:
        await server.kill()
        os.close(reader)
        os.close(writer)


async def test_a_log_that_is_read_again_goes_on(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    server = ServerProcess(tmp_path, log_format="json")
    server.stderr = writer
    try:
        await server.start()
        os.close(writer)
        async with Visitor.at(server.url) as visitor:
            for _ in range(100):
                assert (await visitor.get("/log_in/")).status == 200
        reading = asyncio.create_task(asyncio.to_thread(read_to_the_end, reader))
        assert await server.terminate() == 0
        lines = (await reading).splitlines()
    finally:
        await server.kill()
        os.close(reader)
    messages = [json.loads(line)["message"] for line in lines]
    assert len(messages) > 100 and "stopping" in messages


def read_to_the_end(descriptor: int) -> bytes:
    with open(descriptor, "rb", closefd=False) as pipe:
        return pipe.read()


async def test_a_start_that_waits_is_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "presence.sqlite3"
    log_file = tmp_path / "server.log"
    with lock_of_another_program(path):
        process = await launch("--port=0", f"--database={path}", log_file=log_file)

        def is_heedful() -> bool:
            status = Path(f"/proc/{process.pid}/status").read_text()
            (caught,) = re.findall(r"SigCgt:\s*(\w+)", status)
            return bool(int(caught, 16) & 1 << signal.SIGTERM - 1)

        try:
            await until(is_heedful, STATUS_WITHIN)
            started = time.monotonic()
            process.terminate()
            async with asyncio.timeout(STATUS_WITHIN):
                assert await process.wait() == 0, log_file.read_text()
        finally:
            if process.returncode is None:
                process.kill()
    assert time.monotonic() - started < ENDS_WITHIN
    said = log_file.read_text()
    assert "stopping" in said and "Traceback" not in said and "CRITICAL" not in said


async def test_nohup_is_respected(server_process: ServerProcesses) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        server = await server_process()
    finally:
        signal.signal(signal.SIGHUP, before)
    status = Path(f"/proc/{server.pid}/status").read_text()
    (ignored,) = re.findall(r"^SigIgn:\s(\w+)$", status, re.MULTILINE)
    assert int(ignored, 16) & 1 << signal.SIGHUP - 1


@pytest.mark.parametrize("how", ["time.sleep(60)", "re.match('(x+x+)+y', 'x' * 60)"])
async def test_what_hangs_at_the_end_is_cut_off_in_time(tmp_path: Path, how: str) -> None:
    """The second holds Python's own lock, so that none of its threads runs."""
    (tmp_path / "hanging.py").write_text(
        "import re, sys, time\n"
        "from presence_server import app, cli\n"
        f"async def hang(app): {how}\n"
        "app._say_goodbye = hang\n"
        "sys.exit(cli.main())\n"
    )
    server = ServerProcess(tmp_path, log_format="json")
    server.module = "hanging"
    server.environment["PYTHONPATH"] = f"{ROOT}:{tmp_path}"
    try:
        await server.start()
        started = time.monotonic()
        assert await server.terminate() != 0
        assert time.monotonic() - started < ENDS_WITHIN
    finally:
        await server.kill()
    last = [json.loads(line) for line in server.log.splitlines()][-1]
    if "sleep" in how:
        assert last["level"] == "critical" and "hanging.py" in last["message"]


async def test_it_ends_in_time_with_clients_that_do_not(
    server_process: ServerProcesses, visit: Visit
) -> None:
    server = await server_process()
    # A form whose body never comes, headers that never end, and a socket that never reads.
    _, half_form = await asyncio.open_connection("127.0.0.1", server.port)
    half_form.write(
        b"POST /log_in/ HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\n\r\nuser"
    )
    _, half_header = await asyncio.open_connection("127.0.0.1", server.port)
    half_header.write(b"GET / HTTP/1.1\r\nHost:")
    alice = await visit(server, "alice")
    async with alice.live() as page:
        await page.sees("alice", "online")
        started = time.monotonic()
        assert await server.terminate() == 0
        assert time.monotonic() - started < ENDS_WITHIN
    for writer in (half_form, half_header):
        writer.close()
        with pytest.raises(ConnectionError):
            await writer.wait_closed()
            raise ConnectionError


async def test_a_stopped_server_starts_again(
    server_process: ServerProcesses, visit: Visit
) -> None:
    server = await server_process(port=free_port())
    alice = await visit(server, "alice")
    assert await server.terminate() == 0
    await server.start()
    # The account, the session and the key of its cookie are all still there.
    assert (await alice.get("/")).status == 200


async def test_json_log(server_process: ServerProcesses) -> None:
    server = await server_process(log_format="json")
    assert await server.terminate() == 0
    events = [json.loads(line) for line in server.log.splitlines()]
    assert "stopping" in [event["message"] for event in events]


@pytest.mark.parametrize(
    "flags",
    [
        ["--grace=soon"],
        ["--hots=x"],
        ["--database=nowhere/presence.sqlite3"],
        ["--redis-url=rediss://127.0.0.1/?ssl_ca_certs=nowhere"],
        ["--host=192.0.2.1", "--port=0"],
    ],
)
@pytest.mark.parametrize("how", ["flag", "variable"])
async def test_why_it_does_not_start_is_json_too(
    tmp_path: Path, flags: list[str], how: str
) -> None:
    log_file = tmp_path / "refused.log"
    if how == "flag":
        process = await launch("--log-format", "json", *flags, log_file=log_file)
    else:
        process = await launch(*flags, log_file=log_file, PRESENCE_LOG_FORMAT="json")
    await process.communicate()
    events = [json.loads(line) for line in log_file.read_text().splitlines()]
    assert events[-1]["level"] == "critical" and events[-1]["message"].endswith(".")


async def test_a_risk_is_in_the_log(server_process: ServerProcesses) -> None:
    server = await server_process(host="0.0.0.0")
    assert "WARNING" in await server.logged("unencrypted")


async def test_a_wrong_value(tmp_path: Path) -> None:
    status, sentence = await refused(tmp_path, "--grace=soon")
    assert status == 2
    assert "--grace (PRESENCE_GRACE)" in sentence


async def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, sentence = await refused(tmp_path, f"--port={port}")
    assert status == 2
    assert f"--port: cannot listen on http://127.0.0.1:{port}: Address already in use." in sentence


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "192.0.2.1"])
async def test_a_host_that_is_not_ours(tmp_path: Path, host: str) -> None:
    status, sentence = await refused(tmp_path, f"--host={host}", "--port=0")
    assert status == 2
    assert "--host" in sentence and host in sentence


async def test_a_database_in_a_missing_folder(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "presence.sqlite3"
    status, sentence = await refused(tmp_path, "--port=0", f"--database={path}")
    assert status == 3
    assert str(path) in sentence


async def test_a_database_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "presence.sqlite3"
    path.write_bytes(b"no database" * 1000)
    status, sentence = await refused(tmp_path, "--port=0", f"--database={path}")
    assert status == 3
    assert str(path) in sentence
    assert path.read_bytes() == b"no database" * 1000


async def test_a_wrong_redis_password(tmp_path: Path) -> None:
    server = RedisServer(password="sesame")
    try:
        server.start()
        url = server.url.replace("sesame", "wrong")
        status, sentence = await refused(tmp_path, "--port=0", f"--redis-url={url}")
    finally:
        server.remove()
    assert status == 2
    assert "wrong" not in sentence.replace("wrong password", "")


async def test_an_unknown_redis_host(tmp_path: Path) -> None:
    status, sentence = await refused(
        tmp_path, "--port=0", "--redis-url=redis://no-such-host.invalid"
    )
    assert status == 2
    assert "no-such-host.invalid" in sentence


async def test_an_absent_redis_does_not_stop_the_start(
    server_process: ServerProcesses, visit: Visit
) -> None:
    server = await server_process(redis_url=f"redis://127.0.0.1:{free_port()}")
    alice = await visit(server, "alice")
    async with alice.live() as page:
        await page.sees("alice", "online")
    assert await server.terminate() == 0


async def test_two_processes_share_a_port(
    server_process: ServerProcesses, visit: Visit, redis_server: RedisServer
) -> None:
    port = free_port()
    flags = {"port": port, "reuse_port": True, "redis_url": redis_server.url}
    first, second = await server_process(**flags), await server_process(**flags)
    assert first.url == second.url
    assert await first.terminate() == 0
    # Every new connection now reaches the second.
    visitor = await visit(second)
    assert (await visitor.get("/healthz")).status == 200


async def test_headers_must_come_in_time(
    config: Callable[..., Config], serve_app: ServeApp
) -> None:
    """Or connections that say nothing would pile up for ever: in the time that one may idle."""
    server = await serve_app(create_app(config()), keep_alive=0.3)
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost:")
    async with asyncio.timeout(20):
        assert await reader.read() == b""
    writer.close()
    assert KEEP_ALIVE <= 15


async def test_many_can_connect_at_once(server_process: ServerProcesses) -> None:
    server = await server_process()
    async with Visitor.at(server.url) as visitor:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as http:
            answers = await asyncio.gather(
                *(http.get(f"{visitor.url}/healthz") for _ in range(300))
            )
            assert {answer.status for answer in answers} == {200}
            for answer in answers:
                answer.release()


def test_the_database_is_not_locked_for_long_because_the_event_loop_is_busy(
    tmp_path: Path,
) -> None:
    """Its thread needs Python's lock for each row, and would wait 5 ms for each."""
    program = (
        "import sys\n"
        "from presence_server import serving\n"
        "from presence_server.settings import read_config\n"
        "def furnish(app):\n"
        "    sys.exit(sys.getswitchinterval() > 0.0002)\n"
        "serving.run(read_config({}, {}), furnish)\n"
    )
    command = [sys.executable, "-c", program]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=STATUS_WITHIN)
