"""Whole servers in virtual time: nodes on a simulated Redis, and all that can happen to them.

A host carries out what its node wants done, and its relay is what relay/redis.py is: one connection
publishes, another listens, both are given up after a while without an answer, and what could not be
published is dropped. Time goes in steps of a twentieth of a second. Every host has clocks of its
own, so that comparing those of two nodes cannot go unnoticed.
"""

import math
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from presence_server.notes.unwritten import Taken, Unwritten
from presence_server.presence.choices import ChosenStatus
from presence_server.presence.commands import (
    Breathe,
    Command,
    ReadEndings,
    Resubscribe,
    Send,
    Tell,
    TickSoon,
)
from presence_server.presence.members import Who
from presence_server.presence.moment import Moment, seconds_behind
from presence_server.presence.names import app_of
from presence_server.presence.node import Node
from presence_server.presence.records import OWN, Notes, Stay
from presence_server.presence.states import Person, Status
from presence_server.presence.timing import (
    ARRIVAL_WAITS,
    DOUBTS_WRITING,
    ENDINGS,
    FIRST_ANSWERS,
    LONGEST_SETTLING,
    NOTES,
    NOTES_UNHEARD,
    TICK,
    WRITES_WITHIN,
)
from presence_server.relay.listening import MISSED_PINGS, PING_INTERVAL
from presence_server.relay.publishing import BATCH_TIMEOUT
from presence_server.relay.redis_server import TIMEOUT
from presence_server.storage.engine import WRITE_PATIENCE
from tests.presence.attendance import Access, Attendant
from tests.presence.database import Database, Ending

STEP = 0.05
EPOCH = 1_800_000_000

# A subscription that does not answer is dropped between two signs of life; in seconds.
SILENCE = (MISSED_PINGS + 0.5) * PING_INTERVAL
# Attempts to reach Redis lie as far apart as most of those of the product do.
RETRY = 0.3

# Seconds after which a node and the others know of each other again.
BACK_IN_TOUCH = 4.0


# The number of the app whose rooms there are.
APP = 7


def subject(room: str, user: str) -> str:
    """A user in a room: of each it is judged apart how they are shown there."""
    return user if room == OWN else f"{room} {user}"


def user_of(name: str) -> str:
    return name.rpartition(" ")[2]


class Token(NamedTuple):
    """What opens a room of an app: issued as so many have been before, until a time."""

    issued: int
    ends_at: float


class Connection(NamedTuple):
    """An open socket, as its client sees it."""

    number: int
    who: Who
    room: str
    token: Token | None = None

    @property
    def subject(self) -> str:
        return subject(self.room, self.who.user)


class Redis:
    """Carries texts to those who are subscribed, in the order in which it takes them in."""

    def __init__(self) -> None:
        self.up = True
        self.frozen = False
        # Seconds that a text takes to a subscriber.
        self.delay = 0.0
        self.subscriptions: dict["Host", deque[tuple[float, str]]] = {}

    @property
    def serves(self) -> bool:
        return self.up and not self.frozen

    def publish(self, text: str, to: str | None, now: float) -> None:
        for host, inbox in self.subscriptions.items():
            if to is None or to == host.node.name:
                inbox.append((now + self.delay, text))


class Host:
    """One server process: a node, its relay, its store and the sockets of its clients."""

    def __init__(self, world: "World", number: int, clock: float) -> None:
        self.world = world
        self.offset = 1000.0 * number
        # Seconds by which its wall clock is wrong.
        self.clock = clock
        self.node = world.make_node(f"{number:016x}", self.now)
        self.node.begin_untold()
        self.attendant = Attendant(self.node, world.database.book, world.rooms_with_visits)
        self.alive = True
        self.paused = False
        self.connections: dict[int, Connection] = {}
        # Those that wait for what other nodes know of their users: for which, and since when.
        self.arriving: dict[int, tuple[Connection, frozenset[str], float]] = {}
        # Rooms that somebody was to be told of.
        self.told: set[str] = set()
        # What clients did while the process stood still.
        self.waiting: list[tuple[str, Callable[[], None]]] = []
        self._breathing = False
        self._endings_read = len(world.database.endings)
        self._endings_at = world.now + ENDINGS
        # Whether bytes flow to Redis, and back, and to the database.
        self.out = True
        self.back = True
        self.database = True
        # Seconds that what Redis sends takes longer to it, and what it says to Redis.
        self.late_back = 0.0
        self.late_out = 0.0
        self.backlog: list[tuple[str, str | None]] = []
        self.publishing = False
        self.on_its_way: list[tuple[str, str | None]] | None = None
        self.arrived = False
        self.sent_at = 0.0
        self.publish_at = world.now
        self.listen_at = world.now
        self.silent_since: float | None = None
        self.kicked = False
        self.deafened = False
        self.lost_at = -100.0
        # When Redis was last out of its reach, and when the database was.
        self.cut_off_at = self.unwritten_at = -100.0
        self._tick_at = world.now
        self._notes_at = world.now + NOTES
        self._counter_known = False
        # What it has yet to write down, and since when its write waits for another program.
        self._unwritten = Unwritten()
        self._writes_since: float | None = None
        self._wrote_at = -math.inf
        self._dropped: set[str] = set()
        # The counters of other nodes as they were read first, and when all of these were known.
        self._first_counters: dict[str, int] = {}
        self._met_at: float | None = None
        self.began = world.now
        # People are let in when the others have told who is with them.
        self.lets_in = False
        self._begin()

    @property
    def now(self) -> Moment:
        unix = EPOCH + int(self.world.now + self.clock)
        return Moment(self.world.now + self.offset, unix)

    @property
    def in_touch(self) -> bool:
        return self.alive and not self.paused and self.out and self.back

    def here(self, room: str = OWN) -> dict[str, Person]:
        found = self.node.rooms.get(room)
        return {} if found is None else dict(found.roster.here)

    def take_told(self) -> bool:
        """Whether there was something to tell since this was asked last."""
        told, self.told = self.told, set()
        return bool(told)

    def carry_out(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case Send(text, to):
                    self.backlog.append((text, to))
                case Tell(rooms):
                    self.told |= rooms
                    if self.lets_in:
                        self.attendant.look(self.now)
                case TickSoon():
                    self._tick_at = min(self._tick_at, self.world.now + STEP)
                case Resubscribe():
                    self._resubscribe()
                case ReadEndings():
                    self._endings_at = self.world.now
                case Breathe():
                    self._breathing = True

    def run(self) -> None:
        """One step of a process that is not paused."""
        self._end_tokens()
        self._publish_or_give_up()
        self._listen()
        self._let_arrive()
        if self.world.now >= self._endings_at:
            self.read_endings()
        self._keep_notes()
        if self.world.now + 1e-6 >= self._tick_at:
            self.tick()
        self._finish_breathing()
        if not self.lets_in:
            self._settle()
        else:
            self.attendant.keep_up(*self._for_visits)
        self._publish()

    def tick(self) -> None:
        self._tick_at = self.world.now + TICK
        self.carry_out(self.node.tick(self.now))

    def open(self, connection: Connection, status: Status | None) -> None:
        if connection.who.session in self.world.database.ended or self._is_revoked(connection):
            return
        self.world.witness.signs[connection.subject] = self.world.now
        room, who, now = connection.room, connection.who, self.now
        nodes = self.node.elsewhere(room, who) if status is None else frozenset()
        if self.node.knows(nodes, now.elapsed):
            self._open(connection, status)
        else:
            self.arriving[connection.number] = connection, nodes, now.elapsed
            self.carry_out(self.node.arrive(room, who, now))

    def _open(self, connection: Connection, status: Status | None = None) -> None:
        if connection.who.session in self.world.database.ended or self._is_revoked(connection):
            return
        self.connections[connection.number] = connection
        self.carry_out(
            self.node.open(connection.room, connection.who, connection.number, self.now, status)
        )

    def holds(self, number: int) -> bool:
        """Whether a line is open here."""
        return number in self.connections or number in self.arriving

    def _let_arrive(self) -> None:
        for number, (_, nodes, came) in list(self.arriving.items()):
            over = self.now.elapsed >= came + ARRIVAL_WAITS
            if over or self.node.knows(nodes, came):
                self.finish_arriving(number)

    def finish_arriving(self, number: int) -> None:
        if (waiting := self.arriving.pop(number, None)) is not None:
            self._open(waiting[0])

    def close(self, number: int) -> None:
        self.finish_arriving(number)
        connection = self.connections.pop(number, None)
        if connection is not None:
            self.carry_out(
                self.node.close(connection.room, connection.who.session, number, self.now)
            )

    def renew(self, number: int, token: Token) -> None:
        self.finish_arriving(number)
        connection = self.connections.get(number)
        if connection is not None:
            self.connections[number] = connection._replace(token=token)
            room, session = connection.room, connection.who.session
            until = EPOCH + int(token.ends_at + self.clock)
            self.carry_out(self.node.extend(room, session, until))

    def narrow(self, number: int) -> None:
        """The token of a line no longer lets its user be seen in the room."""
        self.finish_arriving(number)
        connection = self.connections.pop(number, None)
        if connection is None:
            return
        room, session = connection.room, connection.who.session
        self.carry_out(self.node.close(room, session, number, self.now))
        if not any(c.subject == connection.subject for c in self.connections.values()):
            self.carry_out(self.node.leave(room, session, self.now))

    def place(self, room: str, user: str, status: Status, ttl: float) -> None:
        """A backend says that a user is here for a while, with or without a line."""
        self.read_endings()
        who = Who(f"{APP}.{user}", user)
        self.carry_out(self.node.claim(room, who, self.now, status=status, ttl=ttl))

    def _is_revoked(self, connection: Connection) -> bool:
        return connection.token is not None and any(
            ending.revokes(connection.room, connection.who.user)
            and connection.token.issued <= ending.issued_before
            for ending in self.world.database.endings[: self._endings_read]
        )

    def _end_tokens(self) -> None:
        for connection in list(self.connections.values()):
            if connection.token is not None and self.world.now >= connection.token.ends_at:
                self.world.witness.closed(connection.number, self.world.now)
                self.close(connection.number)

    def do(self, username: str, act: Callable[[], None]) -> None:
        """Let a client do something, which a process that stands still sees only later."""
        if self.paused or not self.lets_in:
            self.waiting.append((username, act))
        else:
            act()

    def resume(self, *, timers_first: bool) -> None:
        """Wake up: timers fire before sockets are read, or a moment after."""
        self.paused = False
        if timers_first:
            self.tick()
        self._let_in()
        self._finish_breathing()

    def go(self, *, goodbye: bool) -> None:
        """End the process, killed or after its last words."""
        if goodbye:
            if self._can_write:
                self._write(stopped=True)
            for connection in list(self.connections):
                self.close(connection)
            self.carry_out(self.node.say_goodbye(self.now))
            self._send()
            if self._can_write:
                self.attendant.write(*self._for_visits)
                self.attendant.lay_down(EPOCH + self.world.now)
        elif self.world.has_locks:
            self.world.unlocked.add(self.node.name)
        self.alive = False
        self.connections.clear()
        self.arriving.clear()
        self.waiting.clear()
        self.world.redis.subscriptions.pop(self, None)

    # The relay

    def _publish_or_give_up(self) -> None:
        if not self.publishing or self.on_its_way is None:
            return
        if self.arrived and self.back and self.world.redis.serves:
            self.on_its_way = None
        elif self.world.now - self.sent_at > BATCH_TIMEOUT:
            self._stop_publishing(RETRY)

    def _publish(self) -> None:
        if not self.publishing and self.world.now >= self.publish_at:
            if self._reaches_redis():
                self.publishing = True
            else:
                self._stop_publishing(RETRY if not self.world.redis.up else TIMEOUT)
        self._send()

    def _send(self) -> None:
        if self.publishing and self.on_its_way is None and self.backlog:
            self.on_its_way, self.backlog = self.backlog, []
            self.arrived = False
            self.sent_at = self.world.now

    def _stop_publishing(self, pause: float) -> None:
        if self.on_its_way is not None and not self.arrived:
            self.world.strand(self)
        self.publishing = False
        self.on_its_way = None
        self.backlog.clear()
        self.publish_at = self.world.now + pause

    def _listen(self) -> None:
        redis = self.world.redis
        inbox = redis.subscriptions.get(self)
        if inbox is None:
            self.kicked = False
            self._subscribe()
            return
        if self.kicked:
            self._unsubscribe()
            self.kicked = False
            return
        while self.back and inbox and inbox[0][0] + self.late_back <= self.world.now:
            text = inbox.popleft()[1]
            if not self.deafened:
                self.carry_out(self.node.receive(text, self.now))
        if redis.serves and self.out and self.back:
            self.silent_since = None
        elif self.silent_since is None:
            self.silent_since = self.world.now
        elif self.world.now - self.silent_since > SILENCE:
            self._unsubscribe()

    def _subscribe(self) -> None:
        if self.world.now < self.listen_at:
            return
        if self._reaches_redis():
            self.world.redis.subscriptions[self] = deque()
            self.silent_since = None
            self.carry_out(self.node.subscribed(self.now))
        else:
            pause = RETRY if not self.world.redis.up else TIMEOUT
            self.listen_at = self.world.now + pause

    def _unsubscribe(self) -> None:
        self.deafened = False
        del self.world.redis.subscriptions[self]
        self.listen_at = self.world.now + RETRY
        self.carry_out(self.node.lost())

    def _resubscribe(self) -> None:
        if self.on_its_way is None:
            self.publishing = False
        if self in self.world.redis.subscriptions:
            self._unsubscribe()

    def _reaches_redis(self) -> bool:
        return self.world.redis.serves and self.out and self.back

    # The database

    @property
    def _database_works(self) -> bool:
        return self.world.database.works and self.database

    @property
    def _can_write(self) -> bool:
        return self.world.database.is_writable and self.database

    @property
    def _for_visits(self) -> tuple[float, Moment, dict[str, int], Access]:
        access = Access(self._database_works, self._can_write)
        return EPOCH + self.world.now, self.now, self.world.accounts, access

    def _begin(self) -> None:
        """Before anybody is let in: take over from those who have surely ended."""
        database = self.world.database
        choices = list(database.choices.values())
        notes = Notes({}, None, choices, clock=self._clock_behind)
        self.carry_out(self.node.heed(notes, self.now.elapsed, self.now))
        stopped = {n for n, row in database.nodes.items() if row.stopped or self.world.alone}
        self._surely_ended = set(self.world.unlocked)
        self._unsaid_ended = set(self._surely_ended)
        self._ended = stopped | (database.nodes.keys() & self._surely_ended)
        self._silent = database.nodes.keys() - self._ended
        others = any(
            self.world.now - database.nodes[name].wrote_at < WRITES_WITHIN
            for name in self._silent
        )
        if others or not self._silent:
            self._take_over_ended(others=others)
        self._reached = self._reaches_redis()
        if not self._reached:
            self.carry_out(self.node.lost())
        if self.world.alone:
            self._finish_settling()

    def _settle(self) -> None:
        waited = self.world.now - self.began
        settled = waited >= FIRST_ANSWERS and self.node.settled
        settled = self in self.world.redis.subscriptions and settled
        if settled or not self._reached or waited >= LONGEST_SETTLING:
            if self._met_at is None:
                if self._reached:
                    self._say_ended_nodes()
                self._take_over_dead()
            elif self._has_met or self.world.now >= self._met_at + LONGEST_SETTLING:
                self._finish_settling()

    @property
    def _has_met(self) -> bool:
        return self._met_at is not None and self.node.has_met(self._met_at + self.offset)

    def _say_ended_nodes(self) -> None:
        while self._unsaid_ended:
            self.carry_out(self.node.say_goodbye_of(self._unsaid_ended.pop()))

    def _take_over_dead(self) -> None:
        """Once it is known of each other node whether it is dead, for it goes on writing."""
        nodes, now = self.world.database.nodes, self.world.now
        if self.world.database.held:
            return
        silent = nodes.keys() - self.node.peers.heard - {self.node.name} - self._ended
        dead = {name for name in silent if now - nodes[name].wrote_at >= WRITES_WITHIN}
        for name in silent - dead:
            self._first_counters.setdefault(name, nodes[name].counter)
        moving = {n for n in silent - dead if nodes[n].counter != self._first_counters[n]}
        if self._database_works and silent != dead | moving:
            return
        if self._database_works:
            others = self.node.peers.heard | moving
            self._take_over_ended(others=not others.isdisjoint(self._silent))
            self._take_over(dead, others=bool(others))
            if moving:
                self._read_notes()
        self._met_at = now
        self.carry_out(self.node.inquire(self.now))

    def _finish_settling(self) -> None:
        self.lets_in = True
        self.node.let_in()
        if self._reached:
            self.world.unlocked -= self._surely_ended
        self._let_in()

    def _take_over_ended(self, *, others: bool) -> None:
        self._take_over(self._ended, others=others, surely=True)
        self._ended = set()

    def _take_over(self, names: set[str], *, others: bool, surely: bool = False) -> None:
        database, now = self.world.database, self.world.now
        lease = 0.0 if self.world.alone else self.world.lease
        names = names & database.nodes.keys()
        stays = database.take_over(
            self.node.name, names, lease, now, others=others, surely=surely
        )
        here = [stay.by_clock(self._clock_behind) for stay in stays]
        self.carry_out(self.node.adopt(here, self.now))

    def _let_in(self) -> None:
        if self.paused or not self.lets_in:
            return
        waiting, self.waiting = self.waiting, []
        for username, act in waiting:
            self.world.witness.acts[username] = self.world.now
            act()

    def _finish_breathing(self) -> None:
        if self._breathing:
            self._breathing = False
            self.carry_out(self.node.woke(self.now))

    def _keep_notes(self) -> None:
        if self._writes_since is not None:
            self._go_on_writing(self._writes_since)
        if self.world.now < self._notes_at:
            return
        unheard = self.node.heeding.is_unheard(self.now)
        self._notes_at = self.world.now + (NOTES_UNHEARD if unheard else NOTES)
        if not self._database_works:
            return
        if self._writes_since is None:
            self._write()
        if not self.world.alone:
            self._read_notes()

    def _read_notes(self) -> None:
        database, began = self.world.database, self.now.elapsed
        unheard = self.node.heeding.is_unheard(self.now)
        notes = database.read(
            self.node.name,
            with_stays=unheard,
            now=self.world.now,
            unread=self.node.heeding.well_heard(self.now),
            noted=self.node.heeding.noted(),
        )
        writes = self.world.now - self._wrote_at < DOUBTS_WRITING
        notes = notes._replace(clock=self._clock_behind, others_could_write=writes)
        self.carry_out(self.node.heed(notes, began, self.now))
        self._dropped |= self.node.others.take_dropped()
        if not database.held:
            database.forget(self._dropped - self.node.peers.heard)
            self._dropped.clear()

    def _go_on_writing(self, since: float) -> None:
        """Its turn has come, it has waited in vain, or it goes on waiting."""
        if self._can_write:
            self._carry_out_write(since)
            # What was written is old, so that the next follows at once.
            self._write()
        elif self.world.now >= since + WRITE_PATIENCE:
            self._writes_since = None

    def _write(self, *, stopped: bool = False) -> None:
        """What is known by now, once no other program writes."""
        self._take_record(whole=not self._counter_known)
        self._writes_since = self.world.now
        if self._can_write:
            self._carry_out_write(self.world.now, stopped=stopped)

    def _carry_out_write(self, since: float, *, stopped: bool = False) -> None:
        database, heeded = self.world.database, self._endings_read
        record, waited = self._unwritten.record(), self.world.now - since
        record = record._replace(here=[_rested(stay, waited) for stay in record.here])
        if not self._counter_known:
            database.write_anew(self.node.name, record, self.world.now, heeded)
        elif not database.write(self.node.name, record, self.world.now, heeded, stopped=stopped):
            self._take_record(whole=True)
            record = self._unwritten.record()
            database.write_anew(self.node.name, record, self.world.now, heeded)
        database.note_signs(self.node.peers.speaking(self.now), self.world.now)
        self._unwritten.clear()
        self._counter_known, self._wrote_at, self._writes_since = True, since, None

    def _take_record(self, *, whole: bool) -> None:
        record, clock = self.node.take_record(self.now, whole=whole), self._clock_behind
        record = record._replace(
            here=[stay.by_clock(-clock) for stay in record.here],
            choices=[choice.by_clock(-clock) for choice in record.choices],
        )
        self._unwritten.add(Taken(record, whole, self.world.now))

    @property
    def _clock_behind(self) -> int:
        return seconds_behind(0.0, self.clock, self.clock)

    def read_endings(self) -> None:
        self._endings_at = self.world.now + ENDINGS
        if not self._database_works:
            return
        endings = self.world.database.endings[self._endings_read :]
        self._endings_read += len(endings)
        for ending in endings:
            if ending.app:
                self._revoke(ending)
                continue
            if ending.session is None:
                self.carry_out(
                    self.node.delete(ending.username, ending.account, ending.at, self.now)
                )
                continue
            self.carry_out(self.node.end(ending.session, ending.at, self.now))
            for connection in list(self.connections.values()):
                if connection.who.session == ending.session:
                    self.close(connection.number)

    @property
    def ends_unread(self) -> set[str]:
        """Users of whom something has ended, as it has not read yet."""
        endings = self.world.database.endings[self._endings_read :]
        return {ending.username for ending in endings}

    def _revoke(self, ending: Ending) -> None:
        """As in apps/lines.py: with what was issued later a user stays."""
        lines_stay = set()
        for connection in list(self.connections.values()):
            if not ending.revokes(connection.room, connection.who.user):
                continue
            if connection.token is None or connection.token.issued <= ending.issued_before:
                self.close(connection.number)
            else:
                lines_stay.add(connection.room)
        self.carry_out(
            self.node.end_user(
                ending.app, ending.username, self.now, room=ending.room, lines_stay=lines_stay
            )
        )


def _rested(stay: Stay, seconds: float) -> Stay:
    return stay if stay.resting is None else stay._replace(resting=stay.resting + seconds)


class World:
    """Some hosts, their Redis, their database, and the clock."""

    def __init__(
        self,
        hosts: int = 3,
        *,
        grace: float = 8.0,
        lease: float = 10.0,
        node: Callable[..., Node] = Node,
        clocks: tuple[float, ...] = (),
        rooms_with_visits: tuple[str, ...] = (),
        has_locks: bool = False,
    ) -> None:
        self.step = 0
        # Whether all run on one machine, so that one that starts knows whose processes have ended
        # without a word: these, until others have been told.
        self.has_locks = has_locks
        self.unlocked: set[str] = set()
        self.rooms_with_visits = rooms_with_visits
        self.grace = grace
        self.lease = lease
        # One process without Redis: no other node can live.
        self.alone = hosts == 1
        self._node = node
        self.redis = Redis()
        self.database = Database()
        self._clocks = clocks
        self.accounts: dict[str, int] = {}
        self._account = 0
        # So many tokens have been issued.
        self._issued = 0
        # Batches of connections that were given up, which Redis may still get when bytes flow.
        self.keeps_stranded = False
        self.stranded: list[tuple[Host, list[tuple[str, str | None]]]] = []
        self.stranded_arrived_at = -1
        self._started = 0
        self._connected = 0
        self.after_step: Callable[[], None] = lambda: None
        self.witness = Witness()
        self.hosts: list[Host] = []
        for slot in range(hosts):
            self.hosts.append(self._start(slot))

    @property
    def now(self) -> float:
        return round(self.step * STEP, 3)

    def make_node(self, name: str, now: Moment) -> Node:
        return self._node(name, grace=self.grace, lease=self.lease, now=now)

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP)):
            self._one_step()

    def wait_for(self, condition: Callable[[], bool], at_most: float) -> float:
        """Go on until something holds, and tell how long that took."""
        began = self.step
        while not condition():
            assert (self.step - began) * STEP < at_most, "it did not happen in time"
            self._one_step()
        return (self.step - began) * STEP

    # What people do

    def who(self, username: str, session: str | None = None, room: str = OWN) -> Who:
        if room != OWN:
            return Who(session or f"{APP}:{username}", username)
        if username not in self.accounts:
            self._account += 1
            self.accounts[username] = self._account
        return Who(session or f"{username}'s", username, self.accounts[username])

    def connect(
        self,
        slot: int,
        username: str,
        session: str | None = None,
        *,
        status: Status | None = None,
        room: str = OWN,
        token: Token | None = None,
    ) -> int:
        self._connected += 1
        host = self.hosts[slot]
        connection = Connection(self._connected, self.who(username, session, room), room, token)
        self.witness.opened(connection, host, self.now, status)
        host.do(connection.subject, lambda: host.open(connection, status))
        return self._connected

    def token(self, seconds: float) -> Token:
        """What opens rooms of the app for so long."""
        self._issued += 1
        return Token(self._issued, self.now + seconds)

    def renew(self, number: int, seconds: float) -> None:
        line, token = self.witness.lines[number], self.token(seconds)
        self.witness.lines[number] = line._replace(token=token)
        line.host.do(line.subject, lambda: line.host.renew(number, token))

    def narrow(self, number: int) -> None:
        line = self.witness.lines[number]
        self.witness.closed(number, self.now)
        self.witness.narrowed[line.subject] = self.now
        held = (other for number, other in self.witness.lines.items() if other.host.holds(number))
        # Of one that waits at a node that stands still nobody knows.
        if not any(other.place == line.place for other in held):
            del self.witness.left[line.place]
            if self.witness.placed_until(line.subject) <= self.now:
                self.witness.sent_away(line.subject, self.now)
        line.host.do(line.subject, lambda: line.host.narrow(number))

    def put(self, slot: int, room: str, username: str, status: Status, ttl: float) -> None:
        host = self.hosts[slot]
        self.witness.placed(subject(room, username), host, status, self.now, ttl)
        host.place(room, username, status, ttl)

    def revoke(self, slot: int, username: str, room: str | None = None) -> None:
        """Send a user of the app from a room, or from all; what is issued later lets them in."""
        host = self.hosts[slot]
        ending = Ending(None, username, 0, host.now.unix, APP, room, self._issued)
        self.witness.revoked(ending, self.now)
        self.database.end(ending)
        host.carry_out(host.node.say_ended())
        host.read_endings()

    def drop(self, number: int) -> None:
        line = self.witness.lines.get(number)
        self.witness.closed(number, self.now)
        if line is not None:
            line.host.do(line.subject, lambda: line.host.close(number))

    def claim(self, slot: int, username: str, session: str | None = None) -> None:
        host = self.hosts[slot]
        who = self.who(username, session)
        self.witness.claimed(who, host, self.now)
        host.do(username, lambda: host.carry_out(host.node.claim(OWN, who, host.now)))

    def say(self, slot: int, number: int, status: Status) -> None:
        host = self.hosts[slot]
        self.witness.said(number, status, self.now)

        def act() -> None:
            host.finish_arriving(number)
            found = host.connections.get(number)
            if found is not None:
                host.carry_out(
                    host.node.set_status(found.room, found.who.session, number, status, host.now)
                )

        line = self.witness.lines.get(number)
        if line is not None:
            host.do(line.subject, act)

    def choose(
        self,
        slot: int,
        username: str,
        status: Status | ChosenStatus | None,
        *,
        text: str = "",
        until: int | None = None,
    ) -> None:
        host = self.hosts[slot]
        room = self.witness.room_of(username)
        app, account = app_of(room), self.who(username, room=room).account
        end = None if until is None else float(until - EPOCH)
        self.witness.chose(username, status, host, self.now, text, end)
        host.do(
            username,
            lambda: host.carry_out(
                host.node.choose(
                    app, username, status, host.now, text=text, until=until, account=account
                )
            ),
        )

    def log_out(self, slot: int, session: str, username: str) -> None:
        """End a session by way of one server: a row in the database, and a word to the others."""
        self.witness.ended(session, username, self.now)
        host = self.hosts[slot]
        self.database.end(Ending(session, username, 0, host.now.unix))
        host.carry_out(host.node.say_ended())
        host.read_endings()

    def delete(self, slot: int, username: str, *sessions: str) -> None:
        """Delete an account with its sessions."""
        for session in sessions:
            self.witness.ended(session, username, self.now)
        self.witness.deleted(username, self.now)
        host = self.hosts[slot]
        account = self.who(username).account
        del self.accounts[username]
        self.database.book.delete(username)
        for session in sessions:
            self.database.end(Ending(session, username, account, host.now.unix))
        self.database.end(Ending(None, username, account, host.now.unix))
        host.carry_out(host.node.say_ended())
        host.read_endings()

    # What happens to servers

    def kill(self, slot: int) -> None:
        self._close_all(slot)
        self.hosts[slot].go(goodbye=False)

    def stop(self, slot: int) -> None:
        self._close_all(slot)
        self.hosts[slot].go(goodbye=True)

    def start(self, slot: int) -> None:
        old = self.hosts[slot]
        assert not old.alive
        if old.on_its_way is not None and not old.arrived:
            self.stranded.append((old, old.on_its_way))
        self.hosts[slot] = self._start(slot)

    def pause(self, slot: int) -> None:
        self.hosts[slot].paused = True

    def resume(self, slot: int, *, timers_first: bool = True) -> None:
        self.hosts[slot].resume(timers_first=timers_first)

    def cut(self, slot: int, *, out: bool = True, back: bool = True) -> None:
        """Stop the bytes to Redis, those from it, or both; nobody is told."""
        host = self.hosts[slot]
        host.out, host.back = host.out and not out, host.back and not back

    def mend(self, slot: int) -> None:
        self.hosts[slot].out = self.hosts[slot].back = True

    def lose(self, slot: int) -> None:
        """Lose the newest letters on their way to a host, without a word."""
        self.hosts[slot].lost_at = self.now
        inbox = self.redis.subscriptions.get(self.hosts[slot], deque())
        for _ in range(min(3, len(inbox))):
            inbox.pop()

    def end_subscription(self, slot: int) -> None:
        """Let Redis end a subscription with all that waits for it, as it does with slow readers."""
        self.hosts[slot].kicked = True
        self.hosts[slot].lost_at = self.now

    def lose_sent(self, slot: int) -> None:
        """Lose what a host says within the next step."""
        host = self.hosts[slot]
        host.tick()
        host.backlog.clear()
        host.lost_at = self.now

    def repeat(self, slot: int) -> None:
        """Deliver what lies in the inbox of a host twice over."""
        inbox = self.redis.subscriptions.get(self.hosts[slot])
        if inbox is not None:
            inbox.extend(list(inbox))

    def take_redis_down(self) -> None:
        self.redis.up = False
        self.stranded.clear()
        for host in self.hosts:
            host.kicked = True
            host.lost_at = self.now
            host.publishing = False
            host.on_its_way = None

    def bring_redis_up(self) -> None:
        self.redis.up, self.redis.frozen = True, False

    def strand(self, host: Host) -> None:
        if self.keeps_stranded and self.redis.up and host.on_its_way is not None:
            self.stranded.append((host, host.on_its_way))

    def here(self, slot: int, room: str = OWN) -> dict[str, str]:
        return {name: person.status for name, person in self.hosts[slot].here(room).items()}

    def person(self, slot: int, username: str) -> Person | None:
        return self.hosts[slot].here().get(username)

    def cluster(self, slot: int) -> Node:
        return self.hosts[slot].node

    # How

    def _may_be_unknown(self, host: Host, at: float) -> bool:
        """Whether a host that ends now has perhaps told nobody what was done there."""
        in_touch = host.in_touch and self.redis.serves and host.publishing
        if in_touch and self.now - host.cut_off_at >= BACK_IN_TOUCH:
            return self.now - at < 2 * STEP + TICK
        # What is written is read by the others twice a second.
        writes = self.database.is_writable and host.database and not host.paused
        return not writes or self.now - max(at, host.unwritten_at) < 4 * NOTES

    def _close_all(self, slot: int) -> None:
        host, witness = self.hosts[slot], self.witness
        for line in witness.lines.values():
            if line.host is host and self._may_be_unknown(host, witness.acts[line.subject]):
                witness.silent_ends[line.subject] = self.now
        for name, opened_at in witness.opened_at.items():
            if opened_at is host and self._may_be_unknown(host, witness.pages[name]):
                witness.silent_ends[name] = self.now
        for name, placed in witness.placements.items():
            # Whoever hears of a claim before they read of an end cannot tell which came first.
            sent_away = witness.revoked_before(name, placed.at)
            undecided = placed.at - sent_away < 2 * ENDINGS or witness.troubled_at >= sent_away > 0
            # Who starts later knows of it what was written.
            unwritten = self.now - max(placed.at, host.unwritten_at) < NOTES + 2 * STEP
            unknown = undecided or unwritten or self._may_be_unknown(host, placed.at)
            if placed.host is host and unknown:
                witness.silent_ends[name] = self.now
                witness.lost_placements.add(name)
        for name, placed in witness.revoked_placements.items():
            # The same, and nobody speaks for it any more.
            if placed.host is host and self._may_be_unknown(host, witness.log_outs[name]):
                witness.lost_placements.add(name)
        for username, (at, chosen_by) in self.witness.chosen_at.items():
            # Perhaps nobody else has come to know of it.
            if chosen_by is host and (self.now - at < 2 or not host.in_touch):
                self.witness.unsure.add(username)
        for number, line in list(self.witness.lines.items()):
            if line.host is self.hosts[slot]:
                self.witness.closed(number, self.now)

    def _start(self, slot: int) -> Host:
        self._started += 1
        clock = self._clocks[slot] if slot < len(self._clocks) else 0.0
        return Host(self, self._started, clock)

    def _one_step(self) -> None:
        self.step += 1
        if self.redis.serves:
            self._carry()
        for host in self.hosts:
            if not (host.in_touch and self.redis.serves):
                host.cut_off_at = self.now
            if not (self.database.is_writable and host.database):
                host.unwritten_at = self.now
            if host.alive and not host.paused:
                host.run()
        self.after_step()

    def _carry(self) -> None:
        for host in self.hosts:
            on_time = self.now - host.sent_at >= host.late_out
            if host.out and host.on_its_way is not None and not host.arrived and on_time:
                host.arrived = True
                if not host.alive and self.now - host.sent_at > 0.2:
                    self.stranded_arrived_at = self.step
                self._take_in(host.on_its_way)
        for host, letters in list(self.stranded):
            if host.out:
                self.stranded.remove((host, letters))
                self.stranded_arrived_at = self.step
                self._take_in(letters)

    def _take_in(self, letters: list[tuple[str, str | None]]) -> None:
        for text, to in letters:
            self.redis.publish(text, to, self.now)


class Line(NamedTuple):
    """An open socket as its user has it: what was last said on it."""

    who: Who
    host: Host
    status: Status
    room: str = OWN
    token: Token | None = None

    @property
    def subject(self) -> str:
        return subject(self.room, self.who.user)

    @property
    def place(self) -> tuple[str, str]:
        return self.room, self.who.session


class Placement(NamedTuple):
    """What a backend said last of somebody in a room."""

    host: Host
    status: Status
    at: float
    until: float


class Words(NamedTuple):
    """What somebody chose to say and until when; and what others go on reading of who hides."""

    text: str = ""
    end: float | None = None
    seen: str = ""
    seen_end: float | None = None


class Witness:
    """What people did, and nothing of what the servers made of it.

    Everybody is known by their subject: of an own account that is its name, of a user of an app it
    is one for each room. Choices hold for all of a user's.
    """

    def __init__(self) -> None:
        self.lines: dict[int, Line] = {}
        # When each session had a line in a room last, and how it was then; a log-out takes it out.
        self.left: dict[tuple[str, str], tuple[str, float, Status]] = {}
        self.placements: dict[str, Placement] = {}
        # Until when each was placed at any node, whatever was said later at another.
        self.longest: dict[str, float] = {}
        # Those that were made at two nodes, of which one may not have heard of the other.
        self.contested: set[str] = set()
        # Those that were revoked, as their hosts know only when they have read it.
        self.revoked_placements: dict[str, Placement] = {}
        # Those that perhaps nobody knows of any more.
        self.lost_placements: set[str] = set()
        self.choices: dict[str, str | None] = {}
        self.words: dict[str, Words] = {}
        # When something happened that may change how somebody is.
        self.acts: dict[str, float] = {}
        # When somebody was last surely here: a line, or a page that was opened.
        self.signs: dict[str, float] = {}
        self.log_outs: dict[str, float] = {}
        # Who may no longer be seen by one of their lines: its host lets them go at once.
        self.narrowed: dict[str, float] = {}
        self.chosen_at: dict[str, tuple[float, Host | None]] = {}
        # Users of whom nodes may differ about what they have chosen.
        self.unsure: set[str] = set()
        # When anything was last wrong, as far as somebody notes that.
        self.troubled_at = -100.0
        self.deletions: dict[str, float] = {}
        self.revocations: list[tuple[float, Ending]] = []
        # The hosts on which somebody has had a line since they were last settled.
        self.homes: dict[str, set[Host]] = {}
        # When a node of theirs ended that could not say so, nor perhaps that they were there.
        self.silent_ends: dict[str, float] = {}
        # When somebody last opened a page, and where.
        self.pages: dict[str, float] = {}
        self.opened_at: dict[str, Host] = {}

    def room_of(self, username: str) -> str:
        """One of the rooms in which a user has been."""
        rooms = (name.rpartition(" ")[0] for name in self.acts if user_of(name) == username)
        return next(rooms, OWN)

    def is_unsure(self, name: str) -> bool:
        return user_of(name) in self.unsure

    def choice(self, name: str) -> str | None:
        return self.choices.get(user_of(name))

    def placed_until(self, name: str) -> float:
        placement = self.placements.get(name)
        return -1000.0 if placement is None else placement.until

    def status(self, name: str, now: float = 1e9) -> str | None:
        """How somebody is who has a line, or was placed; None without one."""
        said = [line.status for line in self.lines.values() if line.subject == name]
        if self.placed_until(name) > now and name not in self.lost_placements:
            said.append(self.placements[name].status)
        if not said or self.choice(name) == "invisible":
            return None
        return self.choice(name) or ("online" if "online" in said else "away")

    def in_grace(self, name: str, since: float) -> bool:
        """Whether a session that closed its last line since then may still count."""
        open_sessions = {line.place for line in self.lines.values()}
        return any(
            who == name and left >= since and place not in open_sessions
            for place, (who, left, _) in self.left.items()
        )

    def session_status(self, place: tuple[str, str]) -> Status:
        lines = [line.status for line in self.lines.values() if line.place == place]
        if lines:
            return "online" if "online" in lines else "away"
        return self.left[place][2] if place in self.left else "online"

    def opened(
        self, connection: Connection, host: Host, now: float, status: Status | None
    ) -> None:
        name, who = connection.subject, connection.who
        begins = status or self.session_status((connection.room, who.session))
        self._said_beside_a_choice(who.user, host, now)
        self.lines[connection.number] = Line(
            who, host, begins, connection.room, connection.token
        )
        self.signs[name] = self.acts[name] = now

    def closed(self, number: int, now: float) -> None:
        line = self.lines.get(number)
        if line is None:
            return
        status = self.session_status(line.place)
        self.homes.setdefault(line.subject, set()).add(line.host)
        del self.lines[number]
        self.left[line.place] = line.subject, now, status
        self.signs[line.subject] = self.acts[line.subject] = now

    def claimed(self, who: Who, host: Host, now: float) -> None:
        self.pages[who.user] = self.signs[who.user] = self.acts[who.user] = now
        self.opened_at[who.user] = host

    def placed(self, name: str, host: Host, status: Status, now: float, ttl: float) -> None:
        before = self.placements.get(name)
        if before is not None and before.until > now and before.host is not host:
            # Until all know of both, either may be shown.
            self.contested.add(name)
        self.homes.setdefault(name, set()).add(host)
        self.placements[name] = Placement(host, status, now, now + ttl)
        self.longest[name] = max(now + ttl, self.longest.get(name, 0.0))
        self.lost_placements.discard(name)
        self.signs[name] = self.acts[name] = now

    def said(self, number: int, status: Status, now: float) -> None:
        line = self.lines.get(number)
        if line is not None:
            self.lines[number] = line._replace(status=status)
            self.acts[line.subject] = now
            self._said_beside_a_choice(line.who.user, line.host, now)

    def _said_beside_a_choice(self, user: str, host: Host, now: float) -> None:
        """Whether a choice at another node undoes it is known by whole seconds."""
        chosen, by = self.chosen_at.get(user, (-100.0, None))
        if by is not host and now - chosen < 2:
            self.unsure.add(user)

    def chose(
        self,
        username: str,
        status: str | None,
        host: Host | None,
        now: float,
        text: str = "",
        end: float | None = None,
    ) -> None:
        """By its second `end` it is over, where clocks are right."""
        before, by = self.chosen_at.get(username, (-100.0, None))
        clocks = [0.0 if at is None else at.clock for at in (by, host)]
        # One that does not know of the other is put in its place by the clock alone.
        unknown = now - before < 2 or (self.troubled_at >= before and clocks[0] != clocks[1])
        if by is not host and unknown:
            self.unsure.add(username)
        else:
            self.unsure.discard(username)
        self._acted(username, now)
        self.chosen_at[username] = now, host
        self.words[username] = self._words(username, status, text, end)
        self.choices[username] = None if status == "online" else status
        if status == "online" and not text:
            for number, line in self.lines.items():
                if line.who.user == username:
                    self.lines[number] = line._replace(status="online")
                    if self.troubled_at >= now - 1 and line.host.clock != clocks[1]:
                        # Whether that was said before is known by the clocks alone.
                        self.unsure.add(username)

    def _words(self, user: str, status: str | None, text: str, end: float | None) -> Words:
        before = self.words.get(user, Words())
        if status != "invisible":
            return Words(text, end)
        if self.choices.get(user) == "invisible":
            return Words(text, end, before.seen, before.seen_end)
        return Words(text, end, before.text, before.end if before.text else None)

    def pass_time(self, now: float) -> None:
        """What people chose for a while may be over."""
        for user, words in list(self.words.items()):
            if words.seen_end is not None and words.seen_end <= now:
                words = self.words[user] = words._replace(seen="", seen_end=None)
                self._acted(user, now)
            if words.end is not None and words.end <= now:
                back = self.choices.get(user) == "invisible"
                self.words[user] = Words(words.seen, words.seen_end) if back else Words()
                self.choices[user] = None
                self._acted(user, now)

    def text(self, name: str) -> str:
        """What others read beside somebody."""
        words = self.words.get(user_of(name), Words())
        return words.seen if self.choice(name) == "invisible" else words.text

    def _acted(self, user: str, now: float) -> None:
        for name in {user, *self.acts}:
            if user_of(name) == user:
                self.acts[name] = now

    def ended(self, session: str, username: str, now: float) -> None:
        self.lines = {n: line for n, line in self.lines.items() if line.who.session != session}
        self.left.pop((OWN, session), None)
        self.sent_away(username, now)

    def revoked_before(self, name: str, at: float) -> float:
        room, _, user = name.rpartition(" ")
        before = (when for when, ending in self.revocations if ending.revokes(room, user))
        return max((when for when in before if when <= at), default=-100.0)

    def sent_away_at(self, name: str) -> float:
        """When somebody was sent away last, also before anybody heard of them."""
        return max(self.log_outs.get(name, -1000.0), self.revoked_before(name, math.inf))

    def revoked(self, ending: Ending, now: float) -> None:
        self.revocations.append((now, ending))
        for number, line in list(self.lines.items()):
            if ending.revokes(line.room, line.who.user):
                del self.lines[number]
        for name in self.acts:
            room, _, user = name.rpartition(" ")
            if room != OWN and ending.revokes(room, user):
                placement = self.placements.pop(name, None)
                if placement is not None:
                    self.revoked_placements[name] = placement
                    if not placement.host.alive:
                        # Whoever reads of the end before they hear of the claim keeps it.
                        self.lost_placements.add(name)
                self.left = {place: left for place, left in self.left.items() if left[0] != name}
                self.sent_away(name, now)

    def sent_away(self, name: str, now: float) -> None:
        self.log_outs[name] = self.acts[name] = now

    def deleted(self, username: str, now: float) -> None:
        self.choices.pop(username, None)
        self.words.pop(username, None)
        self.deletions[username] = now
        self.sent_away(username, now)
