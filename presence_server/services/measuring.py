"""How the process is: for operators, and for the pages of administrators."""

from functools import partial
from pathlib import Path

from aiohttp import web

from presence_server.keys import APPS, APP_LINES, CONFIG, DATABASE, METRICS, PULSE, ROOMS
from presence_server.live.seats import capacity
from presence_server.live.service import PresenceService
from presence_server.nodes.pulse import Counts, Pulse
from presence_server.watchdog import Watchdog


def open_measuring(app: web.Application, presence: PresenceService) -> Watchdog:
    metrics = app[METRICS]
    metrics.watch(presence, app[DATABASE])
    metrics.watch_apps(partial(_people_of_apps, app), partial(_lines_of_apps, app))
    app[PULSE] = _pulse(app, presence)
    return Watchdog(metrics.note_lag)


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


def _people_of_apps(app: web.Application) -> dict[str, int]:
    people = app[ROOMS].people
    return {known.name: people(known.id) for known in app[APPS].all()}


def _lines_of_apps(app: web.Application) -> dict[str, int]:
    lines = app[APP_LINES].open()
    return {known.name: lines.get(known.id, 0) for known in app[APPS].all()}
