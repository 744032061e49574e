"""The running node: its rules, driven by the clock, the sockets and the relay."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol

from presence_server.background import Background
from presence_server.live.hub import Hub
from presence_server.live.observer import Observer
from presence_server.presence.messages import MessageError, StatusMessage
from presence_server.presence.moment import Moment
from presence_server.presence.node import Entry, Node
from presence_server.presence.records import OWN, Notes, Record, Stay
from presence_server.presence.roster import Person, Roster, Status

# Changes are gathered so long before they go to the other nodes, in seconds.
_BATCHING = 0.025
# What is due by the clock is seen to at least so often.
_TICK = 0.1
# A clock that went on so much further than it should have means that this process stood still.
_STALL = 1.0
# How long a node that starts listens for what the others say before it lets anybody in.
_FIRST_ANSWERS = 0.3
_LONGEST_SETTLING = 3.0
# Clients come back after a restart within this time, and well within the grace.
_SPREAD = 3.0
# Ended sessions are remembered so long, for upgrades that were under way; in seconds.
_ENDED_MEMORY = 60.0

log = logging.getLogger(__name__)


class Relay(Protocol):
    """What presence needs of a relay; see presence_server.relay."""

    @property
    def sent(self) -> int: ...

    @property
    def received(self) -> int: ...

    @property
    def dropped(self) -> int: ...

    @property
    def forged(self) -> int: ...

    @property
    def resubscribed(self) -> int: ...

    def send(self, text: str, to: str | None = None) -> None: ...

    def resubscribe(self) -> None: ...

    async def run(
        self,
        deliver: Callable[[str], None],
        subscribed: Callable[[], None],
        lost: Callable[[], None],
    ) -> None: ...

    async def flush(self, timeout: float) -> None: ...


class PresenceService:
    """Who is here, live: what pages, sockets, the store and the endings ask and tell."""

    def __init__(
        self, name: str, relay: Relay, *, grace: float, lease: float, heartbeat: float
    ) -> None:
        self.relay = relay
        self._grace = grace
        self._lease = lease
        self._node = Node(name, grace=grace, lease=lease, now=_now())
        self.room = OwnRoom(self._node)
        self.hub = Hub(heartbeat)
        self._opened = 0
        self._ended: dict[str, float] = {}
        # Since when other nodes may have said what was not heard, as a Unix second.
        self.unheard_since: int | None = 0
        self._heard_by = 0.0
        # Of other nodes, by the database: their counters, when these moved, and who is there.
        self._counters: dict[str, tuple[int, float]] = {}
        self._written: dict[str, Sequence[Stay]] = {}
        self._seen = 0
        self._due = asyncio.Event()
        self._endings_due = asyncio.Event()
        self._in_touch = asyncio.Event()
        self.refused_letters = 0
        self.stalls = 0

    # For pages

    @property
    def here(self) -> Mapping[str, Person]:
        """Everyone who is online or away."""
        return self._node.roster.here

    @property
    def degraded(self) -> bool:
        return self._node.cluster.degraded

    @property
    def node(self) -> Node:
        return self._node

    def status_of(self, username: str) -> Person | None:
        return self._node.roster.here.get(username)

    def left(self, username: str) -> int | None:
        """When a user left whom this node remembers: newer than what is written down."""
        return self._node.roster.left(username)

    def claim(self, session: str, username: str) -> None:
        """Count a session as here for one grace: it logged in or opened the list (rule 2)."""
        if session in self._ended:
            # While the request was under way: the user must not come back for a grace.
            return
        self._node.claim(session, username, _now())
        self._changed()

    def session_ended(self) -> None:
        """Sessions have ended in the database: have it read now, here and on the other nodes."""
        self._endings_due.set()
        self._node.say_ended()
        self._due.set()

    # For sockets

    def connect(self, observer: Observer, cursor: str | None, status: Status | None) -> bool:
        """Open a connection; False if its session has ended while the upgrade was under way."""
        if observer.session in self._ended:
            return False
        self._opened += 1
        observer.connection = self._opened
        if cursor and observer.dialect.resumes:
            observer.version = self.room.resume(cursor, _now())
        self._node.open(observer.session, observer.user, self._opened, _now())
        if status is not None:
            self._node.set_status(observer.session, self._opened, status, _now())
        self.hub.add(observer)
        self._changed()
        return True

    def disconnect(self, observer: Observer) -> None:
        self.hub.remove(observer)
        if observer.connection:
            self._node.close(observer.session, observer.connection, _now())
            self._changed()

    def hear(self, observer: Observer, message: StatusMessage) -> None:
        """Take in what a client says of its status."""
        status = message.status
        if status == "busy" or status == "invisible":
            return
        if message.whole_user:
            self._node.choose(observer.user, status, _now())
        else:
            self._node.set_status(observer.session, observer.connection, status, _now())
        self._changed()

    # For the store and the endings

    async def endings_due(self, timeout: float) -> None:
        """Wait until it is worth reading the ended sessions, at most `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._endings_due.wait()
        except TimeoutError:
            pass
        self._endings_due.clear()

    def end(self, session: str) -> None:
        """End a session: nothing of it keeps its user here, and its sockets are closed."""
        self._ended[session] = time.monotonic()
        self._node.end(session, _now())
        self.hub.end_session(session)
        self._changed()

    def delete(self, username: str, at: int) -> None:
        """Take a deleted account out, whose sessions have ended before."""
        self._node.delete(username, at)
        self._changed()

    @property
    def name(self) -> str:
        return self._node.name

    @property
    def peers(self) -> frozenset[str]:
        """The other nodes that were heard."""
        return self._node.cluster.peers

    @property
    def unheard(self) -> bool:
        """Whether other nodes may say what cannot be heard."""
        return self.unheard_since is not None

    def take_dropped(self) -> set[str]:
        """The nodes that were given up since they were asked for last."""
        return self._node.cluster.take_dropped()

    def adopt(self, stays: Iterable[Stay]) -> None:
        """Count as here, for what is left of a grace, those who were at a node that is no more."""
        # In the order in which their graces end.
        for stay in sorted(stays, key=lambda stay: -(stay.resting or 0.0)):
            now, resting = _now(), stay.resting or 0.0
            began = now._replace(elapsed=now.elapsed - resting)
            left = int(now.unix - max(0.0, resting))
            self._node.adopt(
                stay.session, stay.user, Entry(stay.status, stay.since), left, began
            )
        self._changed()

    def heed(self, notes: Notes) -> None:
        """Count as here whom nodes wrote down that cannot be heard, but still write."""
        now = _now()
        for name, counter in notes.counters.items():
            if self._counters.get(name, (-1, 0.0))[0] != counter:
                self._counters[name] = counter, now.elapsed
        if notes.stays is None:
            self._written = {}
        else:
            self._written.update(notes.stays)
        noted: dict[str, Entry] = {}
        for name, stays in self._written.items():
            if now.elapsed - self._counters.get(name, (0, 0.0))[1] < self._lease:
                for stay in stays:
                    known = noted.get(stay.user)
                    if known is None or known.status == "away":
                        noted[stay.user] = Entry(stay.status, stay.since)
        self._node.heed(noted, now)
        self._wake_hub()

    def take_record(self, *, whole: bool = False) -> Record:
        """What is worth writing down since the last record; on demand all who are here."""
        here, gone, last_seen = self._node.take_record(whole=whole)
        now = _now()
        stays = []
        for session, (status, since) in here.items():
            held = self._node.connections.held(session)
            assert held is not None
            resting = self._node.connections.resting(session, now.elapsed)
            stays.append(Stay(OWN, session, held.username, 0, status, since, resting=resting))
        return Record(stays, {(OWN, session) for session in gone}, last_seen, [])

    # The life of the node

    async def run(self) -> None:
        """All background work, for ever; an error in any part ends all of it."""
        async with Background() as tasks:
            tasks.start("hub", self.hub.run())
            tasks.start("presence clock", self._keep_time())
            relay = self.relay.run(self._deliver, self._subscribed, self._lost)
            tasks.start("relay", relay)

    def begin_unheard(self) -> None:
        """Before run(): there is no contact yet, so whoever was here may be at another node."""
        self._lost()

    async def settle(self) -> None:
        """Wait until the other nodes have told who is with them; bounded, for some may be dead."""
        try:
            async with asyncio.timeout(_LONGEST_SETTLING):
                await self._in_touch.wait()
                await asyncio.sleep(_FIRST_ANSWERS)
                while not self._node.cluster.settled:
                    await asyncio.sleep(_TICK)
        except TimeoutError:
            log.warning("some other nodes do not answer; starting without their people")

    async def stop(self) -> None:
        """Say goodbye to the other nodes and to everybody here; bounded."""
        self._node.say_goodbye()
        self._send_letters()
        await self.relay.flush(timeout=1.0)
        await self.hub.dismiss_all(spread=min(_SPREAD, self._grace / 2))

    def _changed(self) -> None:
        self._wake_hub()
        self._due.set()

    def _wake_hub(self) -> None:
        self.hub.set_degraded(self._node.cluster.degraded)
        if self._node.roster.version != self._seen:
            self._seen = self._node.roster.version
            self.hub.changed([self.room.key])

    async def _keep_time(self) -> None:
        before = time.monotonic()
        while True:
            await self._wait_until_due()
            now = _now()
            if now.elapsed - before > _TICK + _BATCHING + _STALL:
                log.warning("this process stood still for %.1f s", now.elapsed - before)
                self.stalls += 1
            before = now.elapsed
            self._tick(now)

    async def _wait_until_due(self) -> None:
        try:
            async with asyncio.timeout(_TICK):
                await self._due.wait()
        except TimeoutError:
            return
        await asyncio.sleep(_BATCHING)

    def _tick(self, now: Moment) -> None:
        self._due.clear()
        self._node.tick(now)
        self._send_letters()
        self._wake_hub()
        if self._node.cluster.needs_subscription:
            self._node.cluster.needs_subscription = False
            self.relay.resubscribe()
        self._note_outage(now)
        self._forget_ended(now.elapsed)

    def _note_outage(self, now: Moment) -> None:
        if self.degraded:
            # Afterwards the others may need some time to make themselves heard again.
            self._heard_by = now.elapsed + self._lease
            if self.unheard_since is None:
                # It takes some time to notice.
                self.unheard_since = int(now.unix - self._lease)
        elif self._in_touch.is_set() and now.elapsed >= self._heard_by:
            self.unheard_since = None

    def _send_letters(self) -> None:
        for text, to in self._node.take_letters():
            self.relay.send(text, to)

    def _forget_ended(self, elapsed: float) -> None:
        while self._ended:
            session, ended = next(iter(self._ended.items()))
            if elapsed - ended < _ENDED_MEMORY:
                return
            del self._ended[session]

    def _deliver(self, text: str) -> None:
        try:
            self._node.receive(text, _now())
        except MessageError as error:
            self.refused_letters += 1
            log.debug("refused a letter: %s", error)
            return
        if self._node.endings_due:
            self._node.endings_due = False
            self._endings_due.set()
        if self._node.cluster.settled:
            self._in_touch.set()
        self._changed()

    def _subscribed(self) -> None:
        self._node.cluster.subscribed(_now())
        self._due.set()

    def _lost(self) -> None:
        self._node.cluster.lost()
        self._changed()


class OwnRoom:
    """The room of this server's own accounts."""

    key = ""

    def __init__(self, node: Node) -> None:
        self._node = node

    @property
    def roster(self) -> Roster:
        return self._node.roster

    @property
    def own(self) -> Collection[str]:
        return self._node.own

    def cursor(self, version: int, now: Moment) -> str:
        return f"{self._node.name}.{version}"

    def resume(self, cursor: str, now: Moment) -> int | None:
        """The version of a cursor of this node; None if it is another's or from too long ago."""
        node, _, number = cursor.partition(".")
        if node != self._node.name:
            return None
        if not (number.isascii() and number.isdigit() and len(number) < 16):
            return None
        version = int(number)
        return version if self.roster.remembers(version) else None


def _now() -> Moment:
    return Moment(time.monotonic(), int(time.time()))
