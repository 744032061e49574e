"""Two servers that take turns in telling."""

import asyncio
import time

import pytest

from testing.app_client import AppClient
from testing.processes import ServerProcess
from testing.receiver import Receiver
from testing.redis_server import RedisServer, free_port
from tests.api.conftest import AddApp
from tests.conftest import ServerProcesses

LEASE = 1


@pytest.fixture
async def two(
    server_process: ServerProcesses, own_redis: RedisServer, add_app: AddApp, receiver: Receiver
) -> tuple[list[AppClient], list[ServerProcess]]:
    """The first has the duty."""
    flags = {"redis_url": own_redis.url, "grace": 0.5, "lease": LEASE}
    flags["allow_private_webhooks"] = True
    servers = [await server_process(port=free_port(), **flags)]
    one = await (await add_app(servers[0].url, webhook=receiver.url)).until_known()
    await one.put("first", "bot", ttl=3600)
    await receiver.hears("first", "bot", "here")
    servers.append(await server_process(port=free_port(), **flags))
    return [one, await one.at(servers[1].url).until_known()], servers


Two = tuple[list[AppClient], list[ServerProcess]]


async def test_the_duty_goes_on_when_its_node_stands_still_or_ends(
    two: Two, receiver: Receiver
) -> None:
    (_, other), servers = two
    async with other.line("alice"):
        await receiver.hears("doc", "alice", "here")
        servers[0].pause()
        paused = time.monotonic()
        async with other.line("bob"):
            await receiver.hears("doc", "bob", "here")
            # A lease and two seconds, and what a message waits for.
            assert time.monotonic() - paused < LEASE + 3
        await receiver.hears("doc", "bob", "gone")
        servers[0].resume()
        async with other.line("carol"):
            await receiver.hears("doc", "carol", "here")
        await receiver.hears("doc", "carol", "gone")
        assert ("doc", "bob") in receiver.told and receiver.here() == {"alice"}
        # Who ends properly lays the duty down.
        ended = asyncio.create_task(servers[1].terminate())
        await receiver.hears("doc", "alice", "gone")
        assert await ended == 0
        heard = len(receiver.delivered)
        await two[0][0].put("doc", "dave", ttl=3600)
        began = time.monotonic()
        await receiver.hears("doc", "dave", "here")
        assert time.monotonic() - began < 3 and len(receiver.delivered) > heard


async def test_nobody_is_told_to_be_gone_while_others_are_not_heard(
    two: Two, receiver: Receiver, own_redis: RedisServer
) -> None:
    (one, other), _ = two
    async with one.line("watcher") as watcher:
        async with other.line("alice"), one.line("bob"):
            await receiver.hears("doc", "alice", "here")
            await receiver.hears("doc", "bob", "here")
            own_redis.kill()
            await watcher.until(lambda: watcher.degraded)
            async with one.line("carol"):
                await receiver.hears("doc", "carol", "here")
        # A grace and more.
        await asyncio.sleep(2)
        assert receiver.here() == {"watcher", "alice", "bob", "carol"}
        own_redis.start()
        for user in ("alice", "bob", "carol"):
            await receiver.hears("doc", user, "gone", within=20)
        assert receiver.here() == {"watcher"}
