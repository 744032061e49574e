"""What nodes say of sessions, by user."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from presence_server.presence.states import NOTHING, Status


class Source(NamedTuple):
    """Who says something: a node, of a session (by its tag) in a room."""

    node: str
    room: str
    tag: str


# `left` of somebody whose line is about to open, when other nodes have told how they were there.
ARRIVING = 1e9


class Entry(NamedTuple):
    """What a node says of one session: how its lines are, and since when its user is so.

    `left` is when its last line closed, by the clock of the reader, and `left_second` the Unix
    second of it; None and 0 while one is open. The `about` that was ISSUED last holds, and of
    several the one with the greatest `order`. `came` is the second in which the user's stay began;
    0: in `since`.
    """

    user: str
    account: int
    status: Status
    since: int
    left: float | None = None
    left_second: int = 0
    order: int = 0
    about: Mapping[str, Any] = NOTHING
    came: int = 0

    @property
    def is_arriving(self) -> bool:
        # By the clock of the reader: the clocks of processes are not as far apart as that.
        return self.left is not None and self.left > ARRIVING / 2

    @property
    def began(self) -> int:
        return self.came or self.since

    def not_after(self, unix: int) -> "Entry":
        if self.since <= unix and self.came <= unix:
            return self
        return self._replace(since=min(self.since, unix), came=min(self.came, unix))


# An entry with the parts of its source: names of nodes and rooms are there once for all of them.
_Single = tuple[Entry, str, str, str]


class Entries:
    """Most users have one session at a time: it is kept without a dict of its own, for there may
    be a hundred thousand of them."""

    __slots__ = ("_single", "_several")

    def __init__(self) -> None:
        self._single: dict[str, _Single] = {}
        self._several: dict[str, dict[Source, Entry]] = {}

    def __bool__(self) -> bool:
        return bool(self._single or self._several)

    def users(self) -> Iterator[str]:
        yield from self._single
        yield from self._several

    def of(self, user: str) -> Mapping[Source, Entry]:
        single = self._single.get(user)
        if single is not None:
            entry, *source = single
            return {Source(*source): entry}
        return self._several.get(user, {})

    def lone(self, user: str) -> Entry | None:
        """What is said of a user of whom one thing is said."""
        single = self._single.get(user)
        return None if single is None else single[0]

    def account(self, user: str) -> int:
        """The newest account under a name; 0: none."""
        single = self._single.get(user)
        if single is not None:
            return single[0].account
        return max((entry.account for entry in self.of(user).values()), default=0)

    def holds(self, source: Source, entry: Entry) -> bool:
        """Whether just this is said by the source."""
        single = self._single.get(entry.user)
        if single is not None:
            return single[0] == entry and single[1:] == source
        return self._several.get(entry.user, {}).get(source) == entry

    def put(self, source: Source, entry: Entry) -> Entry:
        """What was said before by the same source; the entry itself if nothing was."""
        user, single = entry.user, self._single.get(entry.user)
        if single is not None:
            if single[1:] == source:
                self._single[user] = (entry, *single[1:])
                return single[0]
            several = self._several[user] = {Source(*single[1:]): single[0], source: entry}
            del self._single[user]
            return entry
        several = self._several.get(user, {})
        if not several:
            self._single[user] = (entry, *source)
            return entry
        before = several.get(source, entry)
        several[source] = entry
        return before

    def take(self, source: Source, user: str) -> Entry | None:
        """Let a source say nothing of a user any more."""
        single = self._single.get(user)
        if single is not None:
            if single[1:] != source:
                return None
            del self._single[user]
            return single[0]
        several = self._several.get(user, {})
        before = several.pop(source, None)
        if before is not None and len(several) == 1:
            self.replace(user, several)
        return before

    def replace(self, user: str, entries: Mapping[Source, Entry]) -> None:
        """Let this be all that is said of a user."""
        self._single.pop(user, None)
        self._several.pop(user, None)
        for source, entry in entries.items():
            self.put(source, entry)

    def recede(self, unix: int) -> None:
        """What is to come after a second is in it: a clock was wrong."""
        for user, (entry, *source) in self._single.items():
            self._single[user] = (entry.not_after(unix), *Source(*source))
        for entries in self._several.values():
            for place, entry in entries.items():
                entries[place] = entry.not_after(unix)
