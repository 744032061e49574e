"""`presence-server backup FILE`: a copy of the database, with the server running or not."""

import argparse
import errno
from pathlib import Path

from presence_server.commands.parsers import Subparsers
from presence_server.storage.database import Database, NoBackup
from presence_server.commands.database import Refused, run_on_database
from presence_server.config import Config


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    parser = subparsers.add_parser("backup", help="copy the database, server running or not")
    parser.add_argument("file", metavar="FILE", type=Path, help="replaced if it exists")
    return parser


def run(args: argparse.Namespace, config: Config) -> int:
    async def work(db: Database) -> None:
        keys = config.secret_key_file
        try:
            if keys is not None and args.file.resolve() == keys.resolve():
                raise FileExistsError(errno.EEXIST, "it is the file of the secret keys")
            await db.backup(args.file)
        except NoBackup as refusal:
            raise Refused(str(refusal)) from refusal
        except OSError as error:
            raise Refused(f"{args.file} cannot be written: {error.strerror}.") from error
        print(f"Copied {config.database} to {args.file}.")

    return run_on_database(config, work)
