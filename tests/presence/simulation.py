"""Whole servers in virtual time: nodes on a simulated Redis, and all that can happen to them.

A host does to its node what live/presence.py does, and its relay what relay/redis.py does: one
connection publishes, another listens, both are given up after a while without an answer, and what
could not be published is dropped. Time goes in steps of a tenth of a second. Every node has a
monotonic clock of its own, so that comparing the clocks of two nodes cannot go unnoticed.
"""

from collections import deque
from collections.abc import Callable, Collection
from typing import NamedTuple

from presence_server.presence.moment import Moment
from presence_server.presence.node import Entry, Node
from presence_server.presence.roster import Person, Status

STEP = 0.1
EPOCH = 1_800_000_000

# As in live/presence.py and relay/redis.py, in seconds.
PUBLISH_TIMEOUT = 2.0
SILENCE = 2.5
RETRY = 0.3
CONNECT_TIMEOUT = 1.0

# As in store.py: the database is written and read so often, in steps.
NOTING = 5
TOUCHING = 600
NOTES_HOLD = 120


class Connection(NamedTuple):
    """An open socket, as its client sees it."""

    number: int
    session: str
    username: str


class Ending(NamedTuple):
    """A row that says that a session, or the whole account, has ended."""

    session: str | None
    username: str
    at: int


class Note(NamedTuple):
    """A row that says that a node has a session."""

    username: str
    entry: Entry
    noted_at: int


class Chosen(NamedTuple):
    """The newest choice of a user, by which connection it was made, and how long after the last."""

    status: Status
    connection: int
    at: float
    apart: float


class Redis:
    """Carries texts to those who are subscribed, in the order in which it takes them in."""

    def __init__(self) -> None:
        self.up = True
        self.frozen = False
        self.delay = 0
        self.subscriptions: dict["Host", deque[tuple[int, str]]] = {}

    @property
    def serves(self) -> bool:
        return self.up and not self.frozen

    def publish(self, text: str, to: str | None, step: int) -> None:
        for host, inbox in self.subscriptions.items():
            if to is None or to == host.node.name:
                inbox.append((step + self.delay, text))


class Host:
    """One server process: a node, its relay and the sockets of its clients."""

    def __init__(self, world: "World", number: int) -> None:
        self.world = world
        self.offset = 1000.0 * number
        self.node = world.make_node(f"{number:016x}", self.now)
        self.alive = True
        self.paused = False
        self.connections: dict[int, Connection] = {}
        # Whom it had in the last few steps: what it last said of them may be on its way still.
        self.recent: deque[list[str]] = deque(maxlen=4)
        # What clients did while the process stood still.
        self.waiting: list[Callable[[], None]] = []
        self._endings_read = len(world.endings)
        # Whether bytes flow to Redis, and back.
        self.out = True
        self.back = True
        self.backlog: list[tuple[str, str | None]] = []
        self.publishing = False
        self.on_its_way: list[tuple[str, str | None]] | None = None
        self.arrived = False
        self.sent_at = 0
        self.publish_at = world.step
        self.listen_at = world.step
        self.silent_since: int | None = None
        self.kicked = False
        self.deafened = False
        self.lost_at = 0
        self.unheard_since: int | None = 0
        self.was_in_touch = False
        self.began = world.step
        self._take_over()

    @property
    def now(self) -> Moment:
        return Moment(self.world.now + self.offset, EPOCH + int(self.world.now))

    @property
    def in_touch(self) -> bool:
        return self.alive and not self.paused and self.out and self.back

    def run(self) -> None:
        """One step of a process that is not paused."""
        self._publish_or_give_up()
        self._listen()
        self._read_endings()
        self._keep_notes()
        self.recent.append(self.node.connections.users())
        self.tick()
        self._publish()

    def tick(self) -> None:
        """As live/presence.py does it: see what is due, send letters."""
        self.node.tick(self.now)
        self.backlog += self.node.take_letters()
        if self.node.cluster.needs_subscription:
            self.node.cluster.needs_subscription = False
            self._resubscribe()
        cluster = self.node.cluster
        if self.was_in_touch and not cluster.degraded and not cluster.catching_up(self.now):
            self.unheard_since = None
        elif self.unheard_since is None:
            self.unheard_since = int(self.now.unix - self.world.lease)

    def open(self, connection: Connection) -> None:
        if connection.session in self.world.ended:
            return
        self.connections[connection.number] = connection
        self.world.signs[connection.username] = self.world.now
        self.node.open(connection.session, connection.username, connection.number, self.now)
        assert connection.username in self.node.roster.here, "I6: not at once in one's own list"

    def close(self, number: int) -> None:
        connection = self.connections.pop(number, None)
        if connection is not None:
            self.node.close(connection.session, number, self.now)

    def deafen(self) -> None:
        """Let the subscription die in such a way that it looks alive."""
        self.deafened = True

    def do(self, act: Callable[[], None]) -> None:
        """Let a client do something, which a paused process sees only later."""
        if self.paused:
            self.waiting.append(act)
        else:
            act()

    def resume(self, *, timers_first: bool) -> None:
        """Wake up: timers fire before sockets are read, or a moment after."""
        self.paused = False
        if timers_first:
            self.tick()
        waiting, self.waiting = self.waiting, []
        for act in waiting:
            act()

    def go(self, *, goodbye: bool) -> None:
        """End the process, killed or after its last words."""
        if goodbye:
            self.node.say_goodbye()
            self.backlog += self.node.take_letters()
            self._send()
            self._note(whole=True)
        self.alive = False
        self.connections.clear()
        self.waiting.clear()
        self.world.redis.subscriptions.pop(self, None)

    # The relay

    def _publish_or_give_up(self) -> None:
        step = self.world.step
        if not self.publishing:
            return
        if self.on_its_way is not None and self.arrived and self.back:
            self.on_its_way = None
        elif self.on_its_way is not None and (step - self.sent_at) * STEP > PUBLISH_TIMEOUT:
            self._stop_publishing(RETRY)

    def _publish(self) -> None:
        if not self.publishing and self.world.step >= self.publish_at:
            if self._reaches_redis():
                self.publishing = True
            else:
                self._stop_publishing(RETRY if not self.world.redis.up else CONNECT_TIMEOUT)
        self._send()

    def _send(self) -> None:
        if self.publishing and self.on_its_way is None and self.backlog:
            self.on_its_way, self.backlog = self.backlog, []
            self.arrived = False
            self.sent_at = self.world.step

    def _stop_publishing(self, pause: float) -> None:
        if self.on_its_way is not None and not self.arrived:
            self.world.strand(self)
        self.publishing = False
        self.on_its_way = None
        self.backlog.clear()
        self.publish_at = self.world.step + round(pause / STEP)

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
        while self.back and inbox and inbox[0][0] <= self.world.step:
            text = inbox.popleft()[1]
            if not self.deafened:
                self.node.receive(text, self.now)
                self.was_in_touch = self.was_in_touch or self.node.cluster.settled
        if self.node.endings_due:
            self.node.endings_due = False
            self.read_endings()
        if redis.serves and self.out and self.back:
            self.silent_since = None
        elif self.silent_since is None:
            self.silent_since = self.world.step
        elif (self.world.step - self.silent_since) * STEP > SILENCE:
            self._unsubscribe()

    def _subscribe(self) -> None:
        if self.world.step < self.listen_at:
            return
        if self._reaches_redis():
            self.world.redis.subscriptions[self] = deque()
            self.silent_since = None
            self.node.cluster.subscribed(self.now)
        else:
            pause = RETRY if not self.world.redis.up else CONNECT_TIMEOUT
            self.listen_at = self.world.step + round(pause / STEP)

    def _unsubscribe(self) -> None:
        self.deafened = False
        del self.world.redis.subscriptions[self]
        self.listen_at = self.world.step + round(RETRY / STEP)
        self.node.cluster.lost()

    def _resubscribe(self) -> None:
        if self.on_its_way is None:
            self.publishing = False
        if self in self.world.redis.subscriptions:
            self._unsubscribe()

    def _reaches_redis(self) -> bool:
        return self.world.redis.serves and self.out and self.back

    # Who is here, in the database

    def _take_over(self) -> None:
        notes = sorted(self.world.notes.items(), key=lambda item: item[1].noted_at)
        for session, note in {session: note for (session, _), note in notes}.items():
            self.node.adopt(session, note.username, note.entry, note.noted_at, self.now)
        if not self._reaches_redis():
            self.node.cluster.lost()

    def _keep_notes(self) -> None:
        age = self.world.step - self.began
        if age % NOTING == 0 and self.world.database_works:
            self._note(whole=age % TOUCHING == 0)
            self._heed()
            self.world.forget_notes(self.node.cluster.take_dropped())
        if age == 3 * NOTING and self.unheard_since is None:
            living = {self.node.name, *self.node.cluster.peers}
            self.world.forget_notes({node for _, node in self.world.notes} - living)

    def _note(self, whole: bool = False) -> None:
        record = self.node.take_record(whole=whole)
        for session in record.gone:
            self.world.notes.pop((session, self.node.name), None)
        for session, entry in record.here.items():
            held = self.node.connections.held(session)
            if held is not None and session not in self.world.ended:
                note = Note(held.username, entry, self.now.unix)
                self.world.notes[session, self.node.name] = note

    def _heed(self) -> None:
        noted: dict[str, Entry] = {}
        if self.unheard_since is not None:
            since = max(self.unheard_since, self.now.unix - NOTES_HOLD)
            for (_, node), note in self.world.notes.items():
                if node != self.node.name and note.noted_at >= since:
                    if note.username not in noted or note.entry.status == "online":
                        noted[note.username] = note.entry
        self.node.heed(noted, self.now)

    # The ended sessions

    def _read_endings(self) -> None:
        if self.world.step % 10 == 0:
            self.read_endings()

    def read_endings(self) -> None:
        endings = self.world.endings[self._endings_read :]
        self._endings_read += len(endings)
        for ending in endings:
            if ending.session is None:
                self.node.delete(ending.username, ending.at)
                continue
            self.node.end(ending.session, self.now)
            for connection in list(self.connections.values()):
                if connection.session == ending.session:
                    self.close(connection.number)


class World:
    """Some hosts, their Redis, and the clock."""

    def __init__(
        self,
        hosts: int = 3,
        *,
        grace: float = 8.0,
        lease: float = 10.0,
        node: Callable[..., Node] = Node,
    ) -> None:
        self.step = 0
        self.grace = grace
        self.lease = lease
        self._node = node
        self.redis = Redis()
        self.endings: list[Ending] = []
        self.database_works = True
        # By session and node.
        self.notes: dict[tuple[str, str], Note] = {}
        self.ended: set[str] = set()
        # The newest sign of life of each user: an open socket, a page opened; or that one's node
        # was cut off or ended during one's grace, for nobody else knows when that began.
        self.signs: dict[str, float] = {}
        self.logged_out: dict[str, float] = {}
        # When a node of theirs ended, with a goodbye that Redis took in, or without.
        self.goodbyes: dict[str, float] = {}
        self.sudden_ends: dict[str, float] = {}
        self.chosen: dict[str, Chosen] = {}
        # Batches of connections that were given up, which Redis may still get when bytes flow.
        self.keeps_stranded = False
        self.stranded: list[tuple[Host, list[tuple[str, str | None]]]] = []
        self.stranded_arrived_at = 0
        self._started = 0
        self._connected = 0
        self.after_step: Callable[[], None] = lambda: None
        self.hosts: list[Host] = []
        for _ in range(hosts):
            self.hosts.append(self._start())

    @property
    def now(self) -> float:
        return self.step * STEP

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

    def connect(self, slot: int, username: str, session: str | None = None) -> int:
        self._connected += 1
        host = self.hosts[slot]
        connection = Connection(self._connected, session or f"{username}'s", username)
        host.do(lambda: host.open(connection))
        return self._connected

    def drop(self, number: int) -> None:
        for host in self.hosts:
            host.do(lambda host=host: host.close(number))  # type: ignore[misc]

    def claim(self, slot: int, username: str, session: str | None = None) -> None:
        host = self.hosts[slot]
        self.signs[username] = self.now
        host.do(lambda: host.node.claim(session or f"{username}'s", username, host.now))

    def say(self, slot: int, number: int, status: Status) -> None:
        host = self.hosts[slot]
        session = host.connections[number].session
        host.do(lambda: host.node.set_status(session, number, status, host.now))

    def choose(self, slot: int, number: int, status: Status) -> None:
        host = self.hosts[slot]
        username = host.connections[number].username
        before = self.chosen.get(username, Chosen("online", 0, -100.0, 100.0))
        apart = min(before.apart, self.now - before.at)
        self.chosen[username] = Chosen(status, number, self.now, apart)
        host.do(lambda: host.node.choose(username, status, host.now))

    def log_out(self, slot: int, session: str, username: str) -> None:
        """End a session by way of one server: a row in the database, and a word to the others."""
        self._forget_sessions(session)
        self.logged_out[username] = self.signs[username] = self.now
        host = self.hosts[slot]
        self.endings.append(Ending(session, username, host.now.unix))
        host.node.say_ended()
        host.read_endings()

    def delete(self, slot: int, username: str, *sessions: str) -> None:
        """Delete an account with its sessions."""
        self._forget_sessions(*sessions)
        self.logged_out[username] = self.signs[username] = self.now
        host = self.hosts[slot]
        at = host.now.unix
        self.endings += [Ending(session, username, at) for session in (*sessions, None)]
        host.node.say_ended()
        host.read_endings()

    def forget_notes(self, nodes: Collection[str]) -> None:
        for session, node in list(self.notes):
            if node in nodes:
                del self.notes[session, node]

    def _forget_sessions(self, *sessions: str) -> None:
        self.ended.update(sessions)
        for session, node in list(self.notes):
            if session in sessions:
                del self.notes[session, node]

    # What happens to servers

    def kill(self, slot: int) -> None:
        self._sign_for_all(slot)
        self._note_end(slot, self.sudden_ends)
        self.hosts[slot].go(goodbye=False)

    def stop(self, slot: int) -> None:
        self._sign_for_all(slot)
        host = self.hosts[slot]
        heard = host.in_touch and self.redis.serves and host.publishing and not host.on_its_way
        self._note_end(slot, self.goodbyes if heard else self.sudden_ends)
        host.go(goodbye=True)

    def start(self, slot: int) -> None:
        old = self.hosts[slot]
        assert not old.alive
        if old.on_its_way is not None and not old.arrived:
            self.stranded.append((old, old.on_its_way))
        self.hosts[slot] = self._start()

    def pause(self, slot: int) -> None:
        self._sign_for_all(slot)
        self.hosts[slot].paused = True

    def resume(self, slot: int, *, timers_first: bool = True) -> None:
        self.hosts[slot].resume(timers_first=timers_first)

    def cut(self, slot: int, *, out: bool = True, back: bool = True) -> None:
        """Stop the bytes to Redis, those from it, or both; nobody is told."""
        self._sign_for_all(slot)
        host = self.hosts[slot]
        host.out, host.back = host.out and not out, host.back and not back

    def mend(self, slot: int) -> None:
        self.hosts[slot].out = self.hosts[slot].back = True

    def lose(self, slot: int) -> None:
        """Lose the newest letters on their way to a host, without a word."""
        self.hosts[slot].lost_at = self.step
        inbox = self.redis.subscriptions.get(self.hosts[slot], deque())
        for _ in range(min(3, len(inbox))):
            inbox.pop()

    def kick(self, slot: int) -> None:
        """Let Redis end a subscription with all that waits for it, as it does with slow readers."""
        self.hosts[slot].kicked = True
        self.hosts[slot].lost_at = self.step

    def lose_sent(self, slot: int) -> None:
        """Lose what a host says within the next step."""
        host = self.hosts[slot]
        host.tick()
        host.backlog.clear()

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
            host.lost_at = self.step
            host.publishing = False
            host.on_its_way = None

    def bring_redis_up(self) -> None:
        self.redis.up, self.redis.frozen = True, False

    def strand(self, host: Host) -> None:
        if self.keeps_stranded and self.redis.up and host.on_its_way is not None:
            self.stranded.append((host, host.on_its_way))

    def here(self, slot: int) -> dict[str, Status]:
        return {
            name: person.status
            for name, person in self.hosts[slot].node.roster.here.items()
            if person.status in ("online", "away")
        }

    def person(self, slot: int, username: str) -> Person | None:
        return self.hosts[slot].node.roster.here.get(username)

    # How

    def _note_end(self, slot: int, ends: dict[str, float]) -> None:
        for username in self.hosts[slot].node.connections.users():
            ends[username] = self.now

    def _sign_for_all(self, slot: int) -> None:
        host = self.hosts[slot]
        for usernames in (*host.recent, host.node.connections.users()):
            self.signs.update(dict.fromkeys(usernames, self.now))

    def _start(self) -> Host:
        self._started += 1
        return Host(self, self._started)

    def _one_step(self) -> None:
        self.step += 1
        if self.redis.serves:
            self._carry()
        for host in self.hosts:
            if host.alive and not host.paused:
                host.run()
        self.after_step()

    def _carry(self) -> None:
        for slot, host in enumerate(self.hosts):
            if host.out and host.on_its_way is not None and not host.arrived:
                host.arrived = True
                if not host.in_touch:
                    # It is still heard, though it cannot say much more.
                    self._sign_for_all(slot)
                if not host.alive and self.step - host.sent_at > 2:
                    self.stranded_arrived_at = self.step
                self._take_in(host.on_its_way)
        for host, letters in list(self.stranded):
            if host.out:
                self.stranded.remove((host, letters))
                self.stranded_arrived_at = self.step
                self._take_in(letters)

    def _take_in(self, letters: list[tuple[str, str | None]]) -> None:
        for text, to in letters:
            self.redis.publish(text, to, self.step)
