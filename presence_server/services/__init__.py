"""What works behind the pages of one process: opened in order, and ended in the reverse one."""

import asyncio
import secrets
from collections.abc import Iterable
from contextlib import AsyncExitStack, closing

from aiohttp import web

from presence_server.accounts.finding import Finder
from presence_server.accounts.keyring import open_keyring
from presence_server.accounts.passwords import Passwords
from presence_server.accounts.throttle import Throttle
from presence_server.accounts.upkeep import keep_up
from presence_server.apps.known import KnownApps
from presence_server.apps.limits import ApiRates, AppLines, Rate
from presence_server.background import Background
from presence_server.keys import (
    API_RATES,
    APPS,
    APP_LINES,
    CONFIG,
    CROWD,
    DATABASE,
    ENDINGS,
    ENDINGS_READER,
    FINDER,
    KEYRING,
    PASSWORDS,
    PRESENCE,
    PROFILE_RATE,
    PULSE,
    SEATS,
    SENDER,
    STORE,
    THROTTLE,
)
from presence_server.live.seats import Seats, capacity
from presence_server.nodes.crowds import let_crowds_in, tell_crowds
from presence_server.services.measuring import open_measuring
from presence_server.services.presence import lives_of, make_presence, meet, read_who_is_known
from presence_server.services.telling import open_telling


# Changes of what an account shows: so many at once, and so many a second after.
_PROFILE_CHANGES = 20, 1 / 6


async def open_services(app: web.Application, stack: AsyncExitStack) -> None:
    """The application has its settings and its database."""
    _open_basis(app, stack)
    config, name = app[CONFIG], secrets.token_hex(8)
    lives = lives_of(config, name)
    if config.redis_url is not None:
        # While a crowd comes in, the other nodes keep whom the dead one had for as long.
        await let_crowds_in(lives, 2 * config.lease + config.grace)
    presence, reached = await make_presence(app, name)
    if config.redis_url is not None:
        # To the end: what this process has to say and to write comes before.
        stack.enter_context(lives)
    ended = lives.find_ended()
    news = await read_who_is_known(app, presence, ended)
    watchdog = open_measuring(app, presence)
    tasks = await stack.enter_async_context(Background())
    upkeep = keep_up(app[ENDINGS], presence.hub.sessions, presence.end)
    running = [
        tasks.start("watchdog", watchdog.run()),
        tasks.start("pulse", app[PULSE].run()),
        tasks.start("presence", presence.run()),
        tasks.start("endings", app[ENDINGS_READER].run()),
        tasks.start("store", app[STORE].run()),
        tasks.start("upkeep of sessions", upkeep),
        tasks.start("crowds", tell_crowds(app[CROWD], lives)),
        tasks.start("profiles", news.run()),
        tasks.start("apps", app[APPS].run()),
    ]
    stack.push_async_callback(app[STORE].close)
    duty, attendance = open_telling(app, presence, stack)
    _end_first(stack, running)
    await meet(app, presence, ended, reached=reached)
    if reached:
        lives.forget(ended)
    # Nobody is told before it is known who is here.
    telling = [
        tasks.start("duty", duty.run()),
        tasks.start("webhooks", app[SENDER].run()),
        tasks.start("visits", attendance.run()),
    ]
    _end_first(stack, telling)
    app[PRESENCE] = presence


def _end_first(stack: AsyncExitStack, running: Iterable[asyncio.Task[None]]) -> None:
    for task in running:
        stack.callback(task.cancel)


def _open_basis(app: web.Application, stack: AsyncExitStack) -> None:
    config, database = app[CONFIG], app[DATABASE]
    app[FINDER] = Finder(database)
    app[KEYRING] = open_keyring(config.key_file)
    app[APPS] = KnownApps(database, app[KEYRING])
    app[PASSWORDS] = stack.enter_context(closing(Passwords(config.bcrypt_cost)))
    app[THROTTLE] = Throttle()
    app[API_RATES] = ApiRates()
    app[PROFILE_RATE] = Rate(*_PROFILE_CHANGES)
    app[APP_LINES] = AppLines(capacity)
    app[SEATS] = Seats(config.max_sockets_per_user, config.max_sockets_per_address)
