"""A user list over WebSockets: a set of sockets, a `send_str` loop, and Redis between processes.

The tutorial's pages and messages. Better than the tutorial in one respect: a user with two tabs
stays online until the last is closed.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from html import escape
from pathlib import Path
from typing import Any

import aiosqlite
import bcrypt
from aiohttp import WSMsgType, web
from aiohttp_session import get_session, new_session, setup
from aiohttp_session.cookie_storage import EncryptedCookieStorage
from cryptography.fernet import Fernet
from redis import asyncio as aioredis

CHANNEL = "users"
COOKIE = "plain_session"
SCHEMA = """
CREATE TABLE IF NOT EXISTS users (
    id INTEGER PRIMARY KEY,
    username TEXT NOT NULL UNIQUE,
    password_hash BLOB NOT NULL
)
"""

DATABASE = web.AppKey("DATABASE", aiosqlite.Connection)
REDIS = web.AppKey("REDIS", aioredis.Redis)
SOCKETS = web.AppKey("SOCKETS", set[web.WebSocketResponse])
HERE = web.AppKey("HERE", Counter[str])

FORM = """<form method="post">
<input name="username"><input name="password" type="password"><button>Go</button>
</form>"""


def storage(database: Path) -> EncryptedCookieStorage:
    """The key lies beside the database and is made when there is none."""
    path = database.with_suffix(".key")
    if not path.exists():
        path.write_bytes(Fernet.generate_key())
    return EncryptedCookieStorage(path.read_text(), cookie_name=COOKIE)


async def who(request: web.Request) -> str | None:
    session = await get_session(request)
    query = "SELECT username FROM users WHERE username = ?"
    async with request.app[DATABASE].execute(query, (session.get("username"),)) as rows:
        row = await rows.fetchone()
    return row[0] if row else None


async def form(request: web.Request) -> web.Response:
    return web.Response(text=FORM, content_type="text/html")


async def sign_up(request: web.Request) -> web.Response:
    data = await request.post()
    password = str(data["password"]).encode()
    hashed = await asyncio.to_thread(bcrypt.hashpw, password, bcrypt.gensalt())
    insert = "INSERT INTO users (username, password_hash) VALUES (?, ?)"
    try:
        await request.app[DATABASE].execute(insert, (str(data["username"]), hashed))
        await request.app[DATABASE].commit()
    except aiosqlite.IntegrityError:
        return web.Response(text=FORM, content_type="text/html", status=400)
    raise web.HTTPSeeOther("/log_in/")


async def log_in(request: web.Request) -> web.Response:
    data = await request.post()
    query = "SELECT password_hash FROM users WHERE username = ?"
    async with request.app[DATABASE].execute(query, (str(data["username"]),)) as rows:
        row = await rows.fetchone()
    password = str(data["password"]).encode()
    if row is None or not await asyncio.to_thread(bcrypt.checkpw, password, row[0]):
        return web.Response(text=FORM, content_type="text/html", status=401)
    session = await new_session(request)
    session["username"] = str(data["username"])
    raise web.HTTPSeeOther("/")


async def log_out(request: web.Request) -> web.Response:
    (await get_session(request)).invalidate()
    raise web.HTTPSeeOther("/log_in/")


async def user_list(request: web.Request) -> web.Response:
    if await who(request) is None:
        raise web.HTTPSeeOther("/log_in/")
    here = request.app[HERE]
    async with request.app[DATABASE].execute("SELECT username FROM users") as rows:
        items = [
            f"<li>{escape(name)}: {'Online' if here[name] else 'Offline'}</li>"
            async for (name,) in rows
        ]
    return web.Response(text=f"<ul>{''.join(items)}</ul>", content_type="text/html")


async def live(request: web.Request) -> web.WebSocketResponse:
    username = await who(request)
    if username is None:
        raise web.HTTPUnauthorized
    socket = web.WebSocketResponse(heartbeat=20, compress=False)
    await socket.prepare(request)
    request.app[SOCKETS].add(socket)
    await tell(request.app, username, True)
    try:
        async for message in socket:
            if message.type is WSMsgType.ERROR:
                break
    finally:
        request.app[SOCKETS].discard(socket)
        await tell(request.app, username, False)
    return socket


async def tell(app: web.Application, username: str, is_logged_in: bool) -> None:
    message = {"username": username, "is_logged_in": is_logged_in}
    await app[REDIS].publish(CHANNEL, json.dumps(message))


async def listen(app: web.Application) -> None:
    async with app[REDIS].pubsub() as channel:
        await channel.subscribe(CHANNEL)
        async for message in channel.listen():
            if message["type"] == "message":
                await send_to_all(app, message["data"])


async def send_to_all(app: web.Application, text: str) -> None:
    change: dict[str, Any] = json.loads(text)
    here, sockets = app[HERE], app[SOCKETS]
    here[change["username"]] += 1 if change["is_logged_in"] else -1
    if here[change["username"]] != change["is_logged_in"]:
        return  # another tab of the same user
    for socket in list(sockets):
        try:
            await socket.send_str(text)
        except ConnectionError:
            pass  # its handler notices and takes it out


def create_app(database: Path, redis_url: str) -> web.Application:
    async def services(app: web.Application) -> AsyncIterator[None]:
        # The default pool raises when a hundred people connect at once; this one lets them wait.
        pool = aioredis.BlockingConnectionPool.from_url(redis_url, decode_responses=True)
        redis = aioredis.Redis.from_pool(pool)
        async with aiosqlite.connect(database) as app[DATABASE], redis as app[REDIS]:
            await app[DATABASE].execute("PRAGMA journal_mode = WAL")
            await app[DATABASE].execute(SCHEMA)
            listener = asyncio.create_task(listen(app))
            yield
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)

    app = web.Application()
    setup(app, storage(database))
    app[SOCKETS] = set()
    app[HERE] = Counter()
    app.cleanup_ctx.append(services)
    app.add_routes(
        [
            web.get("/", user_list),
            web.get("/users/", live),
            web.get("/sign_up/", form),
            web.post("/sign_up/", sign_up),
            web.get("/log_in/", form),
            web.post("/log_in/", log_in),
            web.post("/log_out/", log_out),
        ]
    )
    return app
