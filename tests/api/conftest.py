"""Applications at servers inside the test, and at server processes."""

import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from presence_server.accounts.keyring import open_keyring
from presence_server.apps import register
from presence_server.apps.register import AppSettings
from presence_server.config import PostgresUrl
from presence_server.keys import APPS
from presence_server.storage.database import open_database
from testing.app_client import AppClient
from testing.processes import KEYS, ServerProcess
from testing.waiting import until
from tests.conftest import Serve

AddApp = Callable[..., Awaitable[AppClient]]
ORIGIN = "https://wiki.example"


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as http:
        yield http


@pytest.fixture
def add_app(
    place: Path | PostgresUrl, tmp_path: Path, http: aiohttp.ClientSession
) -> AddApp:
    """Makes an app as `app add` does, and its client at a URL."""

    async def add(url: str, name: str = "wiki", **settings: Any) -> AppClient:
        given = AppSettings(**{"origins": (ORIGIN,), **settings})
        async with open_database(place) as db:
            keyring = open_keyring(tmp_path / KEYS)
            made = await register.add(db, keyring, name, given, int(time.time()))
        secrets = {"name": name, "key": made.key, "secret": made.secret}
        return AppClient(url, http, secrets)

    return add


async def add_app_at(add_app: AddApp, ports: Sequence[int], **settings: Any) -> list[AppClient]:
    """An app, and its clients at servers that know it as soon as they start on these ports."""
    one = await add_app(f"http://127.0.0.1:{ports[0]}", **settings)
    return [one, *(one.at(f"http://127.0.0.1:{port}") for port in ports[1:])]


async def written_down(
    server: ServerProcess, here: Sequence[str], chosen: Sequence[str] = ()
) -> None:
    """Until its next life can know who is here, and who has chosen what to be."""
    wanted = {("here", name) for name in here} | {("choices", name) for name in chosen}
    with closing(sqlite3.connect(str(server.flags["database"]))) as db:
        await until(lambda: wanted <= set(db.execute(_WRITTEN_DOWN)))


_WRITTEN_DOWN = """
    SELECT 'here', username FROM here
    UNION ALL SELECT 'choices', username FROM choices WHERE status IS NOT NULL
"""


@pytest.fixture
async def server(serve: Serve) -> TestServer:
    return await serve(grace=0.5)


@pytest.fixture
async def app(server: TestServer, add_app: AddApp) -> AppClient:
    """An app that the server knows."""
    client = await add_app(str(server.make_url("")).rstrip("/"))
    await server.app[APPS].read()
    return client


# To be gone at once is to be gone long before this.
PATIENCE = 20.0
AT_ONCE = 15.0


@pytest.fixture
async def patient(app: AppClient, server: TestServer, add_app: AddApp) -> AppClient:
    """Another app there, who gives its people a long grace."""
    client = await add_app(app.url, "patient", grace=PATIENCE)
    await server.app[APPS].read()
    return client
