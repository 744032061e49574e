"""Three servers and all that can happen to them at once: what a run may consist of.

A run is a list of steps, drawn by a seed. One that fails is made as short as it can be.
"""

import random
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import count
from time import monotonic
from typing import Any, NamedTuple

from presence_server.presence.records import OWN
from presence_server.presence.states import Status
from tests.presence.judge import Judge
from tests.presence.simulation import APP, Host, Line, World

# Where each is if nothing else is said.
ROOMS = {"alice": OWN, "bob": OWN, "carol": f"{APP}/a", "dave": f"{APP}/b"}

_SLOTS = (0, 1, 2)
_USERS = tuple(ROOMS)
_APP_USERS = ("carol", "dave")
_APP_ROOMS = (f"{APP}/a", f"{APP}/b")
_OWN_USERS = tuple(user for user, room in ROOMS.items() if room == OWN)
_PICKS = tuple(range(60))
_BOTH = (False, True)
_STATUSES: tuple[Status, ...] = ("online", "away")
# Seconds by which clocks are wrong.
_CLOCKS = ((), (0.0, 4.0, -60.0), (600.0, 0.0, 0.3), (0.0, -600.0, 600.0))
_LENGTHS = (6, 10, 20, 30)

Values = Mapping[str, Sequence[Any]]


class Step(NamedTuple):
    act: str
    values: Mapping[str, Any]


class Run(NamedTuple):
    clocks: tuple[float, ...]
    steps: Sequence[Step]
    # Whether all nodes are on one machine.
    locks: bool = False

    def __str__(self) -> str:
        steps = "\n".join(
            f"    {step.act}({', '.join(f'{k}={v!r}' for k, v in step.values.items())})"
            for step in self.steps
        )
        machine = ", on one machine" if self.locks else ""
        return f"clocks wrong by {self.clocks}{machine}\n{steps}"


class ClusterModel:
    def __init__(self, clocks: tuple[float, ...], *, locks: bool = False) -> None:
        rooms = (OWN, *_APP_ROOMS)
        self.world = World(
            grace=3.0, lease=5.0, clocks=clocks, rooms_with_visits=rooms, has_locks=locks
        )
        self.judge = Judge(self.world, rooms=rooms)
        self.traveller = Traveller()
        self._clocks = clocks
        self._numbers = count()
        self._sessions: dict[tuple[str, str], str] = {}
        self.world.wait(1)

    # What people do

    def connect(self, slot: int, user: str, status: Status, phone: bool) -> None:
        if self._listens(slot):
            session, room = self._session(user, "phone" if phone else "laptop"), ROOMS[user]
            token = None if room == OWN else self.world.token(1_000)
            self.world.connect(slot, user, session, status=status, room=room, token=token)

    def drop(self, pick: int) -> None:
        if socket := self._pick(pick):
            self.world.drop(socket[1])

    def move(self, pick: int, slot: int, seconds: float) -> None:
        """A page loses its line and comes back at another node, as it was."""
        if socket := self._pick(pick):
            line = self.world.witness.lines[socket[1]]
            self.world.drop(socket[1])
            self.world.wait(seconds)
            user, session = line.who.user, line.who.session
            if self._listens(slot) and not self._is_over(line):
                self.world.connect(
                    slot, user, session, status=line.status, room=line.room, token=line.token
                )

    def open_page(self, slot: int, user: str) -> None:
        if self._running(slot) and self.world.witness.status(user) is None:
            self.world.claim(slot, user, self._session(user))

    def log_out(self, slot: int, user: str) -> None:
        if self._writes(slot) and (user, "laptop") in self._sessions:
            self.world.log_out(slot, self._session(user), user)

    def delete(self, slot: int, user: str) -> None:
        if self._writes(slot):
            sessions = [s for (name, _), s in self._sessions.items() if name == user]
            self.world.delete(slot, user, *sessions)

    def say(self, pick: int, status: Status) -> None:
        if socket := self._pick(pick):
            self.world.say(socket[0], socket[1], status)

    # What apps and their users do

    def enter(self, slot: int, user: str, room: str, status: Status, seconds: float) -> None:
        """Come into a room with a token that holds for so long."""
        if self._listens(slot):
            token = self.world.token(seconds)
            session = self._session(user)
            self.world.connect(slot, user, session, status=status, room=room, token=token)

    def renew(self, pick: int, seconds: float) -> None:
        if number := self._pick_of_app(pick):
            self.world.renew(number, seconds)

    def narrow(self, pick: int) -> None:
        """A new token on an open line no longer lets its user be seen in the room."""
        if number := self._pick_of_app(pick):
            self.world.narrow(number)

    def put(self, slot: int, user: str, room: str, status: Status, seconds: float) -> None:
        """A backend says that a user is in a room for so long."""
        if self._writes(slot):
            self.world.put(slot, room, user, status, seconds)

    def kick(self, slot: int, user: str, room: str) -> None:
        if self._writes(slot):
            self.world.revoke(slot, user, room)

    def revoke(self, slot: int, user: str) -> None:
        if self._writes(slot):
            self.world.revoke(slot, user)

    def _pick_of_app(self, pick: int) -> int | None:
        lines = [number for number, line in self.world.witness.lines.items() if line.token]
        return lines[pick % len(lines)] if lines else None

    def _is_over(self, line: Line) -> bool:
        """Whether nobody is let in by what has let a line in."""
        database, token = self.world.database, line.token
        return line.who.session in database.ended or token is not None and (
            token.ends_at <= self.world.now
            or any(
                ending.revokes(line.room, line.who.user) and token.issued <= ending.issued_before
                for ending in database.endings
            )
        )

    def choose(self, pick: int, status: Any, text: str = "", lasts: int = 0) -> None:
        """For so many seconds where all clocks are right; else, and with 0, until changed."""
        socket = self._pick(pick)
        if socket and self._running(socket[0]):
            now = self.world.hosts[socket[0]].now.unix
            until = now + lasts if lasts and not self._clocks else None
            self.world.choose(socket[0], socket[2], status, text=text, until=until)

    def travel(self, slot: int, to: int, seconds: float) -> None:
        """An observer comes to a node, and then to another with the cursor of the first."""
        self._come(slot)
        self.world.wait(seconds)
        self._come(to)

    def _come(self, slot: int) -> None:
        if self._running(slot) and not self.world.hosts[slot].node.hearing.is_reading:
            host = self.world.hosts[slot]
            # Of whose end a host cannot read, or has not read yet, it shows whom others do not.
            sent_away = host.ends_unread
            if self.judge.is_blind(host):
                sent_away |= self.world.witness.log_outs.keys()
            self.traveller.come(host, sent_away)

    # What happens to servers

    def kill(self, slot: int) -> None:
        if self.world.hosts[slot].alive:
            self.world.kill(slot)

    def stop(self, slot: int) -> None:
        if self._running(slot):
            self.world.stop(slot)

    def start(self, slot: int) -> None:
        # No server starts whose database does not answer.
        if not self.world.hosts[slot].alive and self.world.database.is_writable:
            self.world.start(slot)

    def crash_loop(self, slot: int, times: int, seconds: float) -> None:
        for _ in range(times if self.world.database.is_writable else 0):
            self.kill(slot)
            self.world.start(slot)
            self.world.wait(seconds)

    def pause(self, slot: int) -> None:
        if self._running(slot):
            self.world.pause(slot)

    def resume(self, slot: int, timers_first: bool, late: float) -> None:
        """What Redis sent meanwhile may come a while after the process goes on."""
        host = self.world.hosts[slot]
        if host.alive and host.paused:
            back = host.back
            host.back = host.back and not late
            self.world.resume(slot, timers_first=timers_first)
            self.world.wait(late)
            host.back = back

    def take_redis_down(self, frozen: bool) -> None:
        if not self.world.redis.serves:
            self.world.bring_redis_up()
        elif frozen:
            self.world.redis.frozen = True
        else:
            self.world.take_redis_down()

    def bounce_redis(self, seconds: float) -> None:
        if self.world.redis.serves:
            self.world.take_redis_down()
            self.world.wait(seconds)
            self.world.bring_redis_up()

    def slow_redis(self, delay: float) -> None:
        self.world.redis.delay = delay

    def cut(self, slot: int, out: bool, back: bool, keeps: bool) -> None:
        self.world.keeps_stranded = keeps
        if (out or back) and self.world.hosts[slot].alive:
            self.world.cut(slot, out=out, back=back)
        else:
            self.world.mend(slot)

    def hold_database(self, works: bool) -> None:
        self.world.database.works = works

    def write_beside(self, held: bool) -> None:
        self.world.database.held = held

    def cut_database(self, slot: int, works: bool) -> None:
        self.world.hosts[slot].database = works

    def end_subscription(self, slot: int) -> None:
        self.world.end_subscription(slot)

    def repeat(self, slot: int) -> None:
        self.world.repeat(slot)

    def wait(self, seconds: float) -> None:
        self.world.wait(seconds)

    def mend_all_but_pauses(self) -> None:
        self.world.bring_redis_up()
        self.world.redis.delay = 0.0
        self.world.database.works, self.world.database.held = True, False
        for slot, host in enumerate(self.world.hosts):
            self.world.mend(slot)
            host.database = True

    def mend_all(self) -> None:
        self.mend_all_but_pauses()
        for slot, host in enumerate(self.world.hosts):
            if host.alive and host.paused:
                self.world.resume(slot)

    def settle(self) -> None:
        self.mend_all()
        self.judge.settle()

    # How

    def _session(self, user: str, device: str = "laptop") -> str:
        if ROOMS[user] != OWN:
            # Of an app, the session is the user.
            return f"7:{user}"
        key = user, device
        if self._sessions.get(key) in {None, *self.world.database.ended}:
            self._sessions[key] = f"{user}-{next(self._numbers)}"
        return self._sessions[key]

    def _pick(self, pick: int) -> tuple[int, int, str] | None:
        """One of the open sockets: its host, its number and its user."""
        sockets = [
            (slot, number, line.who.user)
            for slot, host in enumerate(self.world.hosts)
            for number, line in self.world.witness.lines.items()
            if line.host is host
        ]
        return sockets[pick % len(sockets)] if sockets else None

    def _listens(self, slot: int) -> bool:
        """Whether lines to it are taken in, if only when it goes on."""
        host = self.world.hosts[slot]
        return host.alive and host.lets_in

    def _running(self, slot: int) -> bool:
        return self._listens(slot) and not self.world.hosts[slot].paused

    def _writes(self, slot: int) -> bool:
        host = self.world.hosts[slot]
        return self._running(slot) and self.world.database.is_writable and host.database


class Traveller:
    """An observer who goes from node to node with a cursor, and believes every word."""

    def __init__(self) -> None:
        self.people: dict[str, tuple[str, int]] = {}
        self.cursor = ""
        self.resumed = 0

    def come(self, host: Host, sent_away: Collection[str] = ()) -> None:
        room = host.node.rooms.own
        version = room.resume(self.cursor, host.now)
        elsewhere = room.is_of_elsewhere(self.cursor)
        roster = room.roster
        changes = (
            None
            if version is None
            else roster.changes_since(version, resumed=True, elsewhere=elsewhere)
        )
        if changes is None:
            self.people.clear()
            changes = list(room.roster.here.items())
        else:
            self.resumed += 1
        for user, person in changes:
            self.people[user] = person.status, person.since
            if person.status in ("offline", "deleted"):
                del self.people[user]
        self.cursor = room.cursor(room.roster.version)
        told = {user: status for user, (status, _) in self.people.items()}
        here = {user: person.status for user, person in room.roster.here.items()}
        differ = {user for user, _ in told.items() ^ here.items()}
        assert differ <= {*sent_away}, f"with a cursor one believes {told}, the roster says {here}"
        for user, (_, since) in self.people.items():
            true = roster.here[user].since if user in roster.here else since
            # Another node may have come to know late of what changed, and say a later second until
            # it goes back; and clocks that are alike enough may be two seconds apart. What it said
            # holds until there is a change.
            wrong = any(each.clock for each in host.world.hosts)
            assert since == true or (elsewhere or wrong) and since >= true - 2 * wrong, (
                f"with a cursor {user} is so since {since}"
            )


# How often each step is drawn, and with what.
_ACTS: Mapping[str, tuple[float, Values]] = {
    "connect": (4, {"slot": _SLOTS, "user": _USERS, "status": _STATUSES, "phone": _BOTH}),
    "drop": (3, {"pick": _PICKS}),
    "move": (5, {"pick": _PICKS, "slot": _SLOTS, "seconds": (0.0, 0.1, 0.5, 1.0, 2.5)}),
    "open_page": (1, {"slot": _SLOTS, "user": _OWN_USERS}),
    "log_out": (1, {"slot": _SLOTS, "user": _OWN_USERS}),
    "delete": (0.5, {"slot": _SLOTS, "user": _OWN_USERS}),
    "say": (2, {"pick": _PICKS, "status": _STATUSES}),
    "choose": (
        1.5,
        {
            "pick": _PICKS,
            "status": ("online", "away", "busy", "invisible"),
            "text": ("", "", "lunch", "back soon"),
            "lasts": (0, 0, 2, 5, 12, 40),
        },
    ),
    "enter": (
        2,
        {
            "slot": _SLOTS,
            "user": _APP_USERS,
            "room": _APP_ROOMS,
            "status": _STATUSES,
            "seconds": (0.5, 3, 20, 900),
        },
    ),
    "renew": (0.7, {"pick": _PICKS, "seconds": (0.5, 3, 20, 900)}),
    "narrow": (0.7, {"pick": _PICKS}),
    "put": (
        1.5,
        {
            "slot": _SLOTS,
            "user": _APP_USERS,
            "room": _APP_ROOMS,
            "status": _STATUSES,
            "seconds": (1, 5, 20, 60),
        },
    ),
    "kick": (1, {"slot": _SLOTS, "user": _APP_USERS, "room": _APP_ROOMS}),
    "revoke": (0.5, {"slot": _SLOTS, "user": _APP_USERS}),
    "travel": (3, {"slot": _SLOTS, "to": _SLOTS, "seconds": (0.1, 0.5, 1.5, 4.0)}),
    "kill": (1, {"slot": _SLOTS}),
    "stop": (1, {"slot": _SLOTS}),
    "start": (2, {"slot": _SLOTS}),
    "crash_loop": (0.5, {"slot": _SLOTS, "times": (1, 2, 3, 4), "seconds": (0.4, 1.0, 2.0)}),
    "pause": (1.5, {"slot": _SLOTS}),
    "resume": (1.5, {"slot": _SLOTS, "timers_first": _BOTH, "late": (0.0, 0.0, 1.0)}),
    "take_redis_down": (1, {"frozen": _BOTH}),
    "bounce_redis": (1, {"seconds": (0.1, 0.3, 1, 4, 9)}),
    "slow_redis": (0.7, {"delay": (0.0, 0.1, 0.3)}),
    "cut": (2, {"slot": _SLOTS, "out": _BOTH, "back": _BOTH, "keeps": _BOTH}),
    "hold_database": (1, {"works": _BOTH}),
    "write_beside": (1, {"held": _BOTH}),
    "cut_database": (1, {"slot": _SLOTS, "works": _BOTH}),
    "end_subscription": (1, {"slot": _SLOTS}),
    "repeat": (0.5, {"slot": _SLOTS}),
    "wait": (8, {"seconds": (0.1, 0.2, 0.5, 1, 2, 3, 5, 8, 10, 12)}),
    "mend_all": (1.5, {}),
    "settle": (0.4, {}),
}


def draw(seed: int) -> Run:
    chance = random.Random(seed)
    clocks = chance.choice(_CLOCKS)
    acts = chance.choices(
        list(_ACTS), [often for often, _ in _ACTS.values()], k=chance.choice(_LENGTHS)
    )
    steps = [
        Step(act, {name: chance.choice(values) for name, values in _ACTS[act][1].items()})
        for act in acts
    ]
    return Run(clocks, steps, chance.random() < 0.5)


def play(run: Run) -> ClusterModel:
    """AssertionError if something does not hold."""
    model = ClusterModel(run.clocks, locks=run.locks)
    for step in run.steps:
        getattr(model, step.act)(**step.values)
    model.settle()
    return model


def failure(run: Run) -> str:
    """What does not hold in a run; empty if all does."""
    try:
        play(run)
    except AssertionError as error:
        return str(error).splitlines()[0]
    return ""


def shrink(run: Run, seconds: float = 60.0) -> Run:
    """A shorter run that fails in the same way."""
    kind, until = _kind(failure(run)), monotonic() + seconds

    def fails(shorter: Run) -> bool:
        return monotonic() < until and _kind(failure(shorter)) == kind

    if run.clocks and fails(run._replace(clocks=())):
        run = run._replace(clocks=())
    size = len(run.steps) // 2
    while size:
        shorter = _without(run, size, fails)
        size = size if shorter != run and size == 1 else size // 2
        run = shorter
    return run


def _without(run: Run, size: int, fails: Callable[[Run], bool]) -> Run:
    start = 0
    while start < len(run.steps):
        shorter = run._replace(steps=[*run.steps[:start], *run.steps[start + size :]])
        if fails(shorter):
            run = shorter
        else:
            start += size
    return run


def _kind(message: str) -> str:
    return re.sub(r"[\d.]+|" + "|".join(ROOMS), "", message)[:60]
