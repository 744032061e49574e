"""What the commands have in common that work on the database, with a server running or not."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from presence_server import logs
from presence_server.accounts import users
from presence_server.accounts.audit import Actor, Audited
from presence_server.accounts.users import User
from presence_server.apps import register
from presence_server.apps.register import App
from presence_server.config import Config
from presence_server.endings import Endings
from presence_server.storage import database
from presence_server.storage.database import Database, open_database

_MACHINE = Actor()


class Refused(Exception):
    """Why a command does nothing; the text is a sentence."""


def run_on_database(
    config: Config, work: Callable[[Database], Awaitable[None]], *, create: bool = False
) -> int:
    """Open the database for `work` and return the exit status."""
    # What it says of trouble is the sentence that the command ends with.
    log = logging.getLogger(database.__name__)
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        asyncio.run(_run(config, work, create))
    except Refused as refusal:
        logs.say(str(refusal))
        return 1
    finally:
        log.setLevel(level)
    return 0


async def _run(
    config: Config, work: Callable[[Database], Awaitable[None]], create: bool
) -> None:
    is_new = isinstance(config.database, Path) and not config.database.exists()
    async with open_database(config.database, create=create) as db:
        if is_new:
            # It may be the wrong folder.
            logs.say(f"Made a new database, {db.name}.", logging.INFO)
        await work(db)


async def named_user(db: Database, name: str) -> User:
    user = await users.find(db, name)
    if user is None:
        raise Refused(f"There is no user {printable(name)}.")
    return user


async def named_app(db: Database, name: str) -> App:
    try:
        return await register.find(db, name)
    except register.NoSuchApp:
        raise Refused(f"There is no app {printable(name)}.") from None


def audited(db: Database, act: str, whom: str = "") -> Audited:
    """The way to write for a command: `act` is what stands in the administrators' log."""
    return Audited(Endings(db), _MACHINE, act, whom, int(time.time()))


def printable(text: str) -> str:
    """The text without anything that a terminal could take for a command."""
    return text if text.isprintable() else ascii(text)


def minute(moment: int | None) -> str:
    """In UTC, as the log has it, whatever zone this machine or its reader is in."""
    return "never" if moment is None else _written(moment, "%Y-%m-%d %H:%M UTC")


def second(moment: int) -> str:
    return _written(moment, "%Y-%m-%d %H:%M:%S UTC")


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _written(moment: int, form: str) -> str:
    try:
        return datetime.fromtimestamp(moment, UTC).strftime(form)
    except (ValueError, OverflowError, OSError):
        # No year has it: another program wrote it.
        return f"second {moment}"
