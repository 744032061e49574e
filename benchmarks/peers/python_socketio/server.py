"""python server.py serve | populate"""

import argparse
import asyncio
import sqlite3
from collections import Counter
from pathlib import Path

import aiosqlite
import socketio
from aiohttp import web
from aiohttp_session import Session, get_session, setup
from aiohttp_session.cookie_storage import EncryptedCookieStorage
from cryptography.fernet import Fernet

COOKIE = "socketio_session"
SCHEMA = "CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY, username TEXT NOT NULL UNIQUE)"
DATABASE = web.AppKey("DATABASE", aiosqlite.Connection)


def storage(database: Path) -> EncryptedCookieStorage:
    """The key lies beside the database and is made when there is none."""
    path = database.with_suffix(".key")
    if not path.exists():
        path.write_bytes(Fernet.generate_key())
    return EncryptedCookieStorage(path.read_text(), cookie_name=COOKIE)


def create_app(database: Path, redis_url: str) -> web.Application:
    manager = socketio.AsyncRedisManager(redis_url)
    server = socketio.AsyncServer(async_mode="aiohttp", client_manager=manager)
    here = Counter()
    app = web.Application()
    setup(app, storage(database))
    server.attach(app)

    @server.event
    async def connect(sid, environ):
        session = await get_session(environ["aiohttp.request"])
        query = "SELECT username FROM users WHERE username = ?"
        async with app[DATABASE].execute(query, (session.get("username"),)) as rows:
            row = await rows.fetchone()
        if row is None:
            raise socketio.exceptions.ConnectionRefusedError("log in first")
        await server.save_session(sid, {"username": row[0]})
        here[row[0]] += 1
        if here[row[0]] == 1:
            await server.emit("user", {"username": row[0], "is_logged_in": True})

    @server.event
    async def disconnect(sid, reason):
        username = (await server.get_session(sid))["username"]
        here[username] -= 1
        if not here[username]:
            await server.emit("user", {"username": username, "is_logged_in": False})

    async def services(app):
        async with aiosqlite.connect(database) as app[DATABASE]:
            await app[DATABASE].execute("PRAGMA journal_mode = WAL")
            await app[DATABASE].execute(SCHEMA)
            yield

    app.cleanup_ctx.append(services)
    return app


async def serve(options: argparse.Namespace) -> None:
    runner = web.AppRunner(create_app(options.database, options.redis_url), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", options.port, backlog=4096).start()
    host, port = runner.addresses[0][:2]
    print(f"Listening on http://{host}:{port}", flush=True)
    await asyncio.Event().wait()


async def populate(options: argparse.Namespace) -> None:
    names = [f"{options.prefix}{number}" for number in range(options.users)]
    with sqlite3.connect(options.database) as database:
        database.execute(SCHEMA)
        insert = "INSERT OR IGNORE INTO users (username) VALUES (?)"
        database.executemany(insert, ((name,) for name in names))
    database.close()
    cookies = storage(options.database)
    for name in names[: options.sessions]:
        session = Session(None, data=None, new=True)
        session["username"] = name
        response = web.Response()
        await cookies.save_session(None, response, session)
        print(f"{COOKIE}={response.cookies[COOKIE].value}")


def main() -> None:
    parser = argparse.ArgumentParser()
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
