from asyncio import Runner
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, expect

from tests.browser.window import WITHIN, Window
from testing.browsers import open_browser
from testing.processes import ServerProcess

OpenWindow = Callable[..., Awaitable[Window]]

# A heartbeat for pages whose clock is wound on by minutes: the server's own goes on by seconds, and
# with a shorter one their line would seem dead.
QUIET = 3600


@pytest.fixture
def _function_scoped_runner(_session_scoped_runner: Runner) -> Runner:
    """All tests here share an event loop, as the objects of Playwright belong to one: a browser of
    its own for each would take as long as the test itself. This is how pytest-asyncio names it."""
    return _session_scoped_runner


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with open_browser() as browser:
        yield browser


@pytest.fixture
async def window(browser: Browser) -> AsyncIterator[OpenWindow]:
    """Opens a browser window with cookies of its own; with a name, as somebody who just came in.

    At the end no console may have complained. A test that breaks something on purpose clears
    what it has seen.
    """
    expect.set_options(timeout=WITHIN)
    windows: list[Window] = []

    async def open_window(
        site: str | ServerProcess | TestServer, username: str | None = None, **options: Any
    ) -> Window:
        context = await browser.new_context(**options)
        context.set_default_timeout(WITHIN)
        context.set_default_navigation_timeout(2 * WITHIN)
        opened = Window(await context.new_page(), url_of(site))
        windows.append(opened)
        return opened if username is None else await opened.enter(username)

    yield open_window
    for each in windows:
        await each.context.close()
    assert [each.complaints for each in windows if each.complaints] == []


def url_of(site: str | ServerProcess | TestServer) -> str:
    if isinstance(site, TestServer):
        return str(site.make_url(""))
    return site if isinstance(site, str) else site.url
