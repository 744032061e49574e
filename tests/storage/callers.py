"""Callers of a database who give up."""

import asyncio

from presence_server.accounts import users
from presence_server.storage.database import Database


async def cancel_at_any_turn(db: Database) -> None:
    """Have writes cancelled before they begin, while they wait, and while they are carried out."""
    for turns in range(40):
        task = asyncio.ensure_future(users.create(db, f"user{turns:02}", "hash", 1))
        for _ in range(turns % 8):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
