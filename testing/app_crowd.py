"""People of an app who come and go as they like, and whether its backend knows who is there."""

import asyncio
import time
from collections.abc import Sequence
from random import Random

import aiohttp

from testing.app_client import AppClient
from testing.receiver import Place, Receiver


async def come_and_go(
    user: str, apps: Sequence[AppClient], rooms: Sequence[str], chance: Random
) -> None:
    """One line after the other, to whichever server answers; away without a word, or with one."""
    while True:
        app, room = chance.choice(apps), chance.choice(rooms)
        try:
            async with app.line(user, room) as line:
                await line.first()
                await asyncio.sleep(chance.uniform(0, 1))
                if chance.random() < 0.5:
                    await line.send({"type": "leave"})
                    await line.closed()
        except (aiohttp.ClientError, OSError, AssertionError, TimeoutError):
            await asyncio.sleep(0.1)


async def drift(
    receiver: Receiver, apps: Sequence[AppClient], rooms: Sequence[str], within: float
) -> set[Place]:
    """In what a backend differs from all servers, when it has had its time to catch up."""
    deadline = time.monotonic() + within
    while differs := await _differs(receiver, apps, rooms):
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(0.1)
    return differs


async def _differs(
    receiver: Receiver, apps: Sequence[AppClient], rooms: Sequence[str]
) -> set[Place]:
    differs: set[Place] = set()
    for app in apps:
        there = {(room, user) for room in (*rooms, "lobby") for user in await app.here(room)}
        differs |= there ^ receiver.knows()
    return differs
