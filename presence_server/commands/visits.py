"""`presence-server visits`: who was here, and when."""

import argparse
import json
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from presence_server.apps import register
from presence_server.apps.register import App
from presence_server.commands.database import (
    Refused,
    named_app,
    printable,
    run_on_database,
    second,
)
from presence_server.commands.parsers import Subparsers
from presence_server.config import Config
from presence_server.csv_text import csv_rows
from presence_server.presence.names import app_of, key_of, name_of
from presence_server.presence.records import OWN
from presence_server.presence.visits import Visit
from presence_server.storage.database import Database
from presence_server.visits import written
from presence_server.visits.written import Asked

_COLUMNS = ("room", "user", "came", "left")


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    parser = subparsers.add_parser("visits", help="who was here, and when (needs --visits DAYS)")
    parser.add_argument(
        "--at", metavar="TIME", help="who was here at a time in UTC, such as '2026-11-25 14:03'"
    )
    parser.add_argument("--app", metavar="NAME", help="of an app")
    parser.add_argument("--room", metavar="ROOM", help="in this room of the app, or of every app")
    parser.add_argument("--user", metavar="U", help="of one user only")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON, one visit a line")
    form.add_argument("--csv", action="store_true", help="print CSV")
    return parser


def run(args: argparse.Namespace, config: Config) -> int:
    async def work(db: Database) -> None:
        at = None if args.at is None else _second(args.at)
        apps = await _apps(db, args)
        if args.app is not None and args.room is None and at is None:
            raise Refused("Name a room, too (--room ROOM), or a time (--at TIME).")
        write = _writer(args)
        # An app may have some from when they were kept, which are not all deleted yet.
        kept = [key_of(app.id, args.room or "") for app in apps if app.settings.visits]
        for start in kept if apps else [OWN]:
            found = _all(db, start, args) if at is None else _at(db, start, args, at)
            async for visit in found:
                write(visit)

    return run_on_database(config, work)


async def _apps(db: Database, args: argparse.Namespace) -> list[App]:
    """Those that were asked for: a room without an app is that of every app."""
    if args.app is not None:
        return [await named_app(db, args.app)]
    apps = [] if args.room is None else await register.listed(db)
    if args.room is not None and not apps:
        raise Refused("Rooms have a name in apps only, and there is no app.")
    return apps


async def _at(
    db: Database, start: str, args: argparse.Namespace, at: int
) -> AsyncIterator[Visit]:
    for visit in await written.at(db, at, start):
        in_room = visit.room == start or (args.room is None and args.app is not None)
        if in_room and args.user in (None, visit.user):
            yield visit


async def _all(db: Database, room: str, args: argparse.Namespace) -> AsyncIterator[Visit]:
    async for some in written.batches(db, Asked(room, user=args.user)):
        for visit in some:
            yield visit


def _second(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(f"--at must be a time such as 2026-11-25 14:03, not {text!r}.") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _writer(args: argparse.Namespace) -> Callable[[Visit], None]:
    if args.json:
        return lambda visit: print(json.dumps(_fields(visit)))
    if args.csv:
        print(",".join(_COLUMNS))
        return lambda visit: print(_row(visit))
    return lambda visit: print("  ".join(_words(visit)))


def _fields(visit: Visit) -> dict[str, Any]:
    room = name_of(visit.room)
    return {"room": room, "user": visit.user, "came": visit.came, "left": visit.left}


def _row(visit: Visit) -> str:
    values = _fields(visit).values()
    return csv_rows([["" if value is None else str(value) for value in values]]).decode().strip()


def _words(visit: Visit) -> Iterator[str]:
    if app_of(visit.room):
        yield f"{name_of(visit.room):24}"
    yield f"{printable(visit.user):24}"
    yield f"from {second(visit.came)}"
    yield "still here" if visit.left is None else f"to {second(visit.left)}"
