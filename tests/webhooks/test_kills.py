"""Senders killed at random moments, and a receiver that comes and goes: nothing is lost."""

import asyncio
import os
import random
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import web

from presence_server.config import PostgresUrl
from testing.app_crowd import come_and_go, drift
from testing.processes import ServerProcess
from testing.receiver import Delivered, Receiver
from testing.redis_server import RedisServer, free_port
from tests.api.conftest import AddApp, add_app_at
from tests.conftest import ServerProcesses

# More of them: KILLS=100 FUZZ_SEED=7 pytest tests/webhooks/test_kills.py
KILLS = int(os.environ.get("KILLS", "2"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
LEASE = 1
ROOMS = [f"room-{n}" for n in range(5)]
USERS = [f"user-{n}" for n in range(12)]


@pytest.mark.both_databases
@pytest.mark.timeout(180 + KILLS * 30)
async def test_killed_senders_lose_nothing(
    server_process: ServerProcesses,
    redis_server: RedisServer,
    add_app: AddApp,
    receiver: Receiver,
    place: Path | PostgresUrl,
) -> None:
    print(f"FUZZ_SEED={SEED} KILLS={KILLS}")
    chance = random.Random(SEED)
    flags = {"redis_url": redis_server.url, "grace": 0.5, "lease": LEASE}
    ports = [free_port(), free_port()]
    apps = await add_app_at(add_app, ports, webhook=receiver.url)
    servers: list[ServerProcess] = await asyncio.gather(
        *(server_process(port=port, allow_private_webhooks=True, **flags) for port in ports)
    )
    receiver.be_moody(chance)
    people = [asyncio.create_task(come_and_go(user, apps, ROOMS, chance)) for user in USERS]
    for _ in range(KILLS):
        server = chance.choice(servers)
        await asyncio.sleep(chance.uniform(0.3, 1.5))
        await server.kill()
        await asyncio.sleep(chance.uniform(0, 2 * LEASE))
        await server.start()
    for person in people[::2]:
        person.cancel()
    receiver.instead = None
    async with AsyncExitStack() as staying:
        for user in USERS[::2]:
            await staying.enter_async_context(chance.choice(apps).line(user, chance.choice(ROOMS)))
        for person in people:
            person.cancel()
        await asyncio.gather(*people, return_exceptions=True)
        assert await drift(receiver, apps, ROOMS, within=50) == set()
    assert len(receiver.accepted) > KILLS


async def test_the_only_sender_is_killed_and_starts_again(
    server_process: ServerProcesses, add_app: AddApp
) -> None:
    receiver = Receiver()
    async with AsyncExitStack() as receiving:
        await receiving.enter_async_context(receiver.serve())
        port = free_port()
        (app,) = await add_app_at(add_app, [port], webhook=receiver.url)
        server = await server_process(port=port, allow_private_webhooks=True, grace=0.5)
        async with app.line("alice") as alice:
            await alice.first()
            await app.put("doc", "bob", ttl=3600)
            await receiver.hears("doc", "alice", "here")
            await receiver.hears("doc", "bob", "here")
            # It hears of a third, and both are gone before it has said so.
            heard = asyncio.Event()

            async def hang(request: web.Request, delivered: Delivered) -> web.StreamResponse:
                receiver.take(delivered)
                heard.set()
                await asyncio.sleep(30)
                return web.Response()

            receiver.instead = hang
            await app.put("doc", "carol", ttl=3600)
            await asyncio.wait_for(heard.wait(), 10)
            await app.ask("DELETE", "/rooms/doc/users/carol")
            await server.kill()
        receiver.instead = None
        await server.start()
        await receiver.hears("doc", "carol", "gone")
        await receiver.hears("doc", "alice", "gone")
        assert receiver.here() == {"bob"}
    assert receiver.wrong == []
