"""Three servers and all that can happen to them at once, checked at every twentieth of a second."""

from itertools import count

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from presence_server.presence.roster import Status
from tests.presence.judge import Judge
from tests.presence.runs import model_runs, unbounded
from tests.presence.simulation import World

SLOTS = st.integers(0, 2)
USERS = st.sampled_from(["alice", "bob", "carol"])
STATUSES: st.SearchStrategy[Status] = st.sampled_from(["online", "away"])
CHOICES = st.sampled_from(["online", "away", "busy", "invisible"])
PICKS = st.integers(0, 100)
SECONDS = st.sampled_from([0.1, 0.2, 0.5, 1, 2, 3, 5, 8, 10, 12, 19, 30])
# Seconds by which clocks are wrong.
CLOCKS = st.sampled_from([(), (0.0, 4.0, -60.0), (600.0, 0.0, 0.3), (0.0, -600.0, 600.0)])


class ClusterModel(RuleBasedStateMachine):
    @initialize(clocks=CLOCKS)
    def begin(self, clocks: tuple[float, ...]) -> None:
        self.world = World(grace=3.0, lease=5.0, clocks=clocks)
        self.judge = Judge(self.world)
        self.numbers = count()
        self.sessions: dict[tuple[str, str], str] = {}
        self.world.wait(1)

    def session(self, username: str, device: str = "laptop") -> str:
        key = username, device
        if self.sessions.get(key) in {None, *self.world.database.ended}:
            self.sessions[key] = f"{username}-{next(self.numbers)}"
        return self.sessions[key]

    def pick(self, pick: int) -> tuple[int, int, str] | None:
        """One of the open sockets: its host, its number and its user."""
        sockets = [
            (slot, number, line.who.user)
            for slot, host in enumerate(self.world.hosts)
            for number, line in self.world.witness.lines.items()
            if line.host is host
        ]
        return sockets[pick % len(sockets)] if sockets else None

    def running(self, slot: int) -> bool:
        host = self.world.hosts[slot]
        return host.alive and not host.paused and host.lets_in

    @rule(slot=SLOTS, username=USERS, status=STATUSES, phone=st.booleans())
    def connect(self, slot: int, username: str, status: Status, phone: bool) -> None:
        if self.world.hosts[slot].alive:
            session = self.session(username, "phone" if phone else "laptop")
            self.world.connect(slot, username, session, status=status)

    @rule(pick=PICKS)
    def drop(self, pick: int) -> None:
        if socket := self.pick(pick):
            self.world.drop(socket[1])

    @rule(pick=PICKS, slot=SLOTS, seconds=st.sampled_from([0.0, 0.1, 0.5, 1.0, 2.5]))
    def move(self, pick: int, slot: int, seconds: float) -> None:
        """A page loses its line and comes back at another node, as it was."""
        if socket := self.pick(pick):
            line = self.world.witness.lines[socket[1]]
            self.world.drop(socket[1])
            self.world.wait(seconds)
            if self.world.hosts[slot].alive and line.who.session not in self.world.database.ended:
                self.world.connect(slot, socket[2], line.who.session, status=line.status)

    @rule(slot=SLOTS, username=USERS)
    def open_page(self, slot: int, username: str) -> None:
        if self.running(slot) and self.world.witness.status(username) is None:
            self.world.claim(slot, username, self.session(username))

    @rule(slot=SLOTS, username=USERS)
    def log_out(self, slot: int, username: str) -> None:
        if self.running(slot) and (username, "laptop") in self.sessions and self.writes(slot):
            self.world.log_out(slot, self.session(username), username)

    @rule(slot=SLOTS, username=USERS)
    def delete(self, slot: int, username: str) -> None:
        if self.running(slot) and self.writes(slot):
            sessions = [s for (user, _), s in self.sessions.items() if user == username]
            self.world.delete(slot, username, *sessions)

    def writes(self, slot: int) -> bool:
        return self.world.database.works and self.world.hosts[slot].database

    @rule(pick=PICKS, status=STATUSES)
    def say(self, pick: int, status: Status) -> None:
        if socket := self.pick(pick):
            self.world.say(socket[0], socket[1], status)

    @rule(pick=PICKS, status=CHOICES)
    def choose(self, pick: int, status: Status) -> None:
        socket = self.pick(pick)
        if socket and self.running(socket[0]):
            self.world.choose(socket[0], socket[2], status)

    @rule(slot=SLOTS)
    def kill(self, slot: int) -> None:
        if self.world.hosts[slot].alive:
            self.world.kill(slot)

    @rule(slot=SLOTS)
    def stop(self, slot: int) -> None:
        if self.running(slot):
            self.world.stop(slot)

    @rule(slot=SLOTS)
    def start(self, slot: int) -> None:
        if not self.world.hosts[slot].alive:
            self.world.start(slot)

    @rule(slot=SLOTS, times=st.integers(1, 4), seconds=st.sampled_from([0.4, 1.0, 2.0]))
    def crash_loop(self, slot: int, times: int, seconds: float) -> None:
        for _ in range(times):
            if self.world.hosts[slot].alive:
                self.world.kill(slot)
            self.world.start(slot)
            self.world.wait(seconds)

    @rule(slot=SLOTS)
    def pause(self, slot: int) -> None:
        if self.running(slot):
            self.world.pause(slot)

    @rule(slot=SLOTS, timers_first=st.booleans(), late=st.sampled_from([0.0, 0.0, 1.0]))
    def resume(self, slot: int, timers_first: bool, late: float) -> None:
        """What Redis sent meanwhile may come a while after the process goes on."""
        host = self.world.hosts[slot]
        if host.alive and host.paused:
            back = host.back
            host.back = host.back and not late
            self.world.resume(slot, timers_first=timers_first)
            if late:
                self.world.wait(late)
                host.back = back

    @rule(frozen=st.booleans())
    def take_redis_down(self, frozen: bool) -> None:
        if not self.world.redis.serves:
            self.world.bring_redis_up()
        elif frozen:
            self.world.redis.frozen = True
        else:
            self.world.take_redis_down()

    @rule(seconds=st.sampled_from([0.1, 0.3, 1, 4, 9]))
    def bounce_redis(self, seconds: float) -> None:
        if self.world.redis.serves:
            self.world.take_redis_down()
            self.world.wait(seconds)
            self.world.bring_redis_up()

    @rule(delay=st.sampled_from([0.0, 0.1, 0.3]))
    def slow_redis(self, delay: float) -> None:
        self.world.redis.delay = delay

    @rule(slot=SLOTS, out=st.booleans(), back=st.booleans(), keeps=st.booleans())
    def cut(self, slot: int, out: bool, back: bool, keeps: bool) -> None:
        self.world.keeps_stranded = keeps
        if (out or back) and self.world.hosts[slot].alive:
            self.world.cut(slot, out=out, back=back)
        else:
            self.world.mend(slot)

    @rule(works=st.booleans())
    def hold_database(self, works: bool) -> None:
        self.world.database.works = works

    @rule(slot=SLOTS, works=st.booleans())
    def cut_database(self, slot: int, works: bool) -> None:
        self.world.hosts[slot].database = works

    @rule(slot=SLOTS)
    def kick(self, slot: int) -> None:
        self.world.kick(slot)

    @rule(slot=SLOTS)
    def repeat(self, slot: int) -> None:
        self.world.repeat(slot)

    @rule(seconds=SECONDS)
    def wait(self, seconds: float) -> None:
        self.world.wait(seconds)

    @rule()
    def mend_all(self) -> None:
        self.world.bring_redis_up()
        self.world.redis.delay = 0.0
        self.world.database.works = True
        for slot, host in enumerate(self.world.hosts):
            self.world.mend(slot)
            host.database = True
            if host.alive and host.paused:
                self.world.resume(slot)

    @rule()
    def settle(self) -> None:
        self.mend_all()
        self.judge.settle()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.settle()


TestClusterModel = unbounded(ClusterModel.TestCase)
TestClusterModel.settings = model_runs(fast=60)
