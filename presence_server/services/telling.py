"""What is told without a line: backends by webhooks, and visits to the database."""

from contextlib import AsyncExitStack
from functools import partial

from aiohttp import web

from presence_server.keys import APPS, CONFIG, DATABASE, METRICS, SENDER
from presence_server.live.service import PresenceService
from presence_server.nodes.duty import Duty
from presence_server.storage.database import Database
from presence_server.visits.attendance import Attendance
from presence_server.webhooks.sender import Sender

# Seconds in which a node that goes on with visits has surely written what it saw.
_WRITTEN_WITHIN = 10.0


def open_telling(
    app: web.Application, presence: PresenceService, stack: AsyncExitStack
) -> tuple[Duty, Attendance]:
    duty = _duty(app, presence)
    app[SENDER] = Sender(
        app[DATABASE], app[APPS], presence, duty, allow_private=app[CONFIG].allow_private_webhooks
    )
    # Whoever writes may be gone for a lease, and who left is here for a grace.
    memory = app[CONFIG].lease + app[CONFIG].grace + _WRITTEN_WITHIN
    attendance = Attendance(
        app[DATABASE], presence.feeds, duty, partial(_visit_days, app), memory=memory
    )
    app[METRICS].watch_telling(app[SENDER].behind, lambda: duty.term is not None)
    stack.push_async_callback(duty.lay_down)
    stack.push_async_callback(_write_last, app[DATABASE], attendance)
    return duty, attendance


def _duty(app: web.Application, presence: PresenceService) -> Duty:
    config = app[CONFIG]
    return Duty(
        app[DATABASE],
        presence.name,
        lease=config.lease,
        alone=config.redis_url is None,
        wanted=lambda: app[SENDER].is_wanted or any(_visit_days(app).values()),
        degraded=lambda: presence.degraded,
    )


async def _write_last(database: Database, attendance: Attendance) -> None:
    await database.attempt(attendance.write())


def _visit_days(app: web.Application) -> dict[int, int]:
    of_apps = {known.id: known.settings.visits for known in app[APPS].all()}
    return {0: app[CONFIG].visits, **of_apps}
