"""Telling one backend who is here: one request at a time, again and again until it has heard."""

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from presence_server.apps import webhooks
from presence_server.apps.webhooks import State, Superseded, Turn
from presence_server.live.feed import Feed, News
from presence_server.presence.names import key_of, name_of
from presence_server.presence.told import Change, Message, Told
from presence_server.storage.database import Database, DatabaseUnavailable
from presence_server.webhooks import messages
from presence_server.webhooks.receiver import Answer, Receivers

T = TypeVar("T")

# Seconds that a change waits for others, or for being undone.
_COLLECT = 0.4
_LOOK = 0.05
# So many changes are written down at once as said, when so many are due: messages follow each other
# faster than a disk writes.
_MOST_READY = 1_000
# After so many seconds the same message is said again.
_SAME_AGAIN = (1.0, 3.0, 10.0, 30.0)
# And then a new one, of what differs by then.
_ANEW = (60.0, 120.0, 300.0)
# While the database cannot serve.
_WRITE_AGAIN = 0.5
# For so many seconds it is remembered whom the receiver knows to have gone.
_REMEMBERED = 600
_FORGET_EVERY = 60.0

log = logging.getLogger(__name__)


class Where(NamedTuple):
    """The app that is told, at which address and in whose turn."""

    name: str
    url: str
    turn: Turn


class Delivery:
    """`secrets` are those to sign with; `may_tell` says whether it is still this node's turn, and
    `degraded` whether other nodes cannot be heard."""

    def __init__(
        self,
        where: Where,
        state: State,
        database: Database,
        feed: Feed,
        receivers: Receivers,
        *,
        secrets: Callable[[], Sequence[str]],
        may_tell: Callable[[], bool],
        degraded: Callable[[], bool],
    ) -> None:
        self.where = where
        self._state = state
        self._database = database
        self._feed = feed
        self._receivers = receivers
        self._secrets = secrets
        self._may_tell = may_tell
        self._degraded = degraded
        self._told = Told({})
        # What was acknowledged and is not written yet; what is written as said and is not yet.
        self._heard: list[Change] = []
        self._ready: list[Change] = []
        # Rooms from which nobody could be told to be gone.
        self._held: set[str] = set()
        self._forget_at = time.monotonic() + _FORGET_EVERY
        # Whether it has found that its turn was over. It may have been so for a moment only.
        self.is_over = False

    @property
    def state(self) -> State:
        """How it stands at this moment."""
        return self._state._replace(due=self._told.due, due_since=self._told.due_since)

    async def run(self) -> None:
        """Tell for ever; whoever started it ends it when its turn is over."""
        try:
            await self._run()
        except Superseded:
            log.debug("no longer telling %s", self.where.name)
            self.is_over = True
        await asyncio.Event().wait()

    async def _run(self) -> None:
        turn = self.where.turn
        self._told = Told(await self._served(lambda: webhooks.said(self._database, turn.app)))
        self._feed.look_at_all(key_of(turn.app, room) for room in self._told.rooms())
        failures = 0
        while True:
            message = await self._next()
            if await self._tell(message, () if failures else _SAME_AGAIN):
                failures = 0
                continue
            await asyncio.sleep(_ANEW[min(failures, len(_ANEW) - 1)])
            failures += 1

    async def _next(self) -> Message:
        """The next message, written down as said."""
        while True:
            ready = list(filter(self._told.is_due, self._ready))
            changes = list(messages.fitting(ready))
            self._ready = ready[len(changes) :]
            if changes:
                return self._told.take(changes)
            await self._collect()
            self._ready = list(islice(self._told.due_changes(), _MOST_READY))
            if self._ready:
                await self._write(saying=self._ready)

    async def _tell(self, message: Message, again: Sequence[float]) -> bool:
        """Say it until it is acknowledged, and `again` after so many seconds."""
        id, content = f"msg_{secrets.token_hex(16)}", messages.body(message, time.time())
        for wait in (*again, None):
            if not self._may_tell():
                raise Superseded
            answer = await self._send(id, content)
            if answer.accepted:
                self._told.acknowledge(message.changes)
                self._heard += message.changes
                self._look()
                return True
            # What waits longest comes first again.
            self._ready = []
            self._look()
            await self._write()
            if answer.is_gone:
                raise Superseded
            if wait is not None:
                await asyncio.sleep(max(wait, answer.retry_after))
        await asyncio.sleep(answer.retry_after)
        return False

    async def _send(self, id: str, content: bytes) -> Answer:
        now = int(time.time())
        signed = messages.headers(id, content, now, self._secrets())
        answer = await self._receivers.post(self.where.url, content, signed)
        self._note(answer)
        return answer

    def _note(self, answer: Answer) -> None:
        name, now = self.where.name, int(time.time())
        was_accepted = not self._state.answers or self._state.answers[0]["accepted"]
        said: dict[str, Any] = {"at": now, "answer": answer.text, "accepted": answer.accepted}
        self._state = self._state.with_answer({**said, "seconds": round(answer.seconds, 3)})
        if answer.accepted:
            self._state = self._state._replace(acknowledged_at=now)
            if not was_accepted:
                log.info("The webhook of %s takes messages again.", name)
        elif answer.is_gone:
            self._state = self._state._replace(off_at=now)
            log.warning("The webhook of %s is gone (410): switched off.", name)
        elif was_accepted:
            log.warning("The webhook of %s does not take a message: %s.", name, answer.text)

    async def _collect(self) -> None:
        """Wait until enough is due for a message, or has been for long enough."""
        await self._forget()
        self._look()
        if not self._told.due:
            if self._heard:
                await self._write()
            await self._something()
            self._look()
        until = time.monotonic() + _COLLECT
        while 0 < self._told.due < messages.MOST_CHANGES and time.monotonic() < until:
            await asyncio.sleep(_LOOK)
            self._look()

    async def _something(self) -> None:
        """Until something has happened; while others are not heard, for a moment at most."""
        try:
            async with asyncio.timeout(1.0 if self._held else None):
                await self._feed.wait()
        except TimeoutError:
            pass

    def _look(self) -> None:
        """See what has happened since the last look."""
        if self._held and not self._degraded():
            held, self._held = self._held, set()
            for room in held:
                self._feed.look_again(room)
        now = int(time.time())
        for news in self._feed.take():
            self._see(news, now)

    def _see(self, news: News, now: int) -> None:
        room = name_of(news.room)
        if self._degraded():
            # Who is gone may be at a node that is not heard.
            self._held.add(news.room)
            people = news.roster.here
            for user in people if news.changed is None else news.changed:
                if user in people:
                    self._told.see(room, user, True, people[user].since, now)
            self._told.withdraw(room, people)
        elif news.changed is None:
            here = {user: person.since for user, person in news.roster.here.items()}
            self._told.see_all(room, here, news.roster.left_since(0), now)
        else:
            for user, person in news.changed.items():
                self._told.see(room, user, user in news.roster.here, person.since, now)

    async def _write(self, saying: Sequence[Change] = ()) -> None:
        heard, self._heard = self._heard, []
        turn, state = self.where.turn, self.state
        await self._served(
            lambda: webhooks.write(
                self._database, turn, state, acknowledged=heard, saying=saying
            )
        )

    async def _forget(self) -> None:
        if time.monotonic() < self._forget_at:
            return
        self._forget_at = time.monotonic() + _FORGET_EVERY
        before = int(time.time()) - _REMEMBERED
        self._told.forget_gone(before)
        await self._served(
            lambda: webhooks.forget_gone(self._database, self.where.turn, before)
        )

    async def _served(self, ask: Callable[[], Awaitable[T]]) -> T:
        """What the database answers, as soon as it can."""
        while True:
            try:
                return await ask()
            except DatabaseUnavailable:
                await asyncio.sleep(_WRITE_AGAIN)
