"""Telling the backends of all apps that have a webhook, while this node has the duty."""

import asyncio
import time
from collections.abc import Mapping

from presence_server.apps import webhooks
from presence_server.apps.known import KnownApps
from presence_server.apps.register import App
from presence_server.apps.webhooks import State, Turn
from presence_server.background import Background, next_round
from presence_server.live.feed import Feed
from presence_server.live.service import PresenceService
from presence_server.nodes.duty import Duty, Term
from presence_server.storage.database import Database
from presence_server.webhooks.delivery import Delivery, Where
from presence_server.webhooks.receiver import Receivers

_LOOK_EVERY = 0.5  # seconds


class Sender:
    """One delivery for each app, begun anew when its address, its round or the turn is another."""

    def __init__(
        self,
        database: Database,
        apps: KnownApps,
        presence: PresenceService,
        duty: Duty,
        *,
        allow_private: bool,
    ) -> None:
        self._database = database
        self._apps = apps
        self._presence = presence
        self._duty = duty
        self._allow_private = allow_private
        self._running: dict[int, tuple[Delivery, Feed, asyncio.Task[None]]] = {}

    @property
    def is_wanted(self) -> bool:
        """Whether any app has a webhook."""
        return any(app.settings.webhook for app in self._apps.all())

    def states(self) -> dict[str, State]:
        """How the receivers are told that this node tells, by the names of their apps."""
        return {d.where.name: d.state for d, _, _ in self._running.values()}

    def behind(self) -> dict[str, tuple[int, int]]:
        """Of the same: how many changes are due, and for how many seconds the first has been."""
        now = int(time.time())
        return {name: (state.due, state.behind(now)) for name, state in self.states().items()}

    async def run(self) -> None:
        """Tell for ever."""
        receivers = Receivers(allow_private=self._allow_private)
        try:
            async with Background() as tasks:
                while True:
                    await self._database.attempt(self._keep_up(tasks, receivers))
                    await next_round(_LOOK_EVERY)
        finally:
            await receivers.close()

    async def _keep_up(self, tasks: Background, receivers: Receivers) -> None:
        term = self._duty.term
        wanted = {} if term is None else await self._wanted(term)
        for app, (delivery, _, _) in list(self._running.items()):
            if app not in wanted or wanted[app][0] != delivery.where or delivery.is_over:
                await self._stop(app)
        for app, (where, state) in wanted.items():
            if app not in self._running:
                self._start(tasks, receivers, where, state)

    async def _wanted(self, term: Term) -> Mapping[int, tuple[Where, State]]:
        # Without a secret that can be read nothing could be signed.
        apps = [app for app in self._apps.all() if app.settings.webhook and self._secrets(app.id)]
        states = await webhooks.states(self._database) if apps else {}
        for app in apps:
            if app.id not in states:
                await webhooks.begin(self._database, term, app.id)
        found = {app.id: (app, states.get(app.id, State())) for app in apps}
        return {
            id: (_where(app, state, term), state)
            for id, (app, state) in found.items()
            if state.off_at is None
        }

    def _start(
        self, tasks: Background, receivers: Receivers, where: Where, state: State
    ) -> None:
        app = where.turn.app
        feed = self._presence.feeds.open(app)
        delivery = Delivery(
            where,
            state,
            self._database,
            feed,
            receivers,
            secrets=lambda: self._secrets(app),
            may_tell=lambda: self._duty.term == where.turn.term,
            degraded=lambda: self._presence.degraded,
        )
        self._running[app] = delivery, feed, tasks.start(f"tell {where.name}", delivery.run())

    async def _stop(self, app: int) -> None:
        _, feed, task = self._running.pop(app)
        self._presence.feeds.close(feed)
        task.cancel()
        # Not awaited itself: its end in a CancelledError could not be told from one's own.
        await asyncio.wait([task])

    def _secrets(self, app_id: int) -> list[str]:
        app = self._apps.get(app_id)
        return [] if app is None else self._apps.webhook_secrets(app)


def _where(app: App, state: State, term: Term) -> Where:
    return Where(app.name, app.settings.webhook or "", Turn(term, app.id, state.round))
