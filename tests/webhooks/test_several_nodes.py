"""Two servers that take turns in telling."""

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from testing.app_client import AppClient
from testing.processes import ServerProcess
from testing.receiver import Receiver
from testing.redis_server import RedisServer, free_port
from testing.waiting import STALL
from tests.api.conftest import AddApp, add_app_at
from tests.conftest import ServerProcesses

LEASE = 1


@pytest.mark.both_databases
async def test_the_duty_goes_on_and_nothing_unknown_is_told(
    server_process: ServerProcesses, own_redis: RedisServer, add_app: AddApp, receiver: Receiver
) -> None:
    ports = [free_port(), free_port()]
    one, other = await add_app_at(add_app, ports, webhook=receiver.url)
    flags = {"redis_url": own_redis.url, "grace": 0.5, "lease": LEASE}
    flags["allow_private_webhooks"] = True
    # Nobody reads what comes over most of the lines here.
    flags["heartbeat"] = 300
    servers = [await server_process(port=ports[0], **flags)]
    await one.put("first", "bot", ttl=3600)
    await receiver.hears("first", "bot", "here")
    servers.append(await server_process(port=ports[1], **flags))
    await _stand_still_and_end(one, other, servers, receiver)
    await servers[1].start()
    await _hear_nothing_of_each_other(one, other, receiver, own_redis)


def _pause_between_writes(server: ServerProcess) -> None:
    """In the middle of one it would hold the SQLite file, and nobody could write any more."""
    if not isinstance(server.flags["database"], Path):
        return server.pause()
    with closing(sqlite3.connect(str(server.flags["database"]), isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        server.pause()


async def _stand_still_and_end(
    one: AppClient, other: AppClient, servers: list[ServerProcess], receiver: Receiver
) -> None:
    """The duty goes on. The first of the servers has it before and after."""
    async with other.line("alice"):
        await receiver.hears("doc", "alice", "here")
        _pause_between_writes(servers[0])
        paused = time.monotonic()
        async with other.line("bob"):
            await receiver.hears("doc", "bob", "here")
            # A lease and two seconds, and what a busy machine takes.
            assert time.monotonic() - paused < LEASE + 2 + STALL
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
        await one.put("late", "dave", ttl=3600)
        began = time.monotonic()
        await receiver.hears("late", "dave", "here")
        assert time.monotonic() - began < 3 + STALL and len(receiver.delivered) > heard


async def _hear_nothing_of_each_other(
    one: AppClient, other: AppClient, receiver: Receiver, own_redis: RedisServer
) -> None:
    """Nobody is told to be gone who may be at the other."""
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
