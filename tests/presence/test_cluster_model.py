"""Three servers and all that can happen to them at once, checked at every tenth of a second."""

from itertools import count

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from presence_server.presence.roster import Status
from tests.presence.judge import Judge
from tests.presence.runs import model_runs, unbounded
from tests.presence.simulation import World

SLOTS = st.integers(0, 2)
USERS = st.sampled_from(["alice", "bob", "carol"])
STATUSES: st.SearchStrategy[Status] = st.sampled_from(["online", "away"])
PICKS = st.integers(0, 100)
SECONDS = st.sampled_from([0.1, 0.2, 0.5, 1, 2, 3, 5, 8, 10, 12, 19, 30])


class ClusterModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.judge = Judge(self.world)
        self.numbers = count()
        self.sessions: dict[str, str] = {}
        self.world.wait(1)

    def session(self, username: str) -> str:
        if self.sessions.get(username) in {None, *self.world.ended}:
            self.sessions[username] = f"{username}-{next(self.numbers)}"
        return self.sessions[username]

    def pick(self, pick: int) -> tuple[int, int, str] | None:
        """One of the open sockets: its host, its number and its user."""
        sockets = [
            (slot, connection.number, connection.username)
            for slot, host in enumerate(self.world.hosts)
            for connection in host.connections.values()
        ]
        return sockets[pick % len(sockets)] if sockets else None

    def running(self, slot: int) -> bool:
        host = self.world.hosts[slot]
        return host.alive and not host.paused

    @rule(slot=SLOTS, username=USERS)
    def connect(self, slot: int, username: str) -> None:
        if self.world.hosts[slot].alive:
            self.world.connect(slot, username, self.session(username))

    @rule(slot=SLOTS, username=USERS)
    def connect_unheard(self, slot: int, username: str) -> None:
        if self.running(slot):
            self.world.connect(slot, username, self.session(username))
            self.world.lose_sent(slot)

    @rule(pick=PICKS)
    def drop(self, pick: int) -> None:
        if socket := self.pick(pick):
            self.world.drop(socket[1])

    @rule(pick=PICKS, slot=SLOTS, unheard=st.booleans())
    def move(self, pick: int, slot: int, unheard: bool) -> None:
        socket = self.pick(pick)
        if socket and self.running(slot):
            self.world.connect(slot, socket[2], self.session(socket[2]))
            self.world.drop(socket[1])
            if unheard:
                self.world.lose_sent(slot)

    @rule(slot=SLOTS, username=USERS)
    def open_page(self, slot: int, username: str) -> None:
        if self.running(slot):
            self.world.claim(slot, username, self.session(username))

    @rule(slot=SLOTS, username=USERS)
    def log_out(self, slot: int, username: str) -> None:
        if self.running(slot) and username in self.sessions:
            self.world.log_out(slot, self.session(username), username)

    @rule(slot=SLOTS, username=USERS)
    def delete(self, slot: int, username: str) -> None:
        if self.running(slot):
            sessions = [self.sessions[username]] if username in self.sessions else []
            self.world.delete(slot, username, *sessions)
            # Nobody can make the account anew before all nodes have read that it is gone.
            self.world.wait(1)

    @rule(pick=PICKS, status=STATUSES)
    def say(self, pick: int, status: Status) -> None:
        socket = self.pick(pick)
        if socket and self.running(socket[0]):
            self.world.say(socket[0], socket[1], status)

    @rule(pick=PICKS, status=STATUSES)
    def choose(self, pick: int, status: Status) -> None:
        socket = self.pick(pick)
        if socket and self.running(socket[0]):
            self.world.choose(socket[0], socket[1], status)

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

    @rule(slot=SLOTS)
    def pause(self, slot: int) -> None:
        if self.running(slot):
            self.world.pause(slot)

    @rule(slot=SLOTS, timers_first=st.booleans())
    def resume(self, slot: int, timers_first: bool) -> None:
        if self.world.hosts[slot].alive and self.world.hosts[slot].paused:
            self.world.resume(slot, timers_first=timers_first)

    @rule(frozen=st.booleans())
    def take_redis_down(self, frozen: bool) -> None:
        if not self.world.redis.serves:
            self.world.bring_redis_up()
        elif frozen:
            self.world.redis.frozen = True
        else:
            self.world.take_redis_down()

    @rule(seconds=st.sampled_from([0.1, 0.3, 1, 4, 20]))
    def bounce_redis(self, seconds: float) -> None:
        if self.world.redis.serves:
            self.world.take_redis_down()
            self.world.wait(seconds)
            self.world.bring_redis_up()

    @rule(delay=st.integers(0, 3))
    def slow_redis(self, delay: int) -> None:
        self.world.redis.delay = delay

    @rule(slot=SLOTS, out=st.booleans(), back=st.booleans(), keeps=st.booleans())
    def cut(self, slot: int, out: bool, back: bool, keeps: bool) -> None:
        self.world.keeps_stranded = keeps
        if (out or back) and self.world.hosts[slot].alive:
            self.world.cut(slot, out=out, back=back)
        else:
            self.world.mend(slot)

    @rule(slot=SLOTS)
    def lose(self, slot: int) -> None:
        if self.running(slot):
            self.world.lose(slot)

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
    def settle(self) -> None:
        self.world.bring_redis_up()
        self.world.redis.delay = 0
        for slot, host in enumerate(self.world.hosts):
            self.world.mend(slot)
            if host.alive and host.paused:
                self.world.resume(slot)
        self.judge.settle()

    def teardown(self) -> None:
        self.settle()


TestClusterModel = unbounded(ClusterModel.TestCase)
TestClusterModel.settings = model_runs(fast=200)
