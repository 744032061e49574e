"""Real sockets hold the rules whatever people do. `make model` walks further."""

from pathlib import Path

import pytest

from tests.conftest import ServerProcesses
from tests.live import tab, walk
from tests.live.broken_server import BREACHES
from tests.live.walk import Walk, flags
from testing.processes import ServerProcess
from testing.redis_server import RedisServer


# It takes as many turns on a busy machine, and each takes longer.
pytestmark = pytest.mark.timeout(180)


@pytest.mark.parametrize("relay", ["in-process", "redis"])
async def test_a_random_walk_over_a_real_server(
    relay: str, server_process: ServerProcesses, redis_server: RedisServer
) -> None:
    url = redis_server.url if relay == "redis" else None
    server = await server_process(**flags(redis_url=url))
    await Walk(server, seed=len(relay), acts=60).run()


@pytest.mark.parametrize("breach", BREACHES)
async def test_a_walk_finds_a_rule_that_does_not_hold(
    breach: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (tab, walk):
        monkeypatch.setattr(module, "WITHIN", 3.0)
    server = ServerProcess(tmp_path, "broken", **flags())
    server.module, server.environment = "tests.live.broken_server", {"BROKEN": breach}
    try:
        await server.start()
        with pytest.raises(AssertionError) as caught:
            await Walk(server, seed=1, acts=60).run()
    finally:
        await server.kill()
    assert "--seed 1" in str(caught.value)
