"""Who is here, as one node sees it: the merged view of all nodes."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

Status = Literal["online", "away"]
State = Literal["online", "away", "offline", "deleted"]

# So many people who left are remembered for those who missed it; an older cursor gets a snapshot.
REMEMBERED = 20_000

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Person(NamedTuple):
    """A user's newest state, and the versions of its last change and last coming or going.

    `about` is what is shown beside the status, and `about_version` that of its last change.
    """

    status: State
    since: int
    version: int
    came: int
    about: Mapping[str, Any] = _NOTHING
    about_version: int = 0


class Choice(NamedTuple):
    """What a user chose for all of their connections; of two choices the greater one holds."""

    at: int
    status: Status


class Said(NamedTuple):
    """What one node says of one user."""

    status: Status
    since: int
    choice: Choice | None


class Roster:
    """Statuses of users with versions, merged from what each node says of its own connections.

    A user is here while any node has an entry of theirs, and away when every entry is, or when they
    chose so. A choice belongs to an entry and goes with it: what is merged depends on the entries
    alone, so that nodes with the same entries agree however they came by them.

    Each change gets the next version. People are kept in the order of their last change, so that
    what changed after a version is found from the end without looking at the rest.
    """

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self.version = 0
        self._remembered = remembered
        # Cursors older than this may have missed somebody who is forgotten by now.
        self._forgotten = 0
        self._entries: dict[str, dict[str, Said]] = {}
        self._here: dict[str, Person] = {}
        self._gone: dict[str, Person] = {}
        self._counts: Counter[str] = Counter()
        # When the accounts ended of those who are remembered as deleted.
        self._deleted: dict[str, int] = {}

    @property
    def here(self) -> Mapping[str, Person]:
        """Everyone who is online or away, least recently changed first."""
        return MappingProxyType(self._here)

    def left(self, username: str) -> int | None:
        """Since when a user is offline who is still remembered."""
        person = self._gone.get(username)
        return person.since if person is not None and person.status == "offline" else None

    def choice_of(self, username: str) -> Choice | None:
        entries = self._entries.get(username, {}).values()
        return max((entry.choice for entry in entries if entry.choice is not None), default=None)

    def place(
        self, node: str, username: str, status: Status, since: int, choice: Choice | None = None
    ) -> None:
        """Say that `node` has `username` here; `since` counts if observers see a change."""
        if since < self._deleted.get(username, 0):
            # A node that has not heard of the deletion yet still speaks of the old account.
            return
        self._deleted.pop(username, None)
        self._entries.setdefault(username, {})[node] = Said(status, since, choice)
        self._settle(username, since if choice is None else max(since, choice.at))

    def remove(self, node: str, username: str, since: int) -> None:
        """Say that `node` no longer has `username`; of others' entries nothing is said."""
        entries = self._entries.get(username)
        if entries is None or entries.pop(node, None) is None:
            return
        if not entries:
            del self._entries[username]
        self._settle(username, since)

    def delete(self, username: str, at: int) -> None:
        """Take a deleted account out, whatever nodes that have not heard of it yet still say."""
        entries = self._entries.pop(username, {})
        self._deleted[username] = at
        self._leave(username, "deleted", at)
        for node, entry in entries.items():
            # That is a new account of the same name.
            if entry.since > at:
                self.place(node, username, *entry)

    def remembers(self, version: int) -> bool:
        """Whether it is known what changed after `version`: neither too old nor yet to come."""
        return self._forgotten <= version <= self.version

    def changes_since(self, version: int) -> list[tuple[str, Person]] | None:
        """The newest state of each user who changed after `version`; None if that is not known."""
        if not self.remembers(version):
            return None
        return [*_changed_after(self._here, version), *_changed_after(self._gone, version)]

    def changes_of(
        self, usernames: Iterable[str], version: int
    ) -> list[tuple[str, Person]] | None:
        """The same of some users only, at the cost of their number."""
        if not self.remembers(version):
            return None
        known = ((name, self._here.get(name) or self._gone.get(name)) for name in usernames)
        return [
            (name, person)
            for name, person in known
            if person is not None and person.version > version
        ]

    @property
    def counts(self) -> Mapping[str, int]:
        """How many are here, by status."""
        return MappingProxyType(self._counts)

    def _settle(self, username: str, since: int) -> None:
        status = self._merged(username)
        person = self._here.get(username)
        if status is None:
            if person is not None:
                self._leave(username, "offline", since)
        elif person is None or person.status != status:
            self._arrive(username, status, since)

    def _merged(self, username: str) -> Status | None:
        entries = self._entries.get(username)
        if entries is None:
            return None
        choice = self.choice_of(username)
        if choice is not None and choice.status == "away":
            return "away"
        return "online" if any(e.status == "online" for e in entries.values()) else "away"

    def _arrive(self, username: str, status: Status, since: int) -> None:
        before = self._take_out(username)
        self._counts[status] += 1
        self.version += 1
        was_here = before is not None and before.status in ("online", "away")
        came = before.came if before is not None and was_here else self.version
        self._here[username] = Person(status, _later(since, before), self.version, came)

    def _leave(self, username: str, state: State, since: int) -> None:
        before = self._take_out(username)
        self.version += 1
        self._gone[username] = Person(state, _later(since, before), self.version, self.version)
        if len(self._gone) > self._remembered:
            oldest = next(iter(self._gone))
            self._forgotten = self._gone.pop(oldest).version
            self._deleted.pop(oldest, None)

    def _take_out(self, username: str) -> Person | None:
        person = self._here.pop(username, None)
        if person is not None:
            self._counts[person.status] -= 1
        return person or self._gone.pop(username, None)


def _later(since: int, before: Person | None) -> int:
    # Seconds are coarse and clocks differ: a user's states must still differ in their `since`.
    return since if before is None else max(since, before.since + 1)


def _changed_after(people: dict[str, Person], version: int) -> Iterator[tuple[str, Person]]:
    for username, person in reversed(people.items()):
        if person.version <= version:
            return
        yield username, person
