from collections.abc import Awaitable, Callable
from typing import NamedTuple

import pytest

from tests.conftest import ServerProcesses
from testing.processes import ServerProcess
from testing.redis_server import RedisServer


class Site(NamedTuple):
    """Two doors to one list: of one process, or of two on one database and one Redis."""

    here: ServerProcess
    there: ServerProcess


OpenSite = Callable[..., Awaitable[Site]]


@pytest.fixture(params=["in-process", "redis", "two processes"])
def open_site(
    request: pytest.FixtureRequest, server_process: ServerProcesses, redis_server: RedisServer
) -> OpenSite:
    """Opens a site with settings of one's own, in each of the ways to run one."""

    async def open(**flags: object) -> Site:
        if request.param != "in-process":
            flags["redis_url"] = redis_server.url
        here = await server_process(**flags)
        if request.param != "two processes":
            return Site(here, here)
        return Site(here, await server_process(**flags))

    return open
