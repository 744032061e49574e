from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from itertools import count
from pathlib import Path
from ssl import SSLContext
from typing import Any

import aiohttp_jinja2
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from jinja2.bccache import Bucket, BytecodeCache
from playwright.async_api import Browser

from presence_server.app import create_app
from presence_server.config import Config, PostgresUrl
from presence_server.storage.database import Database, open_database
from presence_server.web.runner import Runner
from testing.browsers import open_browser
from testing.postgresql_server import PostgresqlServer
from testing.postgresql_server import running as postgresql_server_running
from testing.processes import ServerProcess, on_database
from testing.redis_server import RedisServer, free_port
from testing.visitor import Visitor

Serve = Callable[..., Awaitable[TestServer]]
ServeApp = Callable[..., Awaitable[TestServer]]
ServerProcesses = Callable[..., Awaitable[ServerProcess]]
Visit = Callable[..., Awaitable[Visitor]]


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A server on a Unix socket that all tests share: leave it running."""
    yield from _running(RedisServer())


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A server on a Unix socket for this test alone, to be killed, paused and restarted."""
    yield from _running(RedisServer())


@pytest.fixture
def tcp_redis() -> Iterator[RedisServer]:
    """Like own_redis, on a TCP port of 127.0.0.1."""
    yield from _running(RedisServer(port=free_port()))


def _running(server: RedisServer) -> Iterator[RedisServer]:
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def pristine_postgresql() -> Iterator[Path]:
    """The data of a server that nobody has used."""
    with postgresql_server_running() as server:
        server.stop()
        yield server.data


@pytest.fixture(scope="session")
def postgresql_server(pristine_postgresql: Path) -> Iterator[PostgresqlServer]:
    """A server that all tests share: leave it running."""
    with postgresql_server_running(pristine_postgresql) as server:
        yield server


@pytest.fixture
def own_postgresql(pristine_postgresql: Path) -> Iterator[PostgresqlServer]:
    """A server for this test alone, to be killed, paused and restarted."""
    with postgresql_server_running(pristine_postgresql) as server:
        yield server


@pytest.fixture
def postgresql(postgresql_server: PostgresqlServer) -> Iterator[PostgresUrl]:
    """A database of this test's own, with the newest schema."""
    with postgresql_server.database() as url:
        yield url


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "place" in metafunc.fixturenames and metafunc.definition.get_closest_marker(
        "both_databases"
    ):
        metafunc.parametrize("place", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | PostgresUrl:
    """Where the database of this test is; the mark `both_databases` has it run on both."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return tmp_path / "presence.sqlite3"
    url: PostgresUrl = request.getfixturevalue("postgresql")
    return url


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "presence.sqlite3"


@pytest.fixture
async def db(place: Path | PostgresUrl) -> AsyncIterator[Database]:
    async with open_database(place) as db:
        yield db


@pytest.fixture
def config(tmp_path: Path, place: Path | PostgresUrl) -> Callable[..., Config]:
    """Makes a Config for this test: a database of its own and cheap passwords."""

    def make(**settings: Any) -> Config:
        keys = tmp_path / "presence.sqlite3.key"
        given = {"database": place, "secret_key_file": keys, "bcrypt_cost": 4, **settings}
        return Config(**given)

    return make


@pytest.fixture
async def serve_app() -> AsyncIterator[ServeApp]:
    """Serves an application inside this test, with connections as in a process of its own."""
    async with AsyncExitStack() as started:

        async def start(
            app: web.Application,
            port: int = 0,
            ssl: SSLContext | None = None,
            keep_alive: float = 75,
        ) -> TestServer:
            server = _ServerInside(app, port=port)
            server.keep_alive = keep_alive
            await server.start_server(ssl=ssl)
            started.push_async_callback(server.close)
            return server

        yield start


class _ServerInside(TestServer):
    keep_alive: float

    async def _make_runner(self, **kwargs: Any) -> Runner:
        return Runner(self.app, keepalive_timeout=self.keep_alive, shutdown_timeout=1)


@pytest.fixture(scope="session", autouse=True)
def pages_compiled_once() -> Iterator[None]:
    """With a new application for each test, that would be a quarter of all the work."""
    with pytest.MonkeyPatch.context() as patch:
        setup = partial(aiohttp_jinja2.setup, bytecode_cache=_Compiled())
        patch.setattr(aiohttp_jinja2, "setup", setup)
        yield


class _Compiled(BytecodeCache):
    def __init__(self) -> None:
        self._codes: dict[tuple[str, str], Any] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._codes.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._codes[bucket.key, bucket.checksum] = bucket.code


@pytest.fixture
def serve(config: Callable[..., Config], serve_app: ServeApp) -> Serve:
    """Serves the site inside this test, with settings of one's own."""

    async def start(**settings: Any) -> TestServer:
        return await serve_app(create_app(config(**settings)))

    return start


@pytest.fixture
def forks() -> bool:
    """Whether server processes of the test begin without reading the code anew."""
    return True


@pytest.fixture
async def server_process(
    tmp_path: Path, place: Path | PostgresUrl, forks: bool
) -> AsyncIterator[ServerProcesses]:
    """Starts real server processes; each call adds one, all on the database of this test."""
    numbers = count(1)
    database = on_database(place, tmp_path)
    async with AsyncExitStack() as started:

        async def start(**flags: object) -> ServerProcess:
            server = ServerProcess(tmp_path, f"server-{next(numbers)}", **{**database, **flags})
            server.forks = forks
            started.push_async_callback(server.kill)
            return await server.start()

        yield start


@pytest.fixture
async def visit() -> AsyncIterator[Visit]:
    """Opens a browser of its own at a site; with a name, as somebody who has just come in.

    `await visit(server)`, `await visit(server, "alice")`: a URL, or anything that serves.
    """
    async with AsyncExitStack() as visitors:

        async def open_at(
            site: str | ServerProcess | TestServer, username: str | None = None
        ) -> Visitor:
            visitor = await visitors.enter_async_context(Visitor.at(_url(site)))
            return visitor if username is None else await visitor.enter(username)

        yield open_at


def _url(site: str | ServerProcess | TestServer) -> str:
    if isinstance(site, TestServer):
        return str(site.make_url(""))
    return site if isinstance(site, str) else site.url


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with open_browser() as browser:
        yield browser
