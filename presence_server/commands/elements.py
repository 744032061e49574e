"""The demo's page of elements: an app of its own, tokens for whoever looks, and readers."""

import asyncio
import random
import re
import secrets
import time
from collections.abc import AsyncIterator, Sequence

import aiohttp_jinja2
from aiohttp import web

from presence_server.app import add_routes
from presence_server.apps import register, tokens
from presence_server.apps.register import AppSettings
from presence_server.apps.rooms import AppRooms
from presence_server.apps.tokens import SigningKey
from presence_server.keys import APPS, CONFIG, DATABASE, KEYRING, ROOMS
from presence_server.presence.client_messages import StatusMessage
from presence_server.web.hosts import site_url
from presence_server.web.rendering import render

PATH = "/elements/"

_APP = "elements"
_ROOM = "page"
_TOKEN_LIFE = 600  # seconds
_KEY = web.AppKey("_KEY", SigningKey)

_COOKIE = "presence_demo_reader"
_READER = re.compile(r"[0-9a-f]{8}")
# What whoever looks is called, by the number in their cookie.
_MANNERS = "Brave Bright Calm Clever Curious Gentle Happy Lucky Quick Quiet Swift Witty".split()
_ANIMALS = "Badger Bear Crane Deer Fox Hare Heron Lynx Otter Owl Robin Wren".split()

_READERS = 14
_HERE = 8
_PAUSE = 2.0  # seconds between two who do something, on average
_STAYS = 3_600  # seconds
_SAID = (
    StatusMessage("online", whole_user=True),
    StatusMessage("away", whole_user=True),
    StatusMessage("busy", whole_user=True, text="on the phone"),
    StatusMessage("busy", whole_user=True, text="in a meeting"),
    StatusMessage("away", whole_user=True, text="lunch"),
)


def furnish(app: web.Application, names: Sequence[str]) -> None:
    """Add the page to a site; of `names` some are those of readers."""
    readers = [name.title() for name in random.sample(names, _READERS)]

    async def show(request: web.Request) -> web.Response:
        reader = _reader(request) or secrets.token_hex(4)
        context = {
            "reader": reader,
            "called": _called(reader),
            "readers": readers,
            "address": site_url(request),
        }
        response = await render(request, "elements.html", context)
        path = request.app[CONFIG].base_path + PATH
        response.set_cookie(_COOKIE, reader, path=path, httponly=True, samesite="Lax")
        return response

    async def live(app: web.Application) -> AsyncIterator[None]:
        app[_KEY] = await _sign_up(app)
        async with asyncio.TaskGroup() as tasks:
            crowd = _Readers(app[ROOMS], app[_KEY].app, readers)
            living = tasks.create_task(crowd.live(), name="made-up readers")
            yield
            living.cancel()

    app.cleanup_ctx.append(live)
    aiohttp_jinja2.get_env(app).globals["elements_page"] = PATH
    add_routes(app, [web.get(PATH, show), web.get(f"{PATH}token", _give_token)])


async def _sign_up(app: web.Application) -> SigningKey:
    now = int(time.time())
    made = await register.add(app[DATABASE], app[KEYRING], _APP, AppSettings(), now)
    await app[APPS].read()
    known = app[APPS].named(_APP)
    assert known is not None
    return SigningKey(known.id, made.key, made.secret)


async def _give_token(request: web.Request) -> web.Response:
    """What a page asks the backend of its own application for."""
    reader, room = _reader(request), request.query.get("room")
    if reader is None or room != _ROOM:
        raise web.HTTPForbidden
    now, info = int(time.time()), {"name": _called(reader)}
    key, rooms = request.app[_KEY], {room: "join"}
    return web.Response(text=tokens.make_token(key, reader, rooms, now, _TOKEN_LIFE, info))


def _reader(request: web.Request) -> str | None:
    known = request.cookies.get(_COOKIE, "")
    return known if _READER.fullmatch(known) else None


def _called(reader: str) -> str:
    others, animal = divmod(int(reader, 16), len(_ANIMALS))
    return f"{_MANNERS[others % len(_MANNERS)]} {_ANIMALS[animal]}"


class _Readers:
    """They are here as a backend says of somebody without a line."""

    def __init__(self, rooms: AppRooms, app: int, names: Sequence[str]) -> None:
        self._rooms = rooms
        self._app = app
        self._names = names
        self._here: set[str] = set()

    async def live(self) -> None:
        for name in self._names[:_HERE]:
            self._come(name)
        while True:
            await asyncio.sleep(random.expovariate(1 / _PAUSE))
            self._act(random.choice(self._names))

    def _act(self, name: str) -> None:
        if name not in self._here:
            self._come(name)
        elif random.random() < len(self._here) / len(self._names):
            self._here.discard(name)
            self._rooms.end_user(self._app, name, _ROOM)
        else:
            self._say(random.choice(_SAID), name)

    def _come(self, name: str) -> None:
        self._here.add(name)
        self._rooms.place(self._app, _ROOM, name, "online", _STAYS, {})
        self._say(_SAID[0], name)

    def _say(self, said: StatusMessage, name: str) -> None:
        self._rooms.choose(self._app, name, said)
