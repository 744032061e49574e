"""Accounts and live sessions for a load test, in the server's own database.

Prints, for each session, the value of a `Cookie` header that logs its user in. The server may be
running meanwhile, and the database may hold other people already.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar, cast

import bcrypt
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from aiohttp_session import session_middleware

from presence_server.accounts import sessions, users
from presence_server.storage.database import Database, Row, Transaction, Value, open_database
from presence_server.accounts.keyring import open_keyring
from presence_server.config import Config
from presence_server.endings import Endings
from presence_server.keys import COOKIE_NAME, KEYRING
from presence_server.settings import read_database
from presence_server.web import cookies

PASSWORD = "johnson123"
# One fsync for so many people, and a running server waits for its turn only this long.
BATCH = 1000

T = TypeVar("T")


class _InTransaction:
    """Stands for the database inside one transaction, so that many acts share a commit."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def read(self, sql: str, *values: Value) -> list[Row]:
        return await self._transaction.execute(sql, *values)

    async def write(self, work: Callable[[Transaction], Coroutine[Any, Any, T]]) -> T:
        return await work(self._transaction)


async def populate(config: Config, prefix: str, count: int, logged_in: int) -> list[str]:
    """The `Cookie` headers of the first `logged_in` of `count` people."""
    # Everybody has the same password, so one hash serves all.
    password_hash = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    secrets: list[str] = []
    async with open_database(config.database) as database:
        for numbers in _batches(range(count)):
            # mypy cannot infer the type of a lambda that has a default.
            secrets += await database.write(
                lambda transaction, numbers=numbers: _add(  # type: ignore[misc]
                    cast(Database, _InTransaction(transaction)),
                    [f"{prefix}{number}" for number in numbers],
                    password_hash,
                    sum(number < logged_in for number in numbers),
                )
            )
        name = cookies.cookie_name(config, database.site)
    return await _cookies(config, name, secrets)


def _batches(numbers: Iterable[int]) -> Iterator[list[int]]:
    iterator = iter(numbers)
    while batch := list(islice(iterator, BATCH)):
        yield batch


async def _add(
    database: Database, names: Sequence[str], password_hash: str, logged_in: int
) -> list[str]:
    now = int(time.time())
    secrets = []
    for position, name in enumerate(names):
        user = await users.find(database, name)
        if user is None:
            user = await users.create(database, name, password_hash, now)
        if position < logged_in:
            secret, _ = await sessions.start(
                Endings(database), user.id, "127.0.0.1", "load test", now
            )
            secrets.append(secret)
    return secrets


async def _cookies(config: Config, name: str, secrets: Iterable[str]) -> list[str]:
    """As the log-in page would set them."""
    app = web.Application()
    app[KEYRING] = open_keyring(config.key_file)
    app[COOKIE_NAME] = name
    storage = cookies.CookieStorage(config)
    remembering = session_middleware(storage)
    values = []
    for secret in secrets:

        async def remember(request: web.Request, secret: str = secret) -> web.StreamResponse:
            await cookies.remember(request, secret, "")
            return web.Response()

        response = await remembering(make_mocked_request("GET", "/", app=app), remember)
        values += [f"{name}={morsel.value}" for name, morsel in response.cookies.items()]
    return values


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m testing.populate", description=__doc__)
    parser.add_argument("--database", type=read_database, required=True)
    parser.add_argument("--users", type=int, required=True, metavar="N", help="PREFIX0 and so on")
    parser.add_argument(
        "--sessions", type=int, required=True, metavar="M", help="log the first M of them in"
    )
    parser.add_argument("--prefix", default="user")
    parser.add_argument(
        "--secret-key-file", type=Path, help="as given to the server (default: as the server's)"
    )
    options = parser.parse_args(argv)
    if options.sessions > options.users:
        parser.error("--sessions can be at most --users")
    settings = {"database": options.database}
    if options.secret_key_file:
        settings["secret_key_file"] = options.secret_key_file
    lines = asyncio.run(
        populate(Config(**settings), options.prefix, options.users, options.sessions)
    )
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
