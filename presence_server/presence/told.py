"""What a receiver has been told of the people in rooms, and what it has yet to be told.

Whoever does not answer may have heard what was said: it counts as said, and has to be said again,
or what is so by then, until it is acknowledged. So nothing is lost, whoever dies at which moment.
"""

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import NamedTuple

# Whoever verifies takes nothing that was signed further ahead: no receiver holds such a second.
_VERIFIABLE = 300

Place = tuple[str, str]


class Said(NamedTuple):
    """What was said last of a user in a room: whether they are here, and since which second."""

    here: bool
    since: int
    acknowledged: bool


class Change(NamedTuple):
    """What is to be said of a user in a room. `noticed`: in which second that became so."""

    room: str
    user: str
    here: bool
    since: int
    noticed: int


class Message(NamedTuple):
    """Changes to be said together, how many are in their rooms then, and in which rooms somebody
    or nobody is for the first time."""

    changes: tuple[Change, ...]
    counts: Mapping[str, int]
    occupied: tuple[str, ...]
    vacated: tuple[str, ...]


class Told:
    """`said`: by room and user, as it is written down."""

    def __init__(self, said: Mapping[Place, Said]) -> None:
        self._said: dict[str, dict[str, Said]] = {}
        # Those of each room who were said to be here, who surely are known to be, and of whom it
        # is not known what is known.
        self._here: Counter[str] = Counter()
        self._sure: Counter[str] = Counter()
        self._unsure: Counter[str] = Counter()
        self._due: dict[Place, Change] = {}
        self._due_in: dict[str, set[str]] = {}
        for (room, user), of_user in said.items():
            self._put(room, user, of_user)

    @property
    def due(self) -> int:
        """Of how many people something is to be said."""
        return len(self._due)

    @property
    def due_since(self) -> int | None:
        """In which second the first of them became so."""
        return next((change.noticed for change in self._due.values()), None)

    def rooms(self) -> list[str]:
        """All rooms of whose people anything was said."""
        return list(self._said)

    def see(self, room: str, user: str, here: bool, since: int, now: int) -> None:
        """A user of a room is here or not, since a second."""
        place, said = (room, user), self._said.get(room, {}).get(user)
        if here == (said is not None and said.here) and (said is None or said.acknowledged):
            self._take_back(room, user)
            return
        due = self._due.get(place)
        if due is not None and due.here == here:
            return
        if said is not None:
            # To say the same again takes the same second, and anything else no earlier one, or the
            # receiver would not believe it; but what a wrong clock said that it cannot have heard.
            before = said.since if said.since <= now + _VERIFIABLE else since
            since = before if said.here == here else max(since, before)
        noticed = now if due is None else due.noticed
        self._due[place] = Change(room, user, here, since, noticed)
        self._due_in.setdefault(room, set()).add(user)

    def see_all(
        self, room: str, here: Mapping[str, int], left: Mapping[str, int], now: int
    ) -> None:
        """These are in a room, and nobody else; `left` has those of whom it is known since when."""
        for user, since in here.items():
            self.see(room, user, True, since, now)
        known = self._due_in.get(room, set()) | self._said.get(room, {}).keys()
        for user in known - here.keys():
            self.see(room, user, False, left.get(user, now), now)

    def withdraw(self, room: str, here: Container[str]) -> None:
        """Say nothing of those who are not in a room any more before anybody was told of them."""
        for user in list(self._due_in.get(room, ())):
            said = self._said.get(room, {}).get(user)
            if user not in here and (said is None or (said.acknowledged and not said.here)):
                self._take_back(room, user)

    def take(self, changes: Iterable[Change]) -> Message:
        """Say these: from now on they count as said, and not as acknowledged."""
        changes = tuple(changes)
        rooms = dict.fromkeys(change.room for change in changes)
        before = {room: (self._here[room], self._sure[room], self._unsure[room]) for room in rooms}
        for change in changes:
            self._put(change.room, change.user, Said(change.here, change.since, False))
        # Of whom nothing is known they do not count, but for these.
        said = Counter(change.room for change in changes if change.here)
        counts = {room: self._sure[room] + said[room] for room in rooms}
        occupied = (room for room in rooms if counts[room] and not before[room][1])
        vacated = (room for room in rooms if not self._here[room] and any(before[room]))
        return Message(changes, counts, tuple(occupied), tuple(vacated))

    def due_changes(self) -> Iterator[Change]:
        """What is to be said, what waits longest first."""
        return iter(self._due.values())

    def is_due(self, change: Change) -> bool:
        """Whether it is still what is to be said."""
        return self._due.get((change.room, change.user)) == change

    def acknowledge(self, changes: Iterable[Change]) -> None:
        """It has been heard."""
        for change in changes:
            self._put(change.room, change.user, Said(change.here, change.since, True))
            due = self._due.get((change.room, change.user))
            if due is not None and due.here == change.here:
                self._take_back(change.room, change.user)

    def forget_gone(self, before: int) -> None:
        """Forget those who are surely known to have gone before a second."""
        for room, users in list(self._said.items()):
            for user, said in list(users.items()):
                if said.acknowledged and not said.here and said.since < before:
                    self._drop(room, user)

    def _take_back(self, room: str, user: str) -> None:
        """Nothing is to be said of somebody any more."""
        if self._due.pop((room, user), None) is not None:
            self._due_in[room].discard(user)
            if not self._due_in[room]:
                del self._due_in[room]

    def _put(self, room: str, user: str, said: Said) -> None:
        self._drop(room, user)
        self._said.setdefault(room, {})[user] = said
        self._count(room, said, 1)

    def _drop(self, room: str, user: str) -> None:
        users = self._said.get(room, {})
        before = users.pop(user, None)
        if before is not None:
            self._count(room, before, -1)
            if not users:
                del self._said[room]

    def _count(self, room: str, said: Said, by: int) -> None:
        for counter, counts in (
            (self._here, said.here),
            (self._sure, said.here and said.acknowledged),
            (self._unsure, not said.acknowledged),
        ):
            if counts:
                counter[room] += by
                if not counter[room]:
                    del counter[room]
