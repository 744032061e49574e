"""One node with people who come and go as they like, and observers who miss all they can.

The observers read real frames of both dialects, at arbitrary moments, and reconnect with cursors. A
simple account of the sessions says what is true. The roster remembers only a few who left, so that
cursors from before what it remembers occur all the time.
"""

import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from presence_server.live.audience import Audience, Due, Kind
from presence_server.live.dialects import PRESENCE_V1, TUTORIAL
from presence_server.live.observer import Observer
from presence_server.live.update import Forgotten, Update
from presence_server.presence.commands import Breathe, Command, Send, Tell
from presence_server.presence.members import Who
from presence_server.presence.moment import Moment
from presence_server.presence.node import Node
from presence_server.presence.records import OWN
from presence_server.presence.room import Room
from presence_server.presence.states import Status
from presence_server.presence.visits import Visits
from tests.live.silent_wire import SilentWire
from tests.presence.runs import model_runs, unbounded
from tests.presence.truth import Believer, Truth

NAME = "00000000000000aa"
GRACE = 8.0
STEP = 0.1
REMEMBERED = 2

USERS = st.sampled_from(["alice", "bob", "carol", "dave"])
DEVICES = st.sampled_from(["laptop", "phone"])
STATUSES: st.SearchStrategy[Status] = st.sampled_from(["online", "away"])
PICKS = st.integers(0, 100)
NONE: Mapping[Kind, bytes | None] = {}


class Client(Believer):
    """What reads the frames of one line, which is told of everybody or of a view."""

    def __init__(self, tutorial: bool, audience: Audience, now: Moment) -> None:
        super().__init__(tutorial)
        self.audience = audience
        self.view: frozenset[str] | None = None
        self._open(now)

    def reconnect(self, now: Moment) -> None:
        """Come back with the cursor, as only the newer dialect can; and watch the same again."""
        self.audience.remove(self.observer)
        self._open(now)

    def _open(self, now: Moment) -> None:
        dialect = TUTORIAL if self.tutorial else PRESENCE_V1
        room = self.audience.room
        self.observer = Observer(
            session="", user="", room=room, dialect=dialect, wire=SilentWire()
        )
        self.lags = False
        self.audience.add(self.observer)
        if not dialect.resumes:
            self.people.clear()
        elif self.view is None:
            self.observer.version = room.resume(self.cursor, now)
        else:
            self.watch(self.view, room.resume(self.cursor, now))

    def watch(self, view: frozenset[str] | None, version: int | None = None) -> None:
        """With a version only if it is the same view as before."""
        if version is None:
            # As the client does: what it has read so far may be of another view.
            self.cursor = ""
        self.view = view
        self.audience.watch(self.observer, view)
        self.observer.version = version

    def is_due(self, due: Due) -> bool:
        even = {wire for _, wires in due.even for wire in wires}
        return self.observer.wire in even or self.observer in due.own

    def flush(self, update: Update, same: Mapping[Kind, bytes | None] = NONE) -> None:
        first = self.observer.version is None
        kind = self.observer.dialect, self.observer.wire.frame
        data = same[kind] if kind in same else update.missing(self.observer)
        if data is None:
            raise Forgotten
        for message in read_frames(data):
            if message.get("type") == "count":
                assert self.view is not None
                continue
            if not self.tutorial:
                assert message["type"] == "snapshot" or not first, "not the whole truth first"
            self.take(message)

    def sees(self, here: dict[str, Any]) -> bool:
        """Whether this is what it has been told, of whom it watches."""
        if self.tutorial:
            return set(self.people) == set(here)
        watched = here.keys() if self.view is None else self.view & here.keys()
        return self.people == {name: here[name] for name in watched}


def read_frames(data: bytes) -> Iterator[dict[str, Any]]:
    while data:
        assert data[0] == 0x81
        start, length = 2, data[1]
        if length == 126:
            start, (length,) = 4, struct.unpack("!H", data[2:4])
        elif length == 127:
            start, (length,) = 10, struct.unpack("!Q", data[2:10])
        yield json.loads(data[start : start + length])
        data = data[start + length :]


class Attendance:
    """Who was here when: by what sessions did, and by what is kept of it."""

    def __init__(self, room: Room, truth: Truth) -> None:
        self._room = room
        self._truth = truth
        self._following = Visits()
        self._version: int | None = None
        # For each user, by the second in which they came: when they surely were still here, and
        # when they were so no more; None while they are.
        self._true: dict[str, dict[int, tuple[int, int | None]]] = {}
        self._came: dict[str, int] = {}
        self._kept: dict[str, dict[int, int | None]] = {}

    def note(self, second: int) -> None:
        """Something may have happened to sessions."""
        here = self._truth.here().keys()
        for user in here - self._came.keys():
            self._came[user] = second
            self._true.setdefault(user, {})[second] = second, None
        for user in self._came.keys() - here:
            came = self._came.pop(user)
            self._true[user][came] = self._true[user][came][0], second
        for held in self._truth.sessions.values():
            if held.connections:
                self._true[held.username][self._came[held.username]] = second, None

    def follow(self, second: int) -> None:
        """As visits/attendance.py does, at each word of a change."""
        roster = self._room.roster
        changed = None if self._version is None else roster.changes_since(self._version)
        self._version = roster.version
        if changed is None:
            here = {user: (1, person.since) for user, person in roster.here.items()}
            self._following.see_all(OWN, here, roster.left_since(0), second)
        for user, person in changed or ():
            self._following.see(OWN, user, 1, user in roster.here, person.since)
        for visit in self._following.take():
            self._kept.setdefault(visit.user, {})[visit.came] = visit.left

    def check(self) -> None:
        for user, visits in self._true.items():
            kept = self._kept.get(user, {})
            assert kept.keys() == visits.keys(), f"{user} came at {list(visits)}, kept is {kept}"
            for came, (last, gone) in visits.items():
                left = kept[came]
                if gone is None or left is None:
                    assert gone is left, f"{user} left at {gone}, kept is {left}"
                else:
                    assert last <= left <= gone, f"{user} left from {last} to {gone}, not {left}"


class OneNodeModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.elapsed = 0.0
        self.node = Node(NAME, grace=GRACE, lease=10.0, now=self.now)
        self.room = self.node.rooms.own
        self.room.roster._remembered = REMEMBERED
        self.breathes = False
        self.do(self.node.subscribed(self.now))
        self.tick()
        self.audience = Audience(self.room)
        self.truth = Truth(GRACE, lease=10.0)
        self.attendance = Attendance(self.room, self.truth)
        self.connected = 0
        self.accounts: dict[str, int] = {}
        self.generations: dict[str, int] = {}
        self.clients: list[Client] = []
        self.written: dict[str, Status] = {}
        self.last_seen: dict[str, int] = {}

    @property
    def now(self) -> Moment:
        return Moment(self.elapsed, 1_800_000_000 + int(self.elapsed))

    def session(self, username: str, device: str) -> str:
        """The session of a device: a new one when the last has ended."""
        return f"{username}'s {device} {self.generations.setdefault(username + device, 0)}"

    def who(self, session: str, username: str) -> Who:
        return Who(session, username, self.accounts.get(username, 1))

    def pick(self, pick: int) -> tuple[str, int] | None:
        sockets = [
            (session, connection)
            for session, held in self.truth.sessions.items()
            for connection in held.connections
        ]
        return sockets[pick % len(sockets)] if sockets else None

    def tick(self) -> None:
        self.do(self.node.tick(self.now))

    def do(self, commands: list[Command]) -> None:
        for command in commands:
            if isinstance(command, Send) and command.to in (None, NAME):
                self.do(self.node.receive(command.text, self.now))
            self.breathes = self.breathes or isinstance(command, Breathe)
            if isinstance(command, Tell):
                self.attendance.follow(self.now.unix)

    def close(self, session: str, connection: int) -> None:
        self.do(self.node.close(OWN, session, connection, self.now))

    # What people do

    @rule(username=USERS, device=DEVICES)
    def connect(self, username: str, device: str) -> None:
        self.connected += 1
        session = self.session(username, device)
        self.do(self.node.open(OWN, self.who(session, username), self.connected, self.now))
        self.truth.open(session, username, self.connected)
        newcomer = Client(False, self.audience, self.now)
        newcomer.flush(self.update())
        self.audience.remove(newcomer.observer)
        assert username in newcomer.people, "I6: people see themselves first"

    @rule(pick=PICKS)
    def drop(self, pick: int) -> None:
        if socket := self.pick(pick):
            self.close(*socket)
            self.truth.close(*socket, self.elapsed)

    @rule(pick=PICKS)
    def drop_twice(self, pick: int) -> None:
        if socket := self.pick(pick):
            self.drop(pick)
            self.close(*socket)

    @rule(username=USERS, device=DEVICES)
    def open_page(self, username: str, device: str) -> None:
        session = self.session(username, device)
        self.do(self.node.claim(OWN, self.who(session, username), self.now))
        self.truth.claim(session, username, self.elapsed)

    @rule(username=USERS, device=DEVICES)
    def log_out(self, username: str, device: str) -> None:
        session = self.session(username, device)
        self.generations[username + device] += 1
        self._end(session)

    @rule(username=USERS, device=DEVICES)
    def log_out_and_in(self, username: str, device: str) -> None:
        """All within a second, and perhaps unseen."""
        self.log_out(username, device)
        self.connect(username, device)

    @rule(username=USERS)
    def delete(self, username: str) -> None:
        for session, held in list(self.truth.sessions.items()):
            if held.username == username:
                self._end(session)
        account = self.accounts.get(username, 1)
        self.do(self.node.delete(username, account, self.now.unix, self.now))
        self.accounts[username] = account + 1
        self.truth.choices.pop(username, None)

    def _end(self, session: str) -> None:
        held = self.truth.end(session)
        self.do(self.node.end(session, self.now.unix, self.now))
        self.attendance.note(self.now.unix)
        # Its sockets are closed after that, and say so.
        for connection in held.connections if held else ():
            self.close(session, connection)

    @rule(pick=PICKS, status=STATUSES)
    def say(self, pick: int, status: Status) -> None:
        if socket := self.pick(pick):
            self.do(self.node.set_status(OWN, *socket, status, self.now))
            self.truth.say(*socket, status)

    @rule(pick=PICKS, status=STATUSES)
    def choose(self, pick: int, status: Status) -> None:
        if socket := self.pick(pick):
            username = self.truth.sessions[socket[0]].username
            self.do(self.node.choose(0, username, status, self.now))
            self.truth.choose(username, status)

    # Time

    @rule(seconds=st.sampled_from([0.1, 0.3, 1, 4, 7.9, 8, 20]))
    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP)):
            self.elapsed = round(self.elapsed + STEP, 1)
            self.tick()
        self.truth.pass_time(self.elapsed)

    @rule(seconds=st.sampled_from([2, 7, 9, 13, 30]), closed=st.sets(PICKS, max_size=3))
    def pause(self, seconds: float, closed: set[int]) -> None:
        """Stand still while some sockets are closed."""
        self.elapsed = round(self.elapsed + seconds, 1)
        self.truth.pause(seconds, self.elapsed)
        self.tick()
        for socket in {self.pick(pick) for pick in closed}:
            if socket is not None:
                self.close(*socket)
                self.truth.close(*socket, self.elapsed)
                held = self.truth.sessions[socket[0]]
                held.until = self.elapsed + self.truth.still_held(seconds)
        assert self.breathes
        self.breathes = False
        self.do(self.node.woke(self.now))
        self.wait(0.2)

    # Observers

    @rule(tutorial=st.booleans())
    def observe(self, tutorial: bool) -> None:
        if len(self.clients) < 6:
            self.clients.append(Client(tutorial, self.audience, self.now))

    @rule(view=st.frozensets(USERS, min_size=1))
    def observe_some(self, view: frozenset[str]) -> None:
        if len(self.clients) < 6:
            self.clients.append(Client(False, self.audience, self.now))
            self.clients[-1].watch(view)

    @rule(pick=PICKS)
    def reconnect(self, pick: int) -> None:
        if self.clients:
            self.clients[pick % len(self.clients)].reconnect(self.now)

    @rule(pick=PICKS, cursor=st.sampled_from(["", "x", f"{NAME}.999999", f"{'b' * 16}.1"]))
    def reconnect_with(self, pick: int, cursor: str) -> None:
        """A cursor of another node, or made up: the whole truth again."""
        if self.clients:
            client = self.clients[pick % len(self.clients)]
            if not client.tutorial:
                client.cursor = cursor
                client.reconnect(self.now)

    @rule(pick=PICKS, view=st.none() | st.frozensets(USERS))
    def watch(self, pick: int, view: frozenset[str] | None) -> None:
        if self.clients and not (client := self.clients[pick % len(self.clients)]).tutorial:
            client.watch(view)

    @rule(lagging=st.sets(st.integers(0, 5)), meanwhile=st.none() | USERS)
    def flush(self, lagging: set[int], meanwhile: str | None) -> None:
        """Bring all up to date but those who lag; perhaps somebody comes or goes in between."""
        lag = [client for number, client in enumerate(self.clients) if number in lagging]
        for client in self.clients:
            if client.lags and client not in lag:
                client.lags = False
                self.audience.catch_up(client.observer)
        self._flush(lag, meanwhile)
        if meanwhile is not None:
            self._flush(lag, None)
        here = {name: (person.status, person.since) for name, person in self.roster_here()}
        for client in self.clients:
            assert client.lags or client.sees(here), "I5: what was told is not the roster"

    def _flush(self, lag: list[Client], meanwhile: str | None) -> None:
        due = self.audience.take_due(False)
        update = self.update()
        same = {kind: self._same(update, kind) for kind, _ in due.even}
        told = [client for client in self.clients if client.is_due(due)]
        for number, client in enumerate(told):
            if meanwhile is not None and number == len(told) // 2:
                self.log_out_and_in(meanwhile, "laptop")
            if client in lag:
                client.lags = True
                self.audience.pass_over(client.observer)
                continue
            try:
                client.flush(update, {} if client.observer in due.own else same)
            except Forgotten:
                # The hub cuts it, and it comes anew.
                client.reconnect(self.now)
                client.flush(update)
        self.audience.end_flush()

    def _same(self, update: Update, kind: Kind) -> bytes | None:
        try:
            return update.same(kind)
        except Forgotten:
            return None

    def update(self) -> Update:
        return Update(self.audience, degraded=False, heartbeat=20.0)

    def roster_here(self) -> Any:
        return self.room.roster.here.items()

    @rule()
    def write_down(self) -> None:
        record = self.node.take_record(self.now)
        for _, session in record.gone:
            self.written.pop(session, None)
        self.written |= {stay.session: stay.status for stay in record.here}
        assert self.written.keys() == self.truth.sessions.keys(), "rule 9"
        for username, second in record.last_seen.items():
            assert second >= self.last_seen.get(username, 0), "last seen goes backwards"
            self.last_seen[username] = second

    # What always holds

    @invariant()
    def roster_tells_the_truth(self) -> None:
        here = {name: person.status for name, person in self.roster_here()}
        assert here == self.truth.here(), "rules 1 to 4"
        assert not self.node.degraded

    @invariant()
    def visits_are_what_sessions_did(self) -> None:
        self.attendance.note(self.now.unix)
        self.attendance.check()

    @invariant()
    def nothing_is_left_over(self) -> None:
        members = [self.room.members.get(tag) for tag in self.room.members]
        lines = sum(len(member.connections) for member in members if member is not None)
        assert lines == sum(len(held.connections) for held in self.truth.sessions.values()), "I10"
        roster = self.room.roster
        assert set(roster._entries.users()) == roster.here.keys() == set(self.room.own), "I12"
        past = roster._past
        assert len(past.gone) <= REMEMBERED and len(past._deleted) <= REMEMBERED, "I12"
        assert not past.gone.keys() & roster.here.keys(), "I12"
        assert sum(roster.counts.values()) == len(roster.here), "I12"
        resting = sum(not held.connections for held in self.truth.sessions.values())
        assert len(self.node._departures._graces) == resting, "I12"
        assert not len(self.node._departures), "I12"
        assert self.node.own._places.keys() == self.truth.sessions.keys(), "I12"

    def teardown(self) -> None:
        self.flush(set(), None)
        for session in list(self.truth.sessions):
            self._end(session)
        self.flush(set(), None)
        assert all(not client.people for client in self.clients)


TestOneNodeModel = unbounded(OneNodeModel.TestCase)
TestOneNodeModel.settings = model_runs(fast=400)
