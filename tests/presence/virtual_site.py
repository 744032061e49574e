"""The drill's site in virtual time: simulated servers, the same draws of faults, the same judge.

In minutes it goes through more than the drill does in a day, and at machines as slow as one likes.
"""

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import cycle

from drill.evidence import Evidence, Stay, View
from drill.faults.pairs import Blow
from drill.people import LONGEST_PAUSE, PATIENCE
from drill.site import GRACE, LEASE, NODES
from tests.presence.simulation import STEP, Host, World

# What goes on, step by step: each gives the seconds until it goes on.
Course = Iterator[float]

_PEOPLE = 20


class Tab:
    """Somebody who keeps a page open, and comes back when it is lost."""

    def __init__(self, username: str, home: str) -> None:
        self.username = username
        self.home = home
        self.is_wanted = True
        self.next_attempt = 0.0
        self.socket: Socket | None = None


@dataclass
class Socket:
    number: int
    node: str
    host: Host
    asked_at: float
    stay: Stay | None = None


class Eye:
    """An observer who stays at one node."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.host: Host | None = None
        self.seen: set[str] = set()

    def look(self, host: Host, now: float) -> None:
        here = set(host.here())
        if host is not self.host:
            self.host = host
            self.view.hear({"type": "snapshot", "online": dict.fromkeys(here, 0)}, now)
        elif here != self.seen:
            come, gone = dict.fromkeys(here - self.seen, 0), dict.fromkeys(self.seen - here, 0)
            self.view.hear({"type": "changes", "online": come, "offline": gone}, now)
        self.seen = here
        if host.node.degraded != self.view.is_degraded:
            self.view.hear({"type": "degraded", "value": host.node.degraded}, now)

    def lose(self, now: float) -> None:
        self.view.lose(now)
        self.host = None


class VirtualSite:
    """`slowness`: how much longer a server takes to start than on a machine with nothing to do."""

    def __init__(self, nodes: int, seed: str, *, skew: int, slowness: float) -> None:
        self.random = random.Random(seed)
        clocks = tuple(float(skew if name == "c" else 0) for name in NODES[:nodes])
        self.world = World(nodes, grace=GRACE, lease=LEASE, clocks=clocks, has_locks=True)
        self.evidence = Evidence(LEASE, GRACE)
        # Where people may go.
        self.up = set(NODES[:nodes])
        self._slowness = slowness
        self._courses: list[tuple[float, Course]] = []
        self._eyes = {name: Eye(View(name)) for name in sorted(self.up)}
        self.evidence.views = [eye.view for eye in self._eyes.values()]
        homes = cycle(sorted(self.up))
        self._tabs = [Tab(f"user{number}", next(homes)) for number in range(_PEOPLE)]
        self._is_restless = True

    def suffer(self, blows: Iterable[Blow]) -> None:
        """All of them at once, while people move; and then until all has come to rest."""
        self.wait(3)
        self._begin(self._live())
        ends: list[Blow] = []
        rest = list(blows)
        for blow in rest:
            self._begin(self._strike(blow, ends))
        while len(ends) < len(rest):
            self._step()
        self.wait(1)
        self._is_restless = False
        self.wait(2 * (LEASE + GRACE) + 8)
        for eye in self._eyes.values():
            eye.view.close(self.now)

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP)):
            self._step()

    @property
    def now(self) -> float:
        return self.world.now

    def host(self, node: str) -> Host:
        return self.world.hosts[NODES.index(node)]

    # What happens to servers

    def darken(self, node: str) -> None:
        """The others cannot hear it from now on."""
        self.evidence.silence(node, self.now)
        self.evidence.dark[node].append((self.now, float("inf")))

    def light(self, node: str) -> None:
        spans = self.evidence.dark[node]
        if spans and spans[-1][1] == float("inf"):
            spans[-1] = (spans[-1][0], self.now)

    def cut(self, node: str, seconds: float, *, out: bool = True, back: bool = True) -> Course:
        self.world.cut(NODES.index(node), out=out, back=back)
        self.darken(node)
        yield seconds
        self.world.mend(NODES.index(node))
        self.light(node)

    def pause(self, node: str, seconds: float) -> Course:
        self.up.discard(node)
        self.world.pause(NODES.index(node))
        yield seconds
        self.world.resume(NODES.index(node))
        self.up.add(node)

    def kill(self, node: str) -> None:
        self.evidence.silence(node, self.now, ended=True)
        self.world.kill(NODES.index(node))
        self._lose(node)

    def terminate(self, node: str) -> Course:
        self.up.discard(node)
        yield STEP
        self.world.stop(NODES.index(node))
        self._lose(node)

    def start(self, node: str) -> Course:
        yield self.random.uniform(0.3, 1.0) * self._slowness
        while self.world.database.held:
            yield STEP
        self.world.start(NODES.index(node))
        while not self.host(node).lets_in:
            yield STEP
        self.up.add(node)
        self.light(node)
        self.evidence.start(node, self.now)

    def _lose(self, node: str) -> None:
        self.up.discard(node)
        self._eyes[node].lose(self.now)
        for tab in self._tabs:
            if tab.socket is not None and tab.socket.node == node:
                self._give_up(tab)

    def _strike(self, blow: Blow, ends: list[Blow]) -> Course:
        yield blow.begin
        yield from _WAYS[blow.kind](self, blow.node, blow.seconds)
        ends.append(blow)

    # People

    def _live(self) -> Course:
        """As in the drill: they reload, move, leave and come back; two of five stay."""
        busy = [tab for number, tab in enumerate(self._tabs) if number % 5 > 1]
        self.random.shuffle(busy)
        acts = cycle(("reload", "move", "pause"))
        for tab in cycle(busy):
            yield 0.1
            if not self._is_restless:
                return
            if tab.socket is not None and tab.socket.stay is not None:
                self._begin(self._act(tab, next(acts), tab.socket.node))

    def _act(self, tab: Tab, act: str, home: str) -> Course:
        tab.is_wanted = False
        self._close(tab)
        away = (GRACE + 0.5, GRACE + 1.5) if act == "pause" else (0, 0.4 * GRACE)
        yield self.random.uniform(*away)
        others = [name for name in self._eyes if name != home]
        tab.home = self.random.choice(others) if act == "move" else home
        tab.is_wanted, tab.next_attempt = True, self.now

    def _close(self, tab: Tab) -> None:
        socket = tab.socket
        if socket is not None and socket.host.alive:
            self.world.drop(socket.number)
        self._give_up(tab)

    def _give_up(self, tab: Tab) -> None:
        if tab.socket is not None and tab.socket.stay is not None:
            tab.socket.stay.closed = min(tab.socket.stay.closed, self.now)
        tab.socket = None
        tab.next_attempt = self.now + self.random.uniform(0, LONGEST_PAUSE)

    def _keep_open(self, tab: Tab) -> None:
        if tab.socket is None and tab.is_wanted and self.now >= tab.next_attempt and self.up:
            node = tab.home if tab.home in self.up else self.random.choice(sorted(self.up))
            number = self.world.connect(NODES.index(node), tab.username)
            tab.socket = Socket(number, node, self.host(node), self.now)
        socket = tab.socket
        if socket is None or socket.stay is not None:
            return
        if socket.number in socket.host.connections:
            socket.stay = Stay(tab.username, socket.node, self.now)
            self.evidence.stays.append(socket.stay)
        elif self.now - socket.asked_at > PATIENCE:
            self._close(tab)

    # Time

    def _begin(self, course: Course) -> None:
        self._courses.append((self.now, course))

    def _step(self) -> None:
        self.world.wait(STEP)
        due = [course for at, course in self._courses if at <= self.now]
        self._courses = [(at, course) for at, course in self._courses if at > self.now]
        for course in due:
            self._go_on(course)
        for tab in self._tabs:
            self._keep_open(tab)
        for node, eye in self._eyes.items():
            host = self.host(node)
            if host.alive and host.lets_in and not host.paused:
                eye.look(host, self.now)

    def _go_on(self, course: Course) -> None:
        for seconds in course:
            if seconds > 0:
                self._courses.append((self.now + seconds - STEP / 2, course))
                return


# The same names as in drill/faults/pairs.py.


def _redis_killed(site: VirtualSite, node: str, seconds: float) -> Course:
    site.world.take_redis_down()
    yield seconds
    site.world.bring_redis_up()


def _redis_paused(site: VirtualSite, node: str, seconds: float) -> Course:
    site.world.redis.frozen = True
    yield seconds
    site.world.redis.frozen = False


def _held(site: VirtualSite, node: str, seconds: float) -> Course:
    site.world.database.held = True
    yield min(seconds, 3)
    site.world.database.held = False


def _deaf(site: VirtualSite, node: str, seconds: float) -> Course:
    yield from site.cut(node, seconds, out=False)


def _mute(site: VirtualSite, node: str, seconds: float) -> Course:
    yield from site.cut(node, seconds, back=False)


def _far(site: VirtualSite, node: str, seconds: float) -> Course:
    host = site.host(node)
    host.late_out = host.late_back = site.evidence.farthest = 0.64
    yield seconds
    host.late_out = host.late_back = 0.0


def _disconnected(site: VirtualSite, node: str, seconds: float) -> Course:
    site.host(node).kicked = True
    yield from site.cut(node, seconds)


def _paused(site: VirtualSite, node: str, seconds: float) -> Course:
    site.darken(node)
    yield from site.pause(node, seconds)
    site.light(node)


def _wakes_late(site: VirtualSite, node: str, seconds: float) -> Course:
    site.world.cut(NODES.index(node), out=False)
    site.darken(node)
    yield from site.pause(node, seconds)
    yield 1
    site.world.mend(NODES.index(node))
    site.light(node)


def _killed(site: VirtualSite, node: str, seconds: float) -> Course:
    site.kill(node)
    yield seconds
    yield from site.start(node)


def _killed_again(site: VirtualSite, node: str, seconds: float) -> Course:
    until = site.now + seconds
    yield from _killed(site, node, 0)
    while site.now < until:
        yield 0.5
        yield from _killed(site, node, 0)


def _terminated(site: VirtualSite, node: str, seconds: float) -> Course:
    yield from site.terminate(node)
    yield seconds
    yield from site.start(node)


_WAYS: dict[str, Callable[[VirtualSite, str, float], Course]] = {
    "Redis killed": _redis_killed,
    "Redis paused": _redis_paused,
    "the database held": _held,
    "cut": VirtualSite.cut,
    "deaf": _deaf,
    "mute": _mute,
    "far": _far,
    "disconnected": _disconnected,
    "paused": _paused,
    "late to wake": _wakes_late,
    "killed": _killed,
    "killed again and again": _killed_again,
    "terminated": _terminated,
}
