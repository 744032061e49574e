"""Those who tell an app's backend are killed, and so is the backend."""

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import aiohttp

from drill.figures import Faults, Figures
from presence_server.accounts.keyring import open_keyring
from presence_server.apps import register
from presence_server.apps.register import AppSettings
from presence_server.storage.database import open_database
from testing.app_client import AppClient
from testing.app_crowd import come_and_go, drift
from testing.processes import KEYS, ServerProcess
from testing.receiver import Receiver
from testing.redis_server import RedisServer, lasting_port

faults = Faults()

_KILLS = 12
_LEASE, _GRACE = 2.5, 1.0
_ROOMS = [f"room-{number}" for number in range(5)]
_USERS = [f"user-{number}" for number in range(20)]
# Until a message that was not acknowledged is said again, at the latest.
_PATIENCE = 60.0


@faults.add(
    "F29",
    f"{_KILLS} times, at random moments, one of two servers that tell an app's backend is killed, "
    "the backend 3 times, while 20 people come and go; a third of all answers are errors",
    promised="what the backend knows does not drift: in the end it is the truth, and it is never "
    "told what is older than what it was told before",
    seconds=120,
)
async def tellers_die(figures: Figures) -> None:
    redis, receiver, chance = RedisServer(port=lasting_port()), Receiver(), Random(1)
    async with AsyncExitStack() as stack:
        stack.callback(redis.remove)
        await asyncio.to_thread(redis.start)
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="drill-")))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        hook, port = AsyncExitStack(), lasting_port()
        await hook.enter_async_context(receiver.serve(port))
        stack.push_async_callback(hook.aclose)
        servers = [await _start(stack, folder, name, redis.url) for name in ("a", "b")]
        one = await _add_app(folder, http, servers[0].url, receiver.url)
        apps = [await one.at(server.url).until_known() for server in servers]
        receiver.be_moody(chance)
        people = [
            asyncio.create_task(come_and_go(user, apps, _ROOMS, chance)) for user in _USERS
        ]
        for kill in range(_KILLS):
            await asyncio.sleep(chance.uniform(0.3, 2))
            server = chance.choice(servers)
            await server.kill()
            if kill % 4 == 3:
                await hook.aclose()
                await asyncio.sleep(chance.uniform(0, 2))
                await hook.enter_async_context(receiver.serve(port))
            await asyncio.sleep(chance.uniform(0, 2 * _LEASE))
            await server.start()
        receiver.instead = None
        for person in people:
            person.cancel()
        await asyncio.gather(*people, return_exceptions=True)
        ended = time.monotonic()
        differs = await drift(receiver, apps, _ROOMS, within=_PATIENCE * figures.slack)
        figures.note("right again after", time.monotonic() - ended)
    changes = sum(len(delivered.data["changes"]) for delivered in receiver.accepted)
    figures.note("changes told", changes, "")
    figures.at_most("states that drifted", len(differs), 0, "")
    figures.at_most("older than before", len(receiver.wrong), 0, "")
    figures.at_most("requests at once", receiver.most_at_once, 1, "")


async def _start(
    stack: AsyncExitStack, folder: Path, name: str, redis_url: str
) -> ServerProcess:
    server = ServerProcess(
        folder,
        name,
        port=lasting_port(),
        redis_url=redis_url,
        lease=_LEASE,
        grace=_GRACE,
        allow_private_webhooks=True,
    )
    stack.push_async_callback(server.kill)
    return await server.start()


async def _add_app(
    folder: Path, http: aiohttp.ClientSession, url: str, webhook: str
) -> AppClient:
    async with open_database(folder / "presence.sqlite3") as db:
        keyring = open_keyring(folder / KEYS)
        made = await register.add(
            db, keyring, "wiki", AppSettings(webhook=webhook), int(time.time())
        )
    return AppClient(url, http, {"name": "wiki", "key": made.key, "secret": made.secret})
