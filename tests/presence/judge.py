"""What must hold at every instant of a simulated world, told from what its clients really did.

The judge knows what people did (the witness) and the faults, and nothing of how the nodes work.
What it lets pass is what docs/faults.md and docs/design.md say cannot be known:

- *silent ends*: a node ended before it could tell anybody, or write, what was done there.
- *estranged* hosts had no way to each other, by relay or database, for so long that the last sign
  of one may have been a lease old for the other; what follows takes effect for a while. So is one
  that falls silent as soon as it began: nobody waits for it; and one that no other has reached
  for a lease, to a host that begins.
- *outwaited*: a pause of a lease or more; the others have let the node's people go.
- *unsure*: two choices of a user at two nodes of which the second did not know the first, where
  clocks differ or within two seconds; so is what was said at one node and chosen at another; claims
  made at two nodes that did not hear of each other.
- *blind*: a host that cannot read the database does not know of ends.
- *fresh*: a host that has just begun may not know everybody yet.
"""

import math
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from presence_server.presence.records import OWN
from presence_server.presence.roster import Roster
from presence_server.presence.states import Person
from presence_server.presence.timing import (
    BEAT,
    DEAF,
    ENDED_WAITS_UNHEARD,
    ENDINGS,
    NOTES,
    SHORT_LIFE,
)
from tests.presence.attendance import Samples
from tests.presence.simulation import APP, EPOCH, STEP, Host, World, subject, user_of

# Seconds that finding out and telling take: a few turns of the clock, a question and its answer.
DELIVERY = 1.5
# Of a node that is gone its last sign is known, which may be so old: a beat, or two readings.
LAST_SIGN = 2.0
# What is known is written within this time, if it can be: stays and visits twice a second.
WRITTEN = 2 * NOTES + 2 * STEP
# Seconds after which a node knows that it hears the others again.
BACK_IN_TOUCH = 4.0
LONG_AGO = -1000.0


class Seen(NamedTuple):
    """Somebody was surely in a room, by lines at these hosts."""

    at: float
    user: str
    second: int
    homes: set[Host]


class Known(NamedTuple):
    """All these hosts have known since a moment that somebody was in a room."""

    at: float
    user: str
    second: int
    hosts: list[Host]


class Sighting(NamedTuple):
    """What an observer was told of a user last."""

    status: str
    since: int
    about: Mapping[str, Any]


class Observer:
    """Folds what a roster tells: a snapshot first, changes then."""

    def __init__(self, roster: Roster) -> None:
        self.roster = roster
        self.version: int | None = None
        self.people: dict[str, Sighting] = {}
        # Every status that was told of each user, in order, and the last since.
        self.told: dict[str, list[str]] = {}
        self._since: dict[str, int] = {}

    def flush(self) -> dict[str, str]:
        """Take in what is new, and give the status that was told of each user."""
        if self.version == self.roster.version:
            return {}
        changes = None if self.version is None else self.roster.changes_since(self.version)
        if self.version is not None and changes is not None:
            self._check_views(self.version, dict(changes))
        self.version = self.roster.version
        if changes is None:
            self.people.clear()
            changes = list(self.roster.here.items())
        for username, person in changes:
            self._take(username, person)
        return {username: person.status for username, person in changes}

    def check(self) -> None:
        told = {name: sighting.status for name, sighting in self.people.items()}
        known = {name: person.status for name, person in self.roster.here.items()}
        assert told == known, "rule 7: snapshot and changes are not what the roster says"

    def _check_views(self, version: int, changes: dict[str, Person]) -> None:
        """Who watches some is told of them what all others are told."""
        known = sorted({*self.people, *self.told, *changes})
        for some in (known[::2], known[1::2]):
            of_some = self.roster.changes_of(some, version)
            expected = {name: changes[name] for name in some if name in changes}
            assert of_some is not None and dict(of_some) == expected, "a view is told otherwise"

    def _take(self, username: str, person: Person) -> None:
        before = self.people.get(username)
        repeated = before is not None and before.since >= person.since
        told = before is not None and (before.status, before.about) == (person.status, person.about)
        assert not (repeated and told), f"rule 7: {username} is told to be {person.status} again"
        assert person.since >= self._since.get(username, 0), "rule 11: since runs backwards"
        self._since[username] = person.since
        self.told.setdefault(username, []).append(person.status)
        if person.status in ("offline", "deleted"):
            self.people.pop(username, None)
        else:
            self.people[username] = Sighting(person.status, person.since, person.about)


class Judge:
    """Watches a world after each of its steps. Users of apps are judged in each room apart."""

    def __init__(self, world: World, rooms: tuple[str, ...] = (OWN,)) -> None:
        self.world = world
        self._rooms = rooms
        self.observers: dict[Host, list[Observer]] = {}
        # When somebody could last be told offline by right: gone for a grace, or logged out.
        self.gone_at: dict[str, float] = {}
        self.last_here: dict[str, float] = {}
        # When two hosts last had a way to each other, and when they last had none for a lease.
        self._common: dict[tuple[Host, Host], float] = {}
        self._estranged: dict[tuple[Host, Host], float] = {}
        # When the first last had a way to the second while that lived.
        self._met_alive: dict[tuple[Host, Host], float] = {}
        # When anything was last wrong anywhere, and at each host.
        self.trouble = LONG_AGO
        self.troubled: dict[Host, float] = {}
        self.unsubscribed: dict[Host, float] = {}
        # When Redis last answered what a host said, and the newest answer that has reached it.
        self._answered: dict[Host, float] = {}
        self.reachable: dict[Host, float] = {}
        self.paused: dict[Host, float] = {}
        # When a host was last paused for so long that others had let its people go.
        self.outwaited = LONG_AGO
        self._paused_since: dict[Host, float] = {}
        # When a host could last not read who has ended, and when somebody's line was last open
        # at such a one, or one that stood still, or a claim held there: there it stays so, whoever
        # has ended it.
        self.blind: dict[Host, float] = {}
        self._blind_since: dict[Host, float] = {}
        self.open_until: dict[str, float] = {}
        self.redis_troubled = LONG_AGO
        self.stranded = LONG_AGO
        self.slowest = 0.0
        self.longest_ghost = 0.0
        self._samples = Samples()
        self._unconfirmed: deque[Seen] = deque()
        self._unwritten: list[Known] = []
        world.after_step = self.step

    def step(self) -> None:
        self._note_troubles()
        self._note_people()
        for host in self.world.hosts:
            # Nobody sees what a node shows before it lets people in.
            if host.alive and not host.paused and (host.lets_in or host in self.observers):
                self._watch(host)
        if self.world.step % 10 == 0:
            for host in self.world.hosts:
                if host.alive and not host.paused:
                    self._check_ghosts(host)
                    self._check_degraded(host)
                    self._check_statuses(host)
            self._sample_visits()

    def told(self, slot: int, username: str) -> list[str]:
        """What an observer at a host was told of a user, in order."""
        observers = self.observers.get(self.world.hosts[slot], [])
        return next((o.told[username] for o in observers if username in o.told), [])

    def is_blind(self, host: Host) -> bool:
        """Whether it may not know who has ended."""
        return self.world.now - self.blind.get(host, LONG_AGO) < ENDINGS + DELIVERY

    def settle(self) -> None:
        """All faults have ended: after lease, grace and a few beats all nodes know the truth."""
        self.world.wait(2 * self.world.lease + self.world.grace + 2 * self._beat + 4)
        witness = self.world.witness
        witness.homes.clear()
        users = {line.subject for line in witness.lines.values()}
        users |= witness.placements.keys()
        now = self.world.now
        truth = {u: status for u in users if (status := witness.status(u, now)) is not None}
        unsure = {name for name in witness.acts if self._is_unsure(name) or self._ends(name)}
        views = {host: self._shown(host) for _, host in self._alive()}
        missed = {host: {u for u in truth if self._never_knew(host, u)} for host in views}
        missed_anywhere = set[str]().union(*missed.values())
        first = next(iter(views.values()), {})
        for host, view in views.items():
            unknown = unsure | missed[host]
            known = set(truth) - unknown
            assert set(view) - unknown == known, f"I1: {view} are shown, {truth} are here"
            differ = {u for u in {*view, *first} if view.get(u) != first.get(u)} - missed_anywhere
            assert not [u for u in differ if not (self._ends(u) or self._is_lost(u))], (
                f"I1: one node says {view}, another {first}"
            )
            sure = {u: status for u, status in truth.items() if u not in unknown}
            shown = {u: status for u, status in view.items() if u in sure}
            assert shown == sure, f"rule 10: {view} is shown, {truth} is so"
        unsure |= missed_anywhere
        self._check_visits(truth, unsure)
        for username in truth.keys() - unsure:
            since = [self._since(slot, username) for slot, _ in self._alive()]
            # Of a clock that is wrong two seconds are not told from a letter that is late, and
            # what two nodes make of the same clock may be another second apart.
            wrong = any(host.clock for _, host in self._alive())
            bound = 3 if wrong else 0
            assert _apart(since) <= bound, f"rule 11: {username} is so since {since}"
            came = [self._came(slot, username) for slot, _ in self._alive()]
            assert _apart(came) <= bound, f"rule 11: {username} came in {came}"
        for _, host in self._alive():
            assert not host.node.degraded, "degraded although all is well"

    def _ends(self, username: str) -> bool:
        """Whether it is just now that a token, a claim or a grace ends. Of a claim that was
        heard of late, two seconds are not known."""
        now, witness = self.world.now, self.world.witness
        placed_until = witness.placed_until(username)
        return (
            witness.in_grace(username, now - self.world.grace - DELIVERY)
            # Of a session that has another line there is no grace.
            or now - witness.acts.get(username, LONG_AGO) < DELIVERY
            or -DELIVERY < now - placed_until < DELIVERY + 2
        )

    def _people(self, host: Host) -> dict[str, Person]:
        return {
            subject(room, user): person
            for room in self._rooms
            for user, person in host.here(room).items()
        }

    def _shown(self, host: Host) -> dict[str, str]:
        return {name: person.status for name, person in self._people(host).items()}

    def _since(self, slot: int, username: str) -> int:
        """By a clock that is right."""
        person = self._people(self.world.hosts[slot]).get(username)
        return 0 if person is None else person.since - int(self.world.hosts[slot].clock)

    def _came(self, slot: int, username: str) -> int:
        """The same of when a user came, as it is told: no later than they are so."""
        person = self._people(self.world.hosts[slot]).get(username)
        here = 0 if person is None else min(person.here, person.since)
        return here and here - int(self.world.hosts[slot].clock)

    @property
    def _beat(self) -> float:
        return BEAT * self.world.lease

    @property
    def _window(self) -> float:
        return self.world.lease + self.world.grace + self._beat + 2

    @property
    def _is_calm(self) -> bool:
        return self.world.now - self.trouble > self._window

    def _alive(self) -> list[tuple[int, Host]]:
        return [(slot, host) for slot, host in enumerate(self.world.hosts) if host.alive]

    # What is noted

    def _note_troubles(self) -> None:
        now, redis, database = self.world.now, self.world.redis, self.world.database
        self.world.witness.troubled_at = self.trouble
        self.slowest = max(self.slowest, redis.delay)
        if not redis.serves:
            self.redis_troubled = now
        if self.world.stranded_arrived_at == self.world.step:
            self.stranded = now
        for host in self.world.hosts:
            slow = redis.delay or host.late_back or host.late_out
            writes = database.is_writable and host.database
            well = host.in_touch and redis.serves and writes and not slow
            if not well or host not in self.troubled or now - host.lost_at < 2 * STEP:
                self.trouble = now
            if not host.in_touch or host not in self.troubled or host.late_back or host.late_out:
                self.troubled[host] = now
            if host not in redis.subscriptions:
                self.unsubscribed[host] = now
            if host.paused:
                self.paused[host] = now
                self._paused_since.setdefault(host, now)
                if self._is_outwaited(host):
                    self.outwaited = now
            else:
                self._paused_since.pop(host, None)
            if not writes:
                self.blind[host] = now
                self._blind_since.setdefault(host, now)
            elif not self.is_blind(host):
                self._blind_since.pop(host, None)
            if self.is_blind(host) or host.paused:
                for connection in host.connections.values():
                    self.open_until[connection.subject] = now
                for name, placed in self.world.witness.revoked_placements.items():
                    if placed.host is host:
                        self.open_until[name] = min(now, placed.until)
            if (redis.serves and host.out) or host not in self._answered:
                self._answered[host] = now
            listens = redis.serves or host in redis.subscriptions
            if (host.back and listens) or host not in self.reachable:
                # What was held back comes then, also if Redis is no more.
                self.reachable[host] = self._answered[host]
        self._note_ways(now)

    def _note_ways(self, now: float) -> None:
        hosts = self.world.hosts
        for one in hosts:
            for other in hosts:
                pair = one, other
                if one is other or self._has_way(one, other):
                    self._common[pair] = now
                    if other.alive:
                        self._met_alive[pair] = now
                life = self._paused_since.get(other, now) - other.began
                # Of its last sign others may know that it came so much sooner.
                silent = life < SHORT_LIFE + BEAT * self.world.lease
                if pair not in self._common:
                    # One that begins can know nothing of it that is not known to those who run.
                    lost = now - self._last_reached(other) > self.world.lease
                    self._common[pair] = LONG_AGO if lost else now
                long = now - self._common[pair] > 0.7 * self.world.lease
                if long or (silent and other.paused):
                    self._estranged[pair] = now

    def _last_reached(self, host: Host) -> float:
        """When any other last had a way to it."""
        ways = (at for (one, home), at in self._common.items() if home is host is not one)
        return max(ways, default=self.world.now)

    def _is_outwaited(self, host: Host) -> bool:
        """Whether it stands still for so long that others may have let its people go."""
        return self.world.now - self._paused_since.get(host, math.inf) > self.world.lease - 1

    def _is_unwritten(self, home: Host, acted_at: float, host: Host) -> bool:
        """Whether what was done at a home that stands still cannot be known by one that has begun
        since: it was done just before, and not written down."""
        since = self._paused_since.get(home, math.inf)
        return host.began >= since and since - acted_at < WRITTEN

    def _has_way(self, one: Host, other: Host) -> bool:
        redis = self.world.redis.serves and one.in_touch and other.in_touch
        subscribed = self.world.redis.subscriptions
        redis = redis and one in subscribed and other in subscribed
        works = self.world.database.is_writable and not (one.paused or other.paused)
        return redis or (works and one.database and other.database)

    def _note_people(self) -> None:
        now, witness = self.world.now, self.world.witness
        witness.pass_time(now)
        here = set()
        for number, line in witness.lines.items():
            witness.signs[line.subject] = now
            if line.host.holds(number):
                here.add(line.subject)
        for username, placement in witness.placements.items():
            witness.signs[username] = max(witness.signs[username], min(now, placement.until))
        for username in witness.signs:
            if witness.choice(username) == "invisible":
                self.gone_at[username] = now
            if username in here:
                self.last_here[username] = now
                continue
            since = self._absent_since(username)
            if now - since >= self.world.grace - 3 * STEP or username in self._logged_out(now):
                self.gone_at[username] = now

    def _page(self, username: str) -> float:
        return self.world.witness.pages.get(username, LONG_AGO)

    def _absent_since(self, username: str) -> float:
        """When the grace began in which somebody is who has no line. None begins with a line whose
        user was sent away, or may no longer be seen by it."""
        left = any(who == username for who, _, _ in self.world.witness.left.values())
        last_here = self.last_here.get(username, LONG_AGO) if left else LONG_AGO
        return max(last_here, self._claimed(username))

    def _claimed(self, username: str) -> float:
        """When a grace would have begun that ends with what keeps somebody here without a line."""
        placed = self.world.witness.placed_until(username) - self.world.grace
        return max(self._page(username), placed)

    def _is_unsure(self, username: str) -> bool:
        """Whether nodes may differ about how somebody is, by what was done at two at once."""
        return self.world.witness.is_unsure(username) or self._is_lost(username)

    def _is_lost(self, username: str) -> bool:
        """Whether some node may have a claim that was ended or made anew where it is not heard."""
        witness = self.world.witness
        lost = username in witness.lost_placements or username in witness.contested
        return lost and witness.longest.get(username, LONG_AGO) > self.world.now - self.world.lease

    def _logged_out(self, now: float) -> set[str]:
        return {user for user, at in self.world.witness.log_outs.items() if now - at < 5}

    # What is judged

    def _watch(self, host: Host) -> None:
        if host not in self.observers:
            rooms = (host.node.watch(room) for room in self._rooms)
            self.observers[host] = [Observer(room.roster) for room in rooms]
        told = host.take_told()
        for room, observer in zip(self._rooms, self.observers[host], strict=True):
            if told or observer.version is None:
                self._flush(host, room, observer)
        self._check_lobby(host)

    def _check_lobby(self, host: Host) -> None:
        if len(self._rooms) > 1:
            lobby = {name for name in host.here(f"{APP}/lobby")}
            rooms = {name for room in self._rooms if room for name in host.here(room)}
            assert lobby == rooms, f"{lobby} are in the lobby, {rooms} are in the rooms"

    def _flush(self, host: Host, room: str, observer: Observer) -> None:
        first = observer.version is None
        for user, status in observer.flush().items():
            username = subject(room, user)
            if status == "offline":
                self._check_offline(host, username)
            elif status != "deleted":
                self._check_online(host, username)
                if not first:
                    self._check_cause(host, username, status)
        for username, sighting in observer.people.items():
            ahead = sighting.since - host.now.unix
            assert ahead <= 1, f"rule 11: {username} is shown since {ahead} s to come"

    def _is_estranged(self, host: Host, username: str) -> bool:
        """Whether a host could not know of a user's lines for most of a lease, not long ago."""
        witness = self.world.witness
        homes = {line.host for line in witness.lines.values() if line.subject == username}
        homes |= witness.homes.get(username, set())
        return self._never_knew(host, username) or any(
            self.world.now - self._estranged.get((host, home), LONG_AGO) < self._window
            for home in homes
        )

    def _never_knew(self, host: Host, username: str) -> bool:
        """Whether a host had no way to the node of a claim from when that was made, and the node is
        no more."""
        placed = self.world.witness.placements.get(username)
        # One that began since has read what was written.
        if placed is None or placed.host.alive or host.began > placed.at:
            return False
        lived_until = self._met_alive[placed.host, placed.host]
        met = self._met_alive.get((host, placed.host), LONG_AGO)
        return met < min(placed.at + LAST_SIGN, lived_until)

    def _is_fresh(self, host: Host) -> bool:
        return self.world.now - host.began < BACK_IN_TOUCH + 4 * self.slowest

    def _check_offline(self, host: Host, username: str) -> None:
        now, witness = self.world.now, self.world.witness
        if witness.choice(username) == "invisible" or self._is_unsure(username):
            return
        lines = [n for n, line in witness.lines.items() if line.subject == username]
        if not any(witness.lines[n].host.holds(n) for n in lines):
            self._check_early(host, username)
            return
        if now - self.gone_at.get(username, LONG_AGO) <= self._lag:
            return
        if self._is_estranged(host, username):
            return
        homes = {line.host for line in map(witness.lines.__getitem__, lines)}
        acted_at = witness.acts.get(username, LONG_AGO)
        if all(self._is_outwaited(home) for home in homes):
            # Also one that began since has not heard of her line.
            return
        if all(self._is_unwritten(home, acted_at, host) for home in homes):
            return
        if self._has_just_left(username):
            return
        acted = now - acted_at
        raise AssertionError(
            f"I2: {username} is told to be offline and is here, changed {acted:.1f} s ago"
        )

    def _check_early(self, host: Host, username: str) -> None:
        """Somebody is told to be offline who is not here: by right?"""
        now, witness = self.world.now, self.world.witness
        since = self._absent_since(username)
        excused = (
            now - since >= self.world.grace - 3 * STEP
            or now - witness.silent_ends.get(username, LONG_AGO) < self._window
            or now - witness.sent_away_at(username) <= self._lag + 5
            or now - self.gone_at.get(username, LONG_AGO) <= self._lag
            or now - self.outwaited < self._lag
            or self._is_fresh(host)
            or self._is_estranged(host, username)
            or self._is_revoked_late(username)
            or self._has_just_left(username)
        )
        assert excused, (
            f"I2: {username} is told to be offline {now - since:.1f} s after the last socket"
        )

    def _has_just_left(self, username: str) -> bool:
        """Whether she did log out, and who may know that she is here cannot be heard."""
        witness = self.world.witness
        left_at = max(witness.sent_away_at(username), witness.narrowed.get(username, 0.0))
        return not self._is_calm and self.world.now - left_at < ENDED_WAITS_UNHEARD + DELIVERY

    def _is_revoked_late(self, username: str) -> bool:
        """Whether their node may read only now that they were revoked, who have come back since and
        are in a grace: of whom it knows no longer by what they came."""
        revoked = self.world.witness.revoked_before(username, math.inf)
        return any(
            revoked >= self._blind_since.get(home, math.inf) - ENDINGS
            for home in self.world.witness.homes.get(username, ())
        )

    @property
    def _lag(self) -> float:
        """So long ago, at most, was so what is told now."""
        return DELIVERY if self._is_calm else self.world.lease + DELIVERY + 4 * self.slowest

    def _check_cause(self, host: Host, username: str, status: str) -> None:
        """Rule 10: who does nothing is not told of."""
        acted = self.world.now - self.world.witness.acts.get(username, LONG_AGO)
        # What is done takes its effect at the end of a grace at the latest.
        effect = self.world.grace + DELIVERY
        bound = effect if self._is_calm else self._window + self.world.lease
        acted = min(acted, self.world.now - self._claimed(username) - self.world.grace)
        if any(not home.alive for home in self.world.witness.homes.get(username, ())):
            # That a node is dead is known a lease after the others can be heard.
            acted = min(acted, self._in_touch(host))
        if acted <= bound + 4 * self.slowest or self._is_fresh(host):
            return
        if self.world.now - self.paused.get(host, LONG_AGO) < BACK_IN_TOUCH:
            return
        if username not in {line.subject for line in self.world.witness.lines.values()}:
            # Whether they may be shown at all is judged elsewhere.
            return
        if self._is_estranged(host, username) or username not in self.world.witness.signs:
            return
        raise AssertionError(
            f"rule 10: {username} is told to be {status}, and did nothing for {acted:.1f} s"
        )

    def _check_online(self, host: Host, username: str) -> None:
        ghost, in_touch = self._ghost(host, username)
        if self.world.now - self.paused.get(host, LONG_AGO) < 0.5:
            # What it would have told before.
            return
        assert min(ghost, in_touch) <= self._ghost_bound, (
            f"I3: {username} is told to be here {ghost:.1f} s after the last socket"
        )

    def _check_ghosts(self, host: Host) -> None:
        now = self.world.now
        for username in self._shown(host):
            ghost, in_touch = self._ghost(host, username)
            in_touch = min(in_touch, now - self.stranded)
            if in_touch > ghost:
                self.longest_ghost = max(self.longest_ghost, ghost)
            assert min(ghost, in_touch) <= self._ghost_bound, (
                f"I3: {username} is shown {ghost:.1f} s after the last socket"
            )

    def _ghost(self, host: Host, username: str) -> tuple[float, float]:
        """How long ago a user was here last, and how long the hosts have been in touch."""
        now, witness = self.world.now, self.world.witness
        sign = witness.signs.get(username, LONG_AGO)
        of_app = user_of(username) != username
        if of_app or self.is_blind(host):
            # Whose token was revoked may be back with a newer one, as only their node knows.
            sign = max(sign, self.open_until.get(username, LONG_AGO))
        if self._is_unsure(username):
            sign = max(sign, min(now, witness.longest.get(username, LONG_AGO)))
        # Of who has them as well: the others wait for what that says when it hears again.
        homes = witness.homes.get(username, set())
        alive = {home for _, home in self._alive()}
        have = homes if homes <= alive else alive
        again = [in_touch for home in have if (in_touch := self._in_touch(home)) > 0]
        return now - sign, min([self._in_touch(host), *again])

    def _in_touch(self, host: Host) -> float:
        """For how long a host has been in touch."""
        trouble = max(self.troubled[host], self.redis_troubled, self.unsubscribed.get(host, 0.0))
        return self.world.now - trouble

    @property
    def _ghost_bound(self) -> float:
        # A slow Redis delays each word, and two questions and answers go to and fro. While another
        # node is silent for less than its lease, it is waited for.
        slow = 4 * self.slowest
        silent = 0.0 if self._is_calm else self.world.lease
        return self.world.lease + self.world.grace + 1 + STEP + slow + silent

    def _check_statuses(self, host: Host) -> None:
        if not self._is_calm or self._is_fresh(host):
            return
        now, witness = self.world.now, self.world.witness
        for username in self._people_known():
            shown, true = self._people(host).get(username), witness.status(username, now)
            status = None if shown is None else shown.status
            assert status == true, f"rule 10: {username} is shown {status} and is {true}"
            assert shown is None or shown.since <= EPOCH + now + host.clock, "rule 11"
            self._check_text(host, username, shown or self._gone(host, username))

    def _people_known(self) -> Iterator[str]:
        """Who has a line, and of whom every node knows in calm times how they are."""
        now, witness = self.world.now, self.world.witness
        for username in {line.subject for line in witness.lines.values()}:
            since_page = now - self._claimed(username)
            if now - witness.acts[username] <= DELIVERY or since_page < self.world.grace + 1:
                continue
            if witness.in_grace(username, now - self.world.grace - DELIVERY):
                continue
            if not self._is_unsure(username):
                yield username

    def _sample_visits(self) -> None:
        """Where clocks are right: a second by one that is wrong says nothing."""
        if not self.world.rooms_with_visits or any(host.clock for host in self.world.hosts):
            return
        now, witness = self.world.now, self.world.witness
        second, views = EPOCH + int(now), [self._people(host) for _, host in self._alive()]
        for username in self._people_known():
            here = witness.status(username, now) is not None
            if here and (self._is_calm or all(username in shown for shown in views)):
                lines = witness.lines.values()
                homes = {line.host for line in lines if line.subject == username}
                self._unconfirmed.append(Seen(now, username, second, homes))
            elif self._is_calm:
                self._samples.note(username, second, False)
        self._confirm_samples()
        for username in witness.signs:
            ghosts = (min(self._ghost(host, username)) for _, host in self._alive())
            if min(ghosts, default=0.0) > self._ghost_bound:
                self._samples.note(username, second, False)

    def _confirm_samples(self) -> None:
        """Somebody was here by nodes that have given a sign since, to all."""
        alive = [host for _, host in self._alive()]
        while self._unconfirmed and self._unconfirmed[0].at <= self.world.now - LAST_SIGN:
            seen = self._unconfirmed.popleft()
            if all(self._knows(host, home, seen.at) for home in seen.homes for host in alive):
                known = Known(self.world.now, seen.user, seen.second, alive)
                self._unwritten.append(known)
        self._unwritten = [known for known in self._unwritten if not self._is_kept(known)]

    def _knows(self, host: Host, home: Host, at: float) -> bool:
        """Whether a host surely knows who was at another at a moment, and that this one lived."""
        has_way = home.alive and self._has_way(host, home)
        return host is home or (has_way and self._estranged.get((host, home), LONG_AGO) < at)

    def _is_kept(self, known: Known) -> bool:
        """Whether it is decided that something stands in the database: by one that lived for long
        enough to write it, or that none did."""
        alive = [host for host in known.hosts if host.alive]
        troubles = (max(host.unwritten_at, self.paused.get(host, 0.0)) for host in alive)
        since = max(known.at, min(troubles, default=math.inf))
        if alive and self.world.now - since >= WRITTEN:
            self._samples.note(known.user, known.second, True)
            return True
        return not alive

    def _check_visits(self, truth: Mapping[str, str], unsure: set[str]) -> None:
        """What is kept of visits is what people did."""
        book, witness = self.world.database.book, self.world.witness
        if not self.world.rooms_with_visits or not self._alive():
            return
        here = {subject(visit.room, visit.user) for visit in book.going_on()}
        assert here - unsure == truth.keys() - unsure, f"visits: {here} go on, {truth} are here"
        visits = {subject(*place): some for place, some in book.visits.items()}
        for name in witness.signs:
            deleted = EPOCH + int(witness.deletions.get(name, LONG_AGO))
            self._samples.check(name, visits.get(name, []), deleted + DELIVERY)

    def _check_text(self, host: Host, username: str, person: Person | None) -> None:
        """Beside somebody who is here, or who is invisible and was seen to go."""
        true = self.world.witness.text(username)
        text = true if person is None else person.about.get("text", "")
        assert text == true, f"rule 12: {text!r} stands beside {username}, who said {true!r}"

    def _gone(self, host: Host, username: str) -> Person | None:
        room, _, user = username.rpartition(" ")
        found = host.node.rooms.get(room)
        return None if found is None else found.roster.gone(user)

    def _check_degraded(self, host: Host) -> None:
        now = self.world.now
        deaf_for = now - max(self.reachable[host], self.paused.get(host, 0.0), host.began)
        if deaf_for > DEAF * self.world.lease + 4 * STEP + 0.1:
            assert host.node.degraded, f"not degraded after {deaf_for:.1f} s out of touch"
        lost = max(host.lost_at for host in self.world.hosts)
        calm = now - max(lost, self.redis_troubled, *self.troubled.values())
        alive = {host.node.name for _, host in self._alive()}
        if any(host.late_back or host.late_out for host in self.world.hosts):
            return
        if calm > BACK_IN_TOUCH + 4 * self.slowest and host.node.peers.names <= alive:
            assert not host.node.degraded, f"degraded {calm:.1f} s after all is well"


def _apart(seconds: list[int]) -> int:
    return max(seconds, default=0) - min(seconds, default=0)
