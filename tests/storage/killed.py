"""Sign-ups by processes that are killed."""

import asyncio
import os
import random
import signal
from itertools import count
from pathlib import Path

from presence_server.accounts import users
from presence_server.storage.database import Database, open_database

_CLIENTS = 20


def main(path: Path, lives: int) -> None:
    """Print the names that were acknowledged in so many lives.

    Each life is a fork, for most of a process is otherwise the start of Python.
    """
    chance = random.Random(19)
    for life in range(lives):
        for name in _one_life(path, life, chance.randrange(1, 60)):
            print(name)


def _one_life(path: Path, life: int, acknowledged: int) -> list[str]:
    """What was acknowledged by one who is killed after so many, at whatever it does then."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(_sign_up(path, life, writer))
        finally:
            os._exit(1)
    os.close(writer)
    received = b""
    while received.count(b"\n") < acknowledged:
        more = os.read(reader, 4096)
        assert more, "it ended before it was killed"
        received += more
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while more := os.read(reader, 4096):
        received += more
    os.close(reader)
    return received.decode().split()


async def _sign_up(path: Path, life: int, acknowledge: int) -> None:
    numbers = count()

    async def client(db: Database) -> None:
        for number in numbers:
            name = f"life{life}.{number}"
            await users.create(db, name, "h" * 60, 0)
            os.write(acknowledge, f"{name}\n".encode())

    async with open_database(path) as db:
        await asyncio.gather(*(client(db) for _ in range(_CLIENTS)))
