"""The running node: its rules, driven by the clock, the lines and the relay."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from presence_server.background import Background, next_round_at
from presence_server.crowd import Crowd
from presence_server.live.arrivals import Arrivals
from presence_server.live.clock import Clock, moment
from presence_server.live.farewells import LEFT
from presence_server.live.feed import Feeds
from presence_server.live.hub import Hub
from presence_server.live.observer import Observer
from presence_server.presence.client_messages import StatusMessage
from presence_server.presence.commands import (
    Breathe,
    Hear,
    Command,
    ReadEndings,
    Resubscribe,
    Send,
    Tell,
    TellChoice,
    TickSoon,
)
from presence_server.presence.cursors import Cover
from presence_server.presence.members import Who
from presence_server.presence.moment import Moment
from presence_server.presence.names import app_of
from presence_server.presence.node import Node
from presence_server.presence.objects import MessageError
from presence_server.presence.profiles import Profile
from presence_server.presence.records import OWN, Notes, Record, Stay
from presence_server.presence.room import Room
from presence_server.presence.states import Person, Status
from presence_server.presence.timing import FIRST_ANSWERS, LONGEST_SETTLING, TICK
from presence_server.relay import Relay

# Clients come back after a restart within this time, and well within the grace.
_COME_BACK_WITHIN = 3.0
# Ended sessions are remembered so long, for upgrades that were under way; in seconds.
_ENDED_MEMORY = 60.0

log = logging.getLogger(__name__)


class PresenceService:
    """Who is here, live: what pages, lines, the store and the endings ask and tell."""

    def __init__(
        self,
        name: str,
        relay: Relay,
        *,
        grace: float,
        lease: float,
        heartbeat: float,
        hide_last_seen: bool = False,
        cover: Cover | None = None,
        crowd: Crowd | None = None,
    ) -> None:
        self.relay = relay
        self._grace = grace
        self.node = Node(
            name,
            grace=grace,
            lease=lease,
            now=moment(),
            hide_last_seen=hide_last_seen,
            cover=cover,
        )
        self.node.begin_untold()
        self.hub = Hub(heartbeat)
        self.feeds = Feeds(self.node.rooms)
        self._arrivals = Arrivals(self.node.knows)
        self._crowd = crowd or Crowd()
        self._opened = 0
        self._ended: dict[str, float] = {}
        self._clock = Clock(self._tick, self._woke)
        self._endings_due = asyncio.Event()
        self._in_touch = asyncio.Event()
        self._tell_words: Callable[[str, str, Mapping[str, Any]], None] = _unheard
        self.refused_letters = 0

    def tell_words(self, told: Callable[[str, str, Mapping[str, Any]], None]) -> None:
        """From now on it is told what users say at other nodes for lines that may be here."""
        self._tell_words = told

    # For pages

    @property
    def room(self) -> Room:
        """The room of this server's own accounts."""
        return self.node.rooms.own

    @property
    def here(self) -> Mapping[str, Person]:
        """Everyone of the own accounts who is here."""
        return self.room.roster.here

    @property
    def degraded(self) -> bool:
        return self.node.degraded

    def status_of(self, username: str) -> Person | None:
        return self.here.get(username)

    def left(self, username: str) -> int | None:
        """When a user left whom this node remembers: newer than what is written down."""
        return self.room.roster.left(username)

    def profile_of(self, username: str) -> Profile:
        """What somebody with an account shows of themself."""
        return self.node.profiles.of(username)

    def left_behind(self, username: str) -> tuple[str, int | None]:
        """The text beside somebody who is offline, and until when."""
        choice = self.room.choice_of(username)
        return ("", None) if choice is None else choice.left_behind

    def introduce(self, username: str, profile: Profile) -> None:
        """Somebody with an account shows something else of themself."""
        self.carry_out(self.node.introduce(username, profile, moment()))

    def claim(self, room: str, who: Who) -> None:
        """Count a session as here for one grace: it logged in or opened the list (rule 2)."""
        if who.session in self._ended:
            # While the request was under way: the user must not come back for a grace.
            return
        self.carry_out(self.node.claim(room, who, moment()))

    def session_ended(self) -> None:
        """Sessions have ended in the database: have it read now, here and on the other nodes."""
        self._endings_due.set()
        self.carry_out(self.node.say_ended())

    # For lines

    async def hear_of(self, room: str, who: Who) -> None:
        """Wait until other servers have told all they know of a session that they show: whoever
        comes from there, and says nothing, goes on as they were. Bounded; they are here by then."""
        nodes, came = self.node.elsewhere(room, who), moment()
        if self.node.knows(nodes, came.elapsed) or who.session in self._ended:
            return
        self.carry_out(self.node.arrive(room, who, came))
        await self._arrivals.wait(nodes, came.elapsed)

    def connect(
        self,
        observer: Observer,
        who: Who,
        cursor: str | None = None,
        status: Status | None = None,
    ) -> bool:
        """Let somebody in who sees a room and is seen in it; False if the session has ended while
        the upgrade was under way."""
        if who.session in self._ended:
            return False
        self._opened += 1
        observer.connect(self._opened)
        key = observer.room.key
        self.node.watch(key)
        if cursor and observer.dialect.resumes:
            observer.resume(cursor, moment())
        self.carry_out(self.node.open(key, who, self._opened, moment(), status))
        self.hub.add(observer)
        return True

    def send_away(self, room: str, who: Who, retry_after: float) -> None:
        """Somebody finds no place at this process. Whoever was here comes again within so many
        seconds, and is not taken for gone meanwhile; bounded, as for a crowd that waits."""
        if self.node.may_return(room, who):
            now = moment()
            self._crowd.send_away(now.elapsed, retry_after)
            if room == OWN:
                # Each time for a grace. What is shown beside an app's user only a line knows.
                self.carry_out(self.node.arrive(room, who, now))

    def appear(self, room: str, who: Who, status: Status | None = None) -> int:
        """Let somebody be seen who is told of nothing: the number of their connection."""
        self._opened += 1
        self.carry_out(self.node.open(room, who, self._opened, moment(), status))
        return self._opened

    def say_status(self, room: str, session: str, connection: int, status: Status) -> None:
        self.carry_out(self.node.set_status(room, session, connection, status, moment()))

    def leave(self, room: str, session: str) -> None:
        """Let somebody go from a room at once."""
        self.carry_out(self.node.leave(room, session, moment()))

    def set_data(self, observer: Observer, data: Mapping[str, Any]) -> None:
        """Show something beside a user's status; {}: nothing."""
        key = observer.room.key
        self.carry_out(self.node.set_data(key, observer.session, data, moment()))

    def leave_by(self, observer: Observer) -> None:
        """Somebody says over a line that they leave: it is closed, and without another one their
        session has no grace."""
        self.hub.dismiss(observer, LEFT)
        self._close(observer)
        if not self.hub.has_line(observer.session):
            self.leave(observer.room.key, observer.session)

    def disconnect(self, observer: Observer) -> None:
        self.hub.remove(observer)
        self._close(observer)

    def _close(self, observer: Observer) -> None:
        if observer.connection:
            key, connection = observer.room.key, observer.connection
            observer.connect(0)
            self.carry_out(self.node.close(key, observer.session, connection, moment()))
            self.node.unwatch(key)

    def hear(
        self, observer: Observer, message: StatusMessage, *, may_be_invisible: bool = False
    ) -> None:
        """Take in what a client says of its status."""
        key, now = observer.room.key, moment()
        status = message.status
        if status == "invisible" and not may_be_invisible:
            return
        if message.whole_user:
            user, text = observer.user, message.text or ""
            account = self.node.account_of(key, user)
            self.carry_out(
                self.node.choose(
                    app_of(key), user, status, now, text=text, until=message.until, account=account
                )
            )
        elif status != "invisible":
            self.say_status(key, observer.session, observer.connection, status)

    # For the store and the endings

    async def endings_due(self, timeout: float) -> None:
        """Wait until it is worth reading the ended sessions, at most `timeout` seconds."""
        try:
            until = next_round_at(timeout, asyncio.get_running_loop().time())
            async with asyncio.timeout_at(until):
                await self._endings_due.wait()
        except TimeoutError:
            pass
        self._endings_due.clear()

    def end(self, session: str, at: int | None = None) -> None:
        """End a session: nothing of it keeps its user here, and its lines are closed."""
        now = moment()
        self._ended[session] = now.elapsed
        self.carry_out(self.node.end(session, now.unix if at is None else at, now))
        self.hub.end_session(session)

    def delete(self, username: str, account: int, at: int) -> None:
        """Take a deleted account out, whose sessions have ended before."""
        self.carry_out(self.node.delete(username, account, at, moment()))

    @property
    def stalls(self) -> int:
        """How often this process stood still."""
        return self._clock.stalls

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def peers(self) -> frozenset[str]:
        """The other nodes that are heard."""
        return self.node.peers.heard

    @property
    def unheard(self) -> bool:
        """Whether other nodes may say what cannot be heard."""
        return self.node.heeding.is_unheard(moment())

    @property
    def well_heard(self) -> frozenset[str]:
        """The nodes whose notes do not matter, for all that they say is heard."""
        return self.node.heeding.well_heard(moment())

    @property
    def speaking(self) -> dict[str, float]:
        """Nodes that were heard when they no longer wrote, with the seconds since that."""
        return self.node.peers.speaking(moment())

    @property
    def noted(self) -> dict[str, int | None]:
        """Of each node that lives, the counter up to which all is known that it has written."""
        return self.node.heeding.noted()

    def take_dropped(self) -> set[str]:
        """The nodes that were given up since they were asked for last."""
        return self.node.others.take_dropped()

    def adopt(self, stays: Iterable[Stay]) -> None:
        """Count as here, for what is left of a grace, those who were at a node that is no more."""
        self.carry_out(self.node.adopt(stays, moment()))

    def heed(self, notes: Notes, read_at: float) -> None:
        """Take in what other nodes wrote down, read since `read_at` by the monotonic clock."""
        self.carry_out(self.node.heed(notes, read_at, moment()))

    def say_ended_nodes(self, names: Iterable[str]) -> None:
        """Tell the other nodes that some are no more which could not say so themselves."""
        for name in names:
            self.carry_out(self.node.say_goodbye_of(name))

    def take_record(self, *, whole: bool = False) -> Record:
        """What is worth writing down since the last record; on demand all who are here."""
        return self.node.take_record(moment(), whole=whole)

    # The life of the node

    async def run(self) -> None:
        """All background work, for ever; an error in any part ends all of it."""
        async with Background() as tasks:
            tasks.start("hub", self.hub.run())
            tasks.start("presence clock", self._clock.run())
            relay = self.relay.run(self._deliver, self._subscribed, self._lost)
            tasks.start("relay", relay)

    def begin_unheard(self) -> None:
        """Before run(): there is no contact yet, so whoever was here may be at another node."""
        self._lost()

    async def settle(self) -> None:
        """Wait until the other nodes have told who is with them; bounded, for some may be dead."""
        try:
            async with asyncio.timeout(LONGEST_SETTLING):
                await self._in_touch.wait()
                await asyncio.sleep(FIRST_ANSWERS)
                while not self.node.settled:
                    await asyncio.sleep(TICK)
        except TimeoutError:
            log.warning("some other nodes do not answer; starting without their people")

    async def meet(self) -> None:
        """Wait until all is known of those, too, who were found since, and what any node has taken
        over by now; bounded. Then people are let in."""
        began = moment()
        self.carry_out(self.node.inquire(began))
        try:
            async with asyncio.timeout(LONGEST_SETTLING):
                while not self.node.has_met(began.elapsed):
                    await asyncio.sleep(TICK)
        except TimeoutError:
            log.warning("some other nodes neither answer nor write; starting without their people")
        self.node.let_in()

    async def stop(self) -> None:
        """Say goodbye to everybody here, and when all are gone to the other nodes; bounded."""
        self._arrivals.end()
        # They come in now.
        await asyncio.sleep(0)
        await self.hub.dismiss_all(min(_COME_BACK_WITHIN, self._grace / 2))
        self.carry_out(self.node.say_goodbye(moment()))
        await self.relay.flush(timeout=1.0)

    def carry_out(self, commands: Iterable[Command]) -> None:
        """Do what the node wants done."""
        for command in commands:
            match command:
                case Send(text, to):
                    self.relay.send(text, to)
                case Tell(rooms):
                    self.hub.changed(rooms)
                    self.feeds.changed(rooms)
                case TellChoice(app, user):
                    self.hub.tell_choice(self.node.sessions_of(app, user), user)
                case TickSoon():
                    self._clock.tick_soon()
                case Resubscribe():
                    self.relay.resubscribe()
                case ReadEndings():
                    self._endings_due.set()
                case Hear(room, user, words):
                    self._tell_words(room, user, words)
                case Breathe():
                    self._clock.breathe()
        self.hub.set_degraded(self.node.degraded)

    def _tick(self, now: Moment) -> None:
        self.node.note_crowd(self._crowd.since(now.elapsed))
        self.carry_out(self.node.tick(now))
        self._arrivals.look()
        self._forget_ended(now.elapsed)

    def _woke(self, now: Moment) -> None:
        self.carry_out(self.node.woke(now))

    def _forget_ended(self, elapsed: float) -> None:
        while self._ended:
            session, ended = next(iter(self._ended.items()))
            if elapsed - ended < _ENDED_MEMORY:
                return
            del self._ended[session]

    def _deliver(self, text: str) -> None:
        try:
            self.carry_out(self.node.receive(text, moment()))
            self._arrivals.look()
        except MessageError as error:
            self.refused_letters += 1
            log.debug("refused a letter: %s", error)
            return
        if self.node.settled:
            self._in_touch.set()

    def _subscribed(self) -> None:
        self.carry_out(self.node.subscribed(moment()))

    def _lost(self) -> None:
        self.carry_out(self.node.lost())


def _unheard(room: str, user: str, words: Mapping[str, Any]) -> None:
    """Nobody has lines here for whom others could speak."""
