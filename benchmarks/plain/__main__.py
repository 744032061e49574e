"""python -m benchmarks.plain serve | populate"""

import argparse
import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import bcrypt
from aiohttp import web
from aiohttp_session import Session

from benchmarks.plain.server import COOKIE, SCHEMA, create_app, storage


async def serve(options: argparse.Namespace) -> None:
    runner = web.AppRunner(create_app(options.database, options.redis_url), access_log=None)
    await runner.setup()
    # As generous as ours: with the default backlog of 128 a crowd waits for its SYNs.
    await web.TCPSite(runner, "127.0.0.1", options.port, backlog=4096).start()
    host, port = runner.addresses[0][:2]
    print(f"Listening on http://{host}:{port}", flush=True)
    await asyncio.Event().wait()


async def populate(options: argparse.Namespace) -> None:
    hashed = bcrypt.hashpw(b"johnson123", bcrypt.gensalt(4))
    names = [f"{options.prefix}{number}" for number in range(options.users)]
    with sqlite3.connect(options.database) as database:
        database.execute(SCHEMA)
        insert = "INSERT OR IGNORE INTO users (username, password_hash) VALUES (?, ?)"
        database.executemany(insert, ((name, hashed) for name in names))
    database.close()
    cookies = storage(options.database)
    for name in names[: options.sessions]:
        session = Session(None, data=None, new=True)
        session["username"] = name
        response = web.Response()
        # It never looks at the request.
        request: Any = None
        await cookies.save_session(request, response, session)
        print(f"{COOKIE}={response.cookies[COOKIE].value}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plain")
    commands = parser.add_subparsers(required=True)
    server = commands.add_parser("serve")
    server.add_argument("--redis-url", required=True)
    server.add_argument("--port", type=int, default=8000)
    server.set_defaults(run=serve)
    accounts = commands.add_parser("populate")
    accounts.add_argument("--users", type=int, required=True)
    accounts.add_argument("--sessions", type=int, required=True)
    accounts.add_argument("--prefix", default="user")
    accounts.set_defaults(run=populate)
    for command in (server, accounts):
        command.add_argument("--database", type=Path, required=True)
    options = parser.parse_args()
    asyncio.run(options.run(options))


main()
