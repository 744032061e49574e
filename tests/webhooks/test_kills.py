"""Senders killed at random moments, and a receiver that comes and goes: nothing is lost."""

import asyncio
import os
import random
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from presence_server.config import PostgresUrl
from testing.app_client import AppClient
from testing.processes import ServerProcess
from testing.receiver import Delivered, Receiver
from testing.redis_server import RedisServer, free_port
from tests.api.conftest import AddApp
from tests.conftest import ServerProcesses

# More of them: KILLS=100 FUZZ_SEED=7 pytest tests/webhooks/test_kills.py
KILLS = int(os.environ.get("KILLS", "2"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
LEASE = 1
ROOMS = [f"room-{n}" for n in range(5)]
USERS = [f"user-{n}" for n in range(12)]


async def come_and_go(user: str, apps: list[AppClient], chance: random.Random) -> None:
    """A line after the other, to whichever server answers; away without a word, or with one."""
    while True:
        app, room = chance.choice(apps), chance.choice(ROOMS)
        try:
            async with app.line(user, room) as line:
                await line.first()
                await asyncio.sleep(chance.uniform(0, 1))
                if chance.random() < 0.5:
                    await line.send({"type": "leave"})
                    await line.closed()
        except (aiohttp.ClientError, OSError, AssertionError, TimeoutError):
            await asyncio.sleep(0.1)


async def truth(app: AppClient) -> set[tuple[str, str]]:
    return {(room, user) for room in (*ROOMS, "lobby") for user in await app.here(room)}


async def knows_the_truth(receiver: Receiver, apps: list[AppClient]) -> None:
    known: set[tuple[str, str]] = set()
    true: list[set[tuple[str, str]]] = []
    try:
        async with asyncio.timeout(50):
            while not true or any(known != there for there in true):
                await asyncio.sleep(0.1)
                known = {place for place, said in receiver.told.items() if said["status"] == "here"}
                true = [await truth(app) for app in apps]
    except TimeoutError:
        raise AssertionError([(known - there, there - known) for there in true]) from None


def moody(receiver: Receiver, chance: random.Random) -> None:
    """Sometimes it fails, before or after it has believed what it is told."""

    async def answer(request: web.Request, delivered: Delivered) -> web.StreamResponse:
        mood = chance.random()
        if mood > 0.1:
            receiver.take(delivered)
        if mood < 0.2:
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=200 if mood > 0.3 else 500)

    receiver.instead = answer


@pytest.mark.both_databases
@pytest.mark.timeout(60 + KILLS * 10)
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
    servers: list[ServerProcess] = [
        await server_process(port=free_port(), allow_private_webhooks=True, **flags)
        for _ in range(2)
    ]
    one = await add_app(servers[0].url, webhook=receiver.url)
    apps = [await one.at(server.url).until_known() for server in servers]
    moody(receiver, chance)
    people = [asyncio.create_task(come_and_go(user, apps, chance)) for user in USERS]
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
        await knows_the_truth(receiver, apps)
    assert len(receiver.accepted) > KILLS


async def test_the_only_sender_is_killed_and_starts_again(
    server_process: ServerProcesses, add_app: AddApp
) -> None:
    receiver = Receiver()
    async with AsyncExitStack() as receiving:
        await receiving.enter_async_context(receiver.serve())
        server = await server_process(port=free_port(), allow_private_webhooks=True, grace=0.5)
        app = await (await add_app(server.url, webhook=receiver.url)).until_known()
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
