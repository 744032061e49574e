"""Who starts in the place of a node that was killed lets the crowd come in at the others first."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from presence_server.crowd import Crowd
from presence_server.nodes import crowds
from presence_server.nodes.crowds import let_crowds_in, tell_crowds
from presence_server.nodes.lives import Lives
from testing.processes import ServerProcess
from testing.redis_server import RedisServer
from testing.waiting import until

WAITS = "waiting until those are in"


class Killed(Lives):
    """As if another node of the machine had been killed. Each look is counted."""

    looks = 0

    def find_ended(self) -> dict[str, Path]:
        return {"cc": Path("cc")}

    def is_any_crowded(self) -> bool:
        self.looks += 1
        return super().is_any_crowded()


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowds, "_LOOK", 0.01)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "presence.sqlite3"


@pytest.fixture
def crowded(database: Path) -> Iterator[Lives]:
    """Of a node at which a crowd comes in."""
    with Lives(database, "bb") as lives:
        lives.say_crowded(True)
        yield lives


async def test_it_begins_when_the_crowd_is_in(database: Path, crowded: Lives) -> None:
    killed = Killed(database, "dd")
    waiting = asyncio.create_task(let_crowds_in(killed, 60))
    await until(lambda: killed.looks > 5)
    assert not waiting.done()
    crowded.say_crowded(False)
    async with asyncio.timeout(10):
        await waiting


@pytest.mark.usefixtures("crowded")
async def test_it_does_not_wait_for_ever(database: Path) -> None:
    killed, began = Killed(database, "dd"), time.monotonic()
    async with asyncio.timeout(10):
        await let_crowds_in(killed, 0.1)
    assert time.monotonic() - began >= 0.1


@pytest.mark.usefixtures("crowded")
async def test_where_nobody_was_killed_a_further_node_helps_at_once(database: Path) -> None:
    async with asyncio.timeout(10):
        await let_crowds_in(Lives(database, "dd"), 3600)


async def test_others_are_told_while_a_crowd_comes_in(database: Path) -> None:
    crowd, other = Crowd(), Lives(database, "dd")
    with ExitStack() as stack:
        lives = stack.enter_context(Lives(database, "bb"))
        telling = asyncio.create_task(tell_crowds(crowd, lives))
        now = time.monotonic()
        crowd.note(now - 1, now)
        await until(other.is_any_crowded)
        assert not lives.is_any_crowded(), "it is its own"
        await until(lambda: not other.is_any_crowded())
        telling.cancel()


async def test_a_server_that_was_killed_starts_again_when_the_crowd_is_in(
    tmp_path: Path, database: Path, redis_server: RedisServer
) -> None:
    server = ServerProcess(tmp_path, redis_url=redis_server.url)
    try:
        await server.start()
        await server.kill()
        with Lives(database, "bb") as crowded:
            crowded.say_crowded(True)
            starting = asyncio.create_task(server.start())
            await server.logged(WAITS)
            assert not starting.done()
            crowded.say_crowded(False)
            await starting
    finally:
        await server.kill()
