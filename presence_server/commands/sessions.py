"""`presence-server sessions …`: where a user is logged in."""

import argparse
import json
import time

from presence_server.accounts import sessions
from presence_server.commands.parsers import Subparsers
from presence_server.storage.database import Database
from presence_server.commands.database import (
    audited,
    counted,
    minute,
    named_user,
    printable,
    run_on_database,
)
from presence_server.config import Config

_SHOWN = ("device", "address", "started_at", "used_at")


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    parser = subparsers.add_parser("sessions", help="list or end the sessions of a user")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for action, about in (("list", "where a user is logged in"), ("end", "log a user out")):
        action_parser = actions.add_parser(action, help=about)
        action_parser.add_argument("name", metavar="NAME")
        if action == "list":
            action_parser.add_argument("--json", action="store_true", help="an object a line")
    return parser


def run(args: argparse.Namespace, config: Config) -> int:
    async def work(db: Database) -> None:
        user = await named_user(db, args.name)
        if args.action == "list":
            await _list(db, user.id, as_json=args.json)
        else:
            writer = audited(db, "ended the sessions of", user.username)
            ended = await sessions.end_all(writer, user.id, int(time.time()))
            print(f"Ended {counted(ended, 'session')} of {user.username}.")

    return run_on_database(config, work)


async def _list(db: Database, user_id: int, *, as_json: bool) -> None:
    for session in await sessions.of_user(db, user_id):
        if as_json:
            print(json.dumps({name: getattr(session, name) for name in _SHOWN}))
            continue
        print(
            f"{printable(session.device):32}  from {printable(session.address)}"
            f"  since {minute(session.started_at)}  last used {minute(session.used_at)}"
        )
