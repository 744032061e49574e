"""`presence-server database copy FROM TO`: all accounts and sessions, from one to another."""

import argparse
import asyncio
import sys
from pathlib import Path

from presence_server import logs
from presence_server.commands.parsers import Subparsers
from presence_server.storage import copying
from presence_server.storage.database import open_database
from presence_server.commands.database import counted
from presence_server.config import Config, ConfigError, PostgresUrl
from presence_server.settings import read_database


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    parser = subparsers.add_parser("database", help="move to another database")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    copy = actions.add_parser(
        "copy", help="copy all accounts and sessions; stop the servers of both first"
    )
    for name in ("from", "to"):
        copy.add_argument(name, metavar=name.upper(), help="a file or a postgresql:// URL")
    return parser


def run(args: argparse.Namespace, config: Config) -> int:
    source, target = (_place(vars(args)[name]) for name in ("from", "to"))
    try:
        copied = asyncio.run(_copy(source, target))
    except copying.CannotCopy as problem:
        logs.say(str(problem))
        return 1
    apps = f" and {counted(copied['apps'], 'app')}" if copied["apps"] else ""
    print(
        f"Copied {counted(copied['users'], 'user')} with "
        f"{counted(copied['sessions'], 'session')}{apps} from {source} to {target}, "
        "and read them back."
    )
    return 0


def _place(text: str) -> Path | PostgresUrl:
    try:
        return read_database(text)
    except ValueError:
        raise ConfigError(
            "FROM and TO must be the path of a file, or a URL that starts with postgresql://."
        ) from None


async def _copy(source: Path | PostgresUrl, target: Path | PostgresUrl) -> dict[str, int]:
    async with (
        open_database(source, create=False) as of,
        open_database(target, unfinished=True) as to,
    ):
        return await copying.copy(of, to, _report)


def _report(table: str, number: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{number} {table} ", end="", file=sys.stderr, flush=True)
