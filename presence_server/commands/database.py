"""What the commands have in common that work on the database, with a server running or not."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from presence_server.accounts import users
from presence_server.storage.database import Database, open_database
from presence_server.accounts.users import User
from presence_server.config import Config


class Refused(Exception):
    """Why a command does nothing; the text is a sentence."""


def run_on_database(
    config: Config, work: Callable[[Database], Awaitable[None]], *, create: bool = False
) -> int:
    """Open the database for `work` and return the exit status."""
    try:
        asyncio.run(_run(config, work, create))
    except Refused as refusal:
        print(f"presence-server: {refusal}", file=sys.stderr)
        return 1
    return 0


async def _run(
    config: Config, work: Callable[[Database], Awaitable[None]], create: bool
) -> None:
    async with open_database(config.database, create=create) as db:
        await work(db)


async def named_user(db: Database, name: str) -> User:
    user = await users.find(db, name)
    if user is None:
        raise Refused(f"There is no user {printable(name)}.")
    return user


def printable(text: str) -> str:
    """The text without anything that a terminal could take for a command."""
    return text if text.isprintable() else ascii(text)


def minute(moment: int | None) -> str:
    """In UTC, as the log has it, whatever zone this machine or its reader is in."""
    if moment is None:
        return "never"
    try:
        return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError, OSError):
        return f"second {moment}"
