"""What must hold at every instant of a simulated world, told from what its clients really did.

The judge knows the open sockets and the faults, and nothing of how the nodes work.
"""

from typing import NamedTuple

from presence_server.presence.cluster import BEAT, DEAF
from presence_server.presence.roster import Person, Roster
from tests.presence.simulation import STEP, Host, World

# Seconds that finding out and telling take: a few turns of the clock, a snapshot asked for twice.
DELIVERY = 1.0
# Seconds after which a node knows that it hears the others again.
BACK_IN_TOUCH = 4.0


class Sighting(NamedTuple):
    """What an observer was told of a user last."""

    status: str
    since: int


class Observer:
    """Folds what a roster tells: a snapshot first, changes then."""

    def __init__(self, roster: Roster) -> None:
        self.roster = roster
        self.version: int | None = None
        self.people: dict[str, Sighting] = {}
        # Every status that was told of each user, in order.
        self.told: dict[str, list[str]] = {}

    def flush(self) -> tuple[set[str], set[str]]:
        """Take in what is new, and tell who came and who went by it."""
        if self.version == self.roster.version:
            return set(), set()
        before = set(self.people)
        changes = None if self.version is None else self.roster.changes_since(self.version)
        self.version = self.roster.version
        if changes is None:
            self.people.clear()
            changes = list(self.roster.here.items())
        for username, person in changes:
            self._take(username, person)
        return self.people.keys() - before, before - self.people.keys()

    def check(self) -> None:
        told = {name: sighting.status for name, sighting in self.people.items()}
        known = {name: person.status for name, person in self.roster.here.items()}
        assert told == known, "rule 7: snapshot and changes are not what the roster says"

    def _take(self, username: str, person: Person) -> None:
        before = self.people.get(username)
        assert before is None or before.status != person.status or before.since < person.since, (
            f"rule 7: {username} is told to be {person.status} again, and no later"
        )
        self.told.setdefault(username, []).append(person.status)
        if person.status in ("online", "away"):
            self.people[username] = Sighting(person.status, person.since)
        else:
            self.people.pop(username, None)


class Judge:
    """Watches a world after each of its steps."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.observers: dict[Host, Observer] = {}
        # Since when each user has been without a break on nodes that are in touch.
        self.steady: dict[str, float] = {}
        # When each host was last out of touch: paused, cut off, or not running yet.
        self.troubled: dict[Host, float] = {}
        self.cut: dict[Host, float] = {}
        self.paused: dict[Host, float] = {}
        self.unsubscribed: dict[Host, float] = {}
        self.reachable: dict[Host, float] = {}
        self.redis_troubled = -100.0
        self.stranded = -100.0
        self.slowest = 0
        self.longest_ghost = 0.0
        world.after_step = self.step

    def step(self) -> None:
        self.slowest = max(self.slowest, self.world.redis.delay)
        self._note_troubles()
        self._note_people()
        for host in self.world.hosts:
            if host.alive and not host.paused:
                self._watch(host)
        if self.world.step % 5 == 0:
            for host in self.world.hosts:
                if host.alive and not host.paused:
                    self._check_ghosts(host)
                    self._check_degraded(host)

    def told(self, slot: int, username: str) -> list[str]:
        """What an observer at a host was told of a user, in order."""
        observer = self.observers.get(self.world.hosts[slot])
        return observer.told.get(username, []) if observer else []

    def settle(self) -> None:
        """All faults have ended: after lease, grace and a few beats all nodes know the truth."""
        self.world.wait(self.world.lease + self.world.grace + 2 * self._beat + 4)
        truth = {
            connection.username
            for host in self.world.hosts
            for connection in host.connections.values()
        }
        views = [self.world.here(slot) for slot, host in self._alive()]
        for view in views:
            assert set(view) == truth, f"I1: {sorted(view)} are shown, {sorted(truth)} are here"
            assert view == views[0], f"I1: one node says {view}, another {views[0]}"
            for username in truth:
                self._check_status(username, view[username])
        for _, host in self._alive():
            assert not host.node.cluster.degraded, "degraded although all is well"

    def _check_status(self, username: str, status: str) -> None:
        said = [host.node.connections.status_of(username) for _, host in self._alive()]
        merged = "online" if "online" in said else "away"
        chosen = self.world.chosen.get(username)
        if chosen is None:
            assert status == merged, f"{username} is {status}, all connections say {said}"
        elif chosen.apart > 2 and any(chosen.connection in h.connections for _, h in self._alive()):
            expected = "away" if chosen.status == "away" else merged
            assert status == expected, f"{username} is {status} and chose to be {chosen.status}"

    @property
    def _beat(self) -> float:
        return BEAT * self.world.lease

    @property
    def _window(self) -> float:
        return self.world.lease + self.world.grace + self._beat

    def _alive(self) -> list[tuple[int, Host]]:
        return [(slot, host) for slot, host in enumerate(self.world.hosts) if host.alive]

    def _note_troubles(self) -> None:
        now, redis = self.world.now, self.world.redis
        if not redis.serves:
            self.redis_troubled = now
        if self.world.stranded_arrived_at == self.world.step:
            self.stranded = now
        for host in self.world.hosts:
            if host not in self.troubled:
                self._note_start(host)
            if not host.in_touch or host not in self.troubled:
                self.troubled[host] = now
            if not (host.out and host.back):
                self.cut[host] = now
            if host not in redis.subscriptions:
                self.unsubscribed[host] = now
            if host.paused:
                self.paused[host] = now
            if (redis.serves and host.out and host.back) or host not in self.reachable:
                self.reachable[host] = now

    def _note_start(self, host: Host) -> None:
        """Rule 9: whom a node takes over is here for one grace, unless others let them go."""
        for username in host.node.connections.users():
            for other in self.world.hosts:
                if other.alive and other in self.troubled:
                    ghost, in_touch = self._ghost(other, username)
                    undisturbed = min(in_touch, self.world.now - self.stranded)
                    if min(ghost, undisturbed) > self._ghost_bound + 1:
                        break
            else:
                self.world.signs[username] = self.world.now

    def _note_people(self) -> None:
        now = self.world.now
        steady = set()
        for host in self.world.hosts:
            for connection in host.connections.values():
                self.world.signs[connection.username] = now
                healthy = host.in_touch and now - self.paused.get(host, -100.0) > BACK_IN_TOUCH
                if healthy and connection.session not in self.world.ended:
                    steady.add(connection.username)
        for username in self.steady.keys() - steady:
            del self.steady[username]
        for username in steady:
            self.steady.setdefault(username, now)

    def _watch(self, host: Host) -> None:
        observer = self.observers.get(host)
        if observer is None:
            observer = self.observers[host] = Observer(host.node.roster)
        came, went = observer.flush()
        for username in came:
            self._check_online(host, username)
        for username in went:
            self._check_offline(host, username)

    def _check_online(self, host: Host, username: str) -> None:
        ghost, in_touch = self._ghost(host, username)
        assert min(ghost, in_touch) <= self._ghost_bound, (
            f"I3: {username} is told to be here {ghost:.1f} s after the last socket"
        )

    def _check_offline(self, host: Host, username: str) -> None:
        now = self.world.now
        steady = now - max(
            self.steady.get(username, now), self.world.logged_out.get(username, -100.0)
        )
        in_touch = now - self.cut.get(host, -100.0)
        if steady < self._window or in_touch < self._window:
            return
        if now - min(self.paused.get(host, -100.0), self.redis_troubled) < BACK_IN_TOUCH:
            # It stood still just now, and so did Redis: it cannot know that letters were lost.
            return
        if self.observers[host].told.get(username, [])[-1:] == ["deleted"]:
            # That was the old account of the name: this node has read of its end only now.
            return
        raise AssertionError(
            f"I2: {username} is told to be offline and was here for {steady:.1f} s"
        )

    def _check_ghosts(self, host: Host) -> None:
        now = self.world.now
        for username in host.node.roster.here:
            ghost, in_touch = self._ghost(host, username)
            in_touch = min(in_touch, now - self.stranded)
            if in_touch > ghost:
                self.longest_ghost = max(self.longest_ghost, ghost)
            assert min(ghost, in_touch) <= self._ghost_bound, (
                f"I3: {username} is shown {ghost:.1f} s after the last socket"
            )
            goodbye = self.world.goodbyes.get(username, -100.0)
            sudden_end = self.world.sudden_ends.get(username, -100.0)
            undisturbed = min(in_touch, now - host.lost_at * STEP, now - sudden_end)
            if self.world.signs[username] <= goodbye and undisturbed > ghost + self._window:
                assert ghost <= self.world.grace + 4, (
                    f"I7: {username} is shown {ghost:.1f} s after a goodbye"
                )

    def _ghost(self, host: Host, username: str) -> tuple[float, float]:
        """How long ago a user was here last, and how long the host has been in touch."""
        now = self.world.now
        trouble = max(self.troubled[host], self.redis_troubled, self.unsubscribed.get(host, 0.0))
        return now - self.world.signs.get(username, -100.0), now - trouble

    @property
    def _ghost_bound(self) -> float:
        # A slow Redis delays each word, and two questions and answers go to and fro.
        slow = 4 * self.slowest * STEP
        return self.world.lease + self.world.grace + 1 + STEP + slow

    def _check_degraded(self, host: Host) -> None:
        now = self.world.now
        deaf_for = now - max(self.reachable[host], self.paused.get(host, 0.0))
        if deaf_for > DEAF * self.world.lease + 3 * STEP:
            assert host.node.cluster.degraded, f"not degraded after {deaf_for:.1f} s out of touch"
        lost = max(host.lost_at for host in self.world.hosts) * STEP
        calm = now - max(lost, self.redis_troubled, *self.troubled.values())
        alive = {host.node.name for _, host in self._alive()}
        if calm > BACK_IN_TOUCH and host.node.cluster.peers <= alive:
            assert not host.node.cluster.degraded, f"degraded {calm:.1f} s after all is well"
