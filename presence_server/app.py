"""The one file that wires everything: routes, middlewares, services, and the order of their end."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import product

import aiohttp_session
from aiohttp import web

from presence_server.config import Config
from presence_server.crowd import Crowd
from presence_server.keys import (
    CONFIG,
    COOKIE_NAME,
    CROWD,
    DATABASE,
    METRICS,
    PASSWORDS,
    PRESENCE,
    SITE,
    STOPPING,
    STORE,
)
from presence_server.metrics import Metrics
from presence_server.resources import CLIENT_FILES, STATIC, TEMPLATES
from presence_server.services import open_services
from presence_server.storage.database import open_database
from presence_server.web.admin.gate import hidden
from presence_server.web.bearers import count_requests
from presence_server.web.bodies import LARGEST
from presence_server.web.cookies import CookieStorage, cookie_name
from presence_server.web.cors import allow_origins
from presence_server.web.hosts import known_host, operators_only
from presence_server.web.identity import identity
from presence_server.web.middlewares import (
    below_base_path,
    error_pages,
    same_origin,
    secure_headers,
)
from presence_server.web.onward import add_slash
from presence_server.web.rendering import set_up_templates
from presence_server.web.routes import operators_routes, routes
from presence_server.web.static_files import StaticFiles
from presence_server.web.turnstile import TURNSTILE, Turnstile


def create_app(config: Config) -> web.Application:
    """The whole server as an application; its services open when it starts."""
    app = web.Application(client_max_size=LARGEST)
    app[CONFIG] = config
    app[STOPPING] = asyncio.Event()
    app[METRICS] = Metrics()
    app[CROWD] = Crowd()
    app[TURNSTILE] = Turnstile(app[CROWD])
    static = StaticFiles(STATIC, CLIENT_FILES, config.base_path)
    add_routes(app, routes(static))
    if config.base_path:
        app.router.add_route("*", config.base_path, add_slash)
    set_up_templates(app, TEMPLATES, static, config)
    app.on_response_prepare.append(below_base_path)
    app.on_response_prepare.append(secure_headers)
    app.on_response_prepare.append(allow_origins)
    app.on_response_prepare.append(count_requests)
    aiohttp_session.setup(app, CookieStorage(config))
    # Outermost first; the session's own stands before these.
    app.middlewares.extend([error_pages, known_host, same_origin, identity, hidden])
    app.on_shutdown.append(_say_goodbye)
    app.cleanup_ctx.append(_services)
    return app


def add_routes(app: web.Application, added: Iterable[web.RouteDef]) -> None:
    """`added` are written as if the site had no path."""
    # A proxy may pass the path on, or take off it what all addresses of the site begin with.
    base_paths = dict.fromkeys((app[CONFIG].base_path, ""))
    app.add_routes(
        web.RouteDef(route.method, base_path + route.path, route.handler, route.kwargs)
        for base_path, route in product(base_paths, added)
    )


def create_admin_app(app: web.Application) -> web.Application:
    """What operators read, for a listener of its own."""
    admin = web.Application()
    admin[CONFIG], admin[SITE] = app[CONFIG], app
    admin.add_routes(operators_routes())
    admin.middlewares.append(operators_only)
    admin.on_response_prepare.append(secure_headers)
    return admin


@asynccontextmanager
async def _services(app: web.Application) -> AsyncIterator[None]:
    # One context for all: aiohttp does not close earlier ones when a later one fails to open.
    async with AsyncExitStack() as stack:
        database = open_database(app[CONFIG].database, timed=app[METRICS].time_database)
        app[DATABASE] = await stack.enter_async_context(database)
        app[COOKIE_NAME] = cookie_name(app[CONFIG], app[DATABASE].site)
        await open_services(app, stack)
        yield


async def _say_goodbye(app: web.Application) -> None:
    app[STOPPING].set()
    app[PASSWORDS].stop()
    app[STORE].stop()
    await app[PRESENCE].stop()
