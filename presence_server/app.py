"""The one file that wires everything: routes, middlewares, services, and the order of their end."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from functools import partial
from pathlib import Path
from itertools import product

import aiohttp_session
from aiohttp import web

from presence_server import relay, visits
from presence_server.storage.database import Database, open_database
from presence_server.apps.known import KnownApps
from presence_server.apps.limits import ApiRates, AppLines
from presence_server.apps.lines import Lines
from presence_server.apps.rooms import AppRooms
from presence_server.attendance import Attendance
from presence_server.accounts import profiles
from presence_server.accounts.keyring import open_keyring
from presence_server.accounts.upkeep import keep_up
from presence_server.accounts.passwords import Passwords
from presence_server.accounts.profiles import ProfileNews
from presence_server.accounts.throttle import Throttle
from presence_server.background import Background
from presence_server.config import Config
from presence_server.duty import Duty
from presence_server.endings import Ending, Endings, EndingsReader, Reason
from presence_server.keys import (
    API_RATES,
    APPS,
    APP_LINES,
    CONFIG,
    COOKIE_NAME,
    DATABASE,
    ENDINGS,
    ENDINGS_READER,
    KEYRING,
    LINES,
    METRICS,
    PASSWORDS,
    PRESENCE,
    PULSE,
    ROOMS,
    SEATS,
    SENDER,
    SITE,
    STOPPING,
    STORE,
    THROTTLE,
)
from presence_server.live.cover import Cover
from presence_server.live.service import PresenceService
from presence_server.live.seats import Seats, capacity
from presence_server.metrics import Metrics
from presence_server.pulse import Counts, Pulse
from presence_server.resources import CLIENT, STATIC, TEMPLATES
from presence_server.store import Store
from presence_server.watchdog import Watchdog
from presence_server.web import (
    account,
    api,
    api_description,
    backends,
    links,
    operations,
    operators,
    pages,
    rooms,
)
from presence_server.web.admin import routes as administration
from presence_server.web.cookies import CookieStorage, cookie_name
from presence_server.web.bearers import count_requests
from presence_server.web.bodies import LARGEST
from presence_server.web.cors import allow_origins, preflight
from presence_server.web.hosts import known_host, operators_only
from presence_server.web.identity import identity
from presence_server.web.live import live
from presence_server.web.manifest import Manifest
from presence_server.web.middlewares import (
    below_base_path,
    error_pages,
    same_origin,
    secure_headers,
)
from presence_server.web.once import Once
from presence_server.web.rendering import StaticFiles, set_up_templates
from presence_server.web.single_sign_on import by_password, log_in_page
from presence_server.web.turnstile import TURNSTILE, Turnstile
from presence_server.webhooks.sender import Sender


# Seconds in which a node that goes on with visits has surely written what it saw.
_WRITTEN_WITHIN = 10.0


def create_app(config: Config) -> web.Application:
    """The whole server as an application; its services open when it starts."""
    app = web.Application(client_max_size=LARGEST)
    app[CONFIG] = config
    app[STOPPING] = asyncio.Event()
    app[METRICS] = Metrics()
    app[TURNSTILE] = Turnstile()
    static = StaticFiles(STATIC, CLIENT, config.base_path)
    add_routes(app, _routes(static))
    if config.base_path:
        app.router.add_route("*", config.base_path, pages.add_slash)
    set_up_templates(app, TEMPLATES, static, config)
    app.on_response_prepare.append(below_base_path)
    app.on_response_prepare.append(secure_headers)
    app.on_response_prepare.append(allow_origins)
    app.on_response_prepare.append(count_requests)
    aiohttp_session.setup(app, CookieStorage(config))
    # Outermost first; the session's own stands before these.
    app.middlewares.extend([error_pages, known_host, same_origin, identity])
    app.on_shutdown.append(_say_goodbye)
    app.cleanup_ctx.append(_services)
    return app


def add_routes(app: web.Application, routes: Iterable[web.RouteDef]) -> None:
    """`routes` are written as if the site had no path."""
    # A proxy may pass the path on, or take off it what all addresses of the site begin with.
    base_paths = dict.fromkeys((app[CONFIG].base_path, ""))
    app.add_routes(
        web.RouteDef(route.method, base_path + route.path, route.handler, route.kwargs)
        for base_path, route in product(base_paths, routes)
    )


def _routes(static: StaticFiles) -> list[web.RouteDef]:
    once = Once()
    without_slash = ("/account", "/log_in", "/log_out", "/sign_up", "/users")
    return [
        web.get("/", pages.list_users),
        web.get("/sign_up/", by_password(pages.show_sign_up)),
        web.post("/sign_up/", by_password(once(pages.sign_up))),
        web.get("/log_in/", log_in_page(pages.show_log_in)),
        web.post("/log_in/", by_password(once(pages.log_in))),
        web.post("/log_out/", once(pages.log_out)),
        web.get("/account/", account.show_account),
        web.post("/account/name", account.change_name),
        web.post("/account/last-seen", account.change_last_seen),
        web.post("/account/devices-shown", account.change_devices_shown),
        web.post("/account/password", by_password(once(account.change_password))),
        web.post("/account/end", once(account.end_devices, but={"device": "others"})),
        web.post("/account/delete", by_password(once(account.delete_account))),
        web.get(
            "/account/{form:name|last-seen|devices-shown|password|end|delete}",
            account.show_account_instead,
        ),
        web.get("/invite/{token}", by_password(links.show_invitation)),
        web.post("/invite/{token}", by_password(once(links.accept_invitation))),
        web.get("/reset/{token}", by_password(links.show_reset)),
        web.post("/reset/{token}", by_password(once(links.reset_password))),
        *administration.routes(once),
        web.get("/users/", live),
        web.get("/api/users", api.list_users),
        web.get("/api/v1/rooms", backends.list_rooms),
        web.get("/api/v1/rooms/{room}", rooms.read_room),
        web.options("/api/v1/rooms/{room}", preflight),
        web.post("/api/v1/rooms/{room}/me", rooms.say),
        web.options("/api/v1/rooms/{room}/me", preflight),
        web.get("/api/v1/rooms/{room}/visits", backends.list_visits),
        web.put("/api/v1/rooms/{room}/users/{user}", backends.place),
        web.delete("/api/v1/rooms/{room}/users/{user}", backends.revoke),
        web.post("/api/v1/users/query", backends.query_users),
        web.get("/api/v1/users/{user}", backends.read_user),
        web.delete("/api/v1/users/{user}", backends.revoke),
        web.get("/api/v1/openapi.json", api_description.serve),
        web.get("/healthz", operations.healthz),
        web.get("/readyz", operations.readyz),
        web.get("/static/{version}/{name:.+}", static.serve),
        web.get("/client/v1/presence.js", static.serve_client),
        web.get("/favicon.ico", static.lead_to_icon),
        web.get("/manifest.webmanifest", Manifest(static).serve),
        # https://www.w3.org/TR/change-password-url/
        web.get("/.well-known/change-password", pages.lead_to_change_of_password),
        *(web.route("*", path, pages.add_slash) for path in without_slash),
    ]


def create_admin_app(app: web.Application) -> web.Application:
    """What operators read, for a listener of its own."""
    admin = web.Application()
    admin[CONFIG], admin[SITE] = app[CONFIG], app
    admin.add_routes(
        [
            web.get("/metrics", operators.metrics),
            web.get("/readyz", operators.readyz),
            web.get("/roster", operators.roster),
        ]
    )
    admin.middlewares.append(operators_only)
    admin.on_response_prepare.append(secure_headers)
    return admin


@asynccontextmanager
async def _services(app: web.Application) -> AsyncIterator[None]:
    # One context for all: aiohttp does not close earlier ones when a later one fails to open.
    config = app[CONFIG]
    key_file = config.key_file
    async with AsyncExitStack() as stack:
        app[DATABASE] = await stack.enter_async_context(open_database(config.database))
        app[COOKIE_NAME] = cookie_name(config, app[DATABASE].site)
        app[DATABASE].observe = app[METRICS].time_database
        app[KEYRING] = open_keyring(key_file)
        app[APPS] = KnownApps(app[DATABASE], app[KEYRING])
        app[PASSWORDS] = stack.enter_context(closing(Passwords(config.bcrypt_cost)))
        app[THROTTLE] = Throttle()
        app[API_RATES] = ApiRates()
        app[APP_LINES] = AppLines(capacity)
        app[SEATS] = Seats(config.max_sockets_per_user, config.max_sockets_per_address)
        app[PRESENCE] = await _open_presence(app, stack)
        yield


async def _open_presence(app: web.Application, stack: AsyncExitStack) -> PresenceService:
    config, database = app[CONFIG], app[DATABASE]
    name = secrets.token_hex(8)
    channel = relay.open_relay(
        config.redis_url, database.identity, name, keys=app[KEYRING].letter_keys
    )
    reached = await channel.check()
    presence = PresenceService(
        name,
        channel,
        grace=config.grace,
        lease=config.lease,
        heartbeat=config.heartbeat,
        hide_last_seen=config.hide_last_seen,
        cover=Cover(app[KEYRING].cursor_keys),
    )
    if not reached:
        presence.begin_unheard()

    def delete(ending: Ending) -> None:
        presence.delete(ending.username or "", ending.account, ending.ended_at)

    news = ProfileNews(database, presence.introduce)
    endings = app[ENDINGS_READER] = EndingsReader(
        database,
        due=presence.endings_due,
        end=presence.end,
        heed={
            Reason.DELETED: delete,
            Reason.REVOKED: partial(_revoke, app),
            Reason.PROFILE: news.heed,
        },
    )
    await endings.open()
    presence.node.profiles.fill(await profiles.everything(database))
    # What is revoked from now on both of them are told.
    await app[APPS].open()
    app[ROOMS] = AppRooms(presence)
    lines = app[LINES] = Lines(app[APPS], app[ROOMS], presence.hub)
    presence.hear_words = lines.hear_words
    app[APPS].changed = lines.heed_apps
    lines.heed_apps()
    app[ENDINGS] = Endings(database, presence.session_ended)
    store = app[STORE] = Store(
        database,
        presence,
        lambda: endings.heeded,
        lease=config.lease,
        alone=config.redis_url is None,
    )
    await store.open()
    app[METRICS].watch(presence, database)
    app[METRICS].watch_apps(partial(_people_of_apps, app), partial(_lines_of_apps, app))
    watchdog = Watchdog(app[METRICS].note_lag)
    app[PULSE] = _pulse(app, presence)
    tasks = await stack.enter_async_context(Background())
    running = [
        tasks.start("watchdog", watchdog.run()),
        tasks.start("pulse", app[PULSE].run()),
        tasks.start("presence", presence.run()),
        tasks.start("endings", endings.run()),
        tasks.start("store", store.run()),
        tasks.start(
            "upkeep of sessions", keep_up(app[ENDINGS], presence.hub.sessions, presence.end)
        ),
        tasks.start("profiles", news.run()),
        tasks.start("apps", app[APPS].run()),
    ]
    stack.push_async_callback(store.close)
    if not config.visits and await visits.are_kept(database):
        await database.attempt(visits.forget(database, {0: 0}, 0))
    duty = _open_duty(app, presence)
    attendance = _open_attendance(app, presence, duty)
    app[METRICS].watch_telling(app[SENDER].behind, lambda: duty.term is not None)
    stack.push_async_callback(duty.lay_down)
    stack.push_async_callback(_write_last, database, attendance)
    for task in running:
        stack.callback(task.cancel)
    if config.redis_url is not None and reached:
        await presence.settle()
    # Before the others have answered nobody can tell who is a dead node's.
    await store.take_over_dead()
    await presence.meet()
    # Some may have been of an app that is no more.
    lines.heed_apps()
    # Nobody is told before it is known who is here.
    running = [
        tasks.start("duty", duty.run()),
        tasks.start("webhooks", app[SENDER].run()),
        tasks.start("visits", attendance.run()),
    ]
    for task in running:
        stack.callback(task.cancel)
    return presence


def _open_duty(app: web.Application, presence: PresenceService) -> Duty:
    config = app[CONFIG]
    duty = Duty(
        app[DATABASE],
        presence.name,
        lease=config.lease,
        alone=config.redis_url is None,
        wanted=lambda: app[SENDER].is_wanted or any(_visit_days(app).values()),
        degraded=lambda: presence.degraded,
    )
    app[SENDER] = Sender(
        app[DATABASE], app[APPS], presence, duty, allow_private=config.allow_private_webhooks
    )
    return duty


def _open_attendance(app: web.Application, presence: PresenceService, duty: Duty) -> Attendance:
    # Whoever writes may be gone for a lease, and who left is here for a grace.
    memory = app[CONFIG].lease + app[CONFIG].grace + _WRITTEN_WITHIN
    return Attendance(
        app[DATABASE], presence.feeds, duty, partial(_visit_days, app), memory=memory
    )


async def _write_last(database: Database, attendance: Attendance) -> None:
    await database.attempt(attendance.write())


def _visit_days(app: web.Application) -> dict[int, int]:
    of_apps = {known.id: known.settings.visits for known in app[APPS].all()}
    return {0: app[CONFIG].visits, **of_apps}


def _pulse(app: web.Application, presence: PresenceService) -> Pulse:
    def counts() -> Counts:
        return Counts(len(presence.hub), presence.node.versions.newest, presence.degraded)

    config = app[CONFIG]
    return Pulse(
        app[DATABASE],
        presence.name,
        counts,
        app[METRICS].measured,
        capacity(),
        config.database.absolute().parent if isinstance(config.database, Path) else None,
        alone=config.redis_url is None,
    )


def _revoke(app: web.Application, ending: Ending) -> None:
    app[APPS].revoke(ending)
    user, until = ending.username or "", ending.issued_before or ending.ended_at
    app[LINES].revoke(ending.app, user, ending.room, until)


def _people_of_apps(app: web.Application) -> dict[str, int]:
    people = app[ROOMS].people
    return {known.name: people(known.id) for known in app[APPS].all()}


def _lines_of_apps(app: web.Application) -> dict[str, int]:
    lines = app[APP_LINES].open()
    return {known.name: lines.get(known.id, 0) for known in app[APPS].all()}


async def _say_goodbye(app: web.Application) -> None:
    app[STOPPING].set()
    app[PASSWORDS].stop()
    app[STORE].stop()
    await app[PRESENCE].stop()
