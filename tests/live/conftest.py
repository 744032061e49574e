from collections.abc import Awaitable, Callable
from itertools import count
from typing import NamedTuple

import pytest

from presence_server.live import turns
from tests.conftest import ServerProcesses
from testing.processes import ServerProcess
from testing.redis_server import RedisServer


class Site(NamedTuple):
    """Two doors to one list: of one process, or of two on one database and one Redis."""

    here: ServerProcess
    there: ServerProcess


OpenSite = Callable[..., Awaitable[Site]]


TWO_PROCESSES = "two processes"

every_way = pytest.mark.parametrize(
    "open_site", ["in-process", "redis", TWO_PROCESSES], indirect=True
)


@pytest.fixture
def open_site(
    request: pytest.FixtureRequest, server_process: ServerProcesses, redis_server: RedisServer
) -> OpenSite:
    """Opens a site with settings of one's own: of two processes, or in `every_way` to run one."""
    way = getattr(request, "param", TWO_PROCESSES)

    async def open(**flags: object) -> Site:
        if way != "in-process":
            flags["redis_url"] = redis_server.url
        here = await server_process(**flags)
        if way != TWO_PROCESSES:
            return Site(here, here)
        return Site(here, await server_process(**flags))

    return open


@pytest.fixture
def counted_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others have a turn behind each few observers, however quick the machine is."""
    clock = count()
    monkeypatch.setattr(turns, "thread_time", lambda: next(clock) / 1000)
