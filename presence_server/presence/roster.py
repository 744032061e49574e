"""Who is here, as one node sees it: the merged view of all nodes on one room."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from presence_server.presence.choices import Choice, words_of
from presence_server.presence.profiles import NO_PROFILE, Profile

# `busy` is never said by a page of itself: users choose it, or a backend says it of somebody.
Status = Literal["online", "busy", "away"]
State = Literal["online", "busy", "away", "offline", "deleted"]

# So many people who left are remembered for those who missed it; an older cursor gets a snapshot.
REMEMBERED = 20_000
# Of so many people it is known what was told of them within their last second.
_WITHIN_A_SECOND = 1_000

NOTHING: Mapping[str, Any] = MappingProxyType({})

# Beside what is shown of somebody, and told nobody: the second in which that was said by whoever
# may say it.
ISSUED = "issued"
# The same for the kind of device that a session of an own account is on. Where the user allows it,
# those of all their sessions are told as DEVICES.
DEVICE = "device"
DEVICES = "devices"
_UNTOLD = frozenset((ISSUED, DEVICE))
PRECEDENCE: tuple[Status, ...] = ("online", "busy", "away")


class Person(NamedTuple):
    """A user's newest state, and the versions of its last change and last coming or going.

    `about` is what is shown beside the status, and `about_version` that of its last change. Who is
    offline may have nobody told since when (`hides_since`), or it is not known here: then it is 0.
    `here` is the second in which the stay began of who is here.
    """

    status: State
    since: int
    version: int
    came: int
    about: Mapping[str, Any] = NOTHING
    about_version: int = 0
    hides_since: bool = False
    here: int = 0


class Source(NamedTuple):
    """Who says something: a node, of a session (by its tag) in a room."""

    node: str
    room: str
    tag: str


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
    def began(self) -> int:
        return self.came or self.since

    def not_after(self, unix: int) -> "Entry":
        if self.since <= unix and self.came <= unix:
            return self
        return self._replace(since=min(self.since, unix), came=min(self.came, unix))


class Versions:
    """One number for all rooms of a node: it grows by one with each change in any of them."""

    def __init__(self) -> None:
        self.newest = 0
        self._changed: set[str] = set()

    def next(self, room: str) -> int:
        self.newest += 1
        self._changed.add(room)
        return self.newest

    def take_changed(self) -> set[str]:
        """The rooms in which something changed since they were asked for last."""
        changed, self._changed = self._changed, set()
        return changed


class Roster:
    """Statuses of users with versions, merged from what nodes say of their sessions.

    A session with an open line on any node is as its open lines are; without one it is as it was
    when the last closed. A user is here by any session; a choice beats what sessions say. All of it
    depends on the entries and choices alone, so that nodes which know the same agree, however they
    came by it.

    Each change gets the next version. People are kept in the order of their last change, so that
    what changed after a version is found from the end without looking at the rest.
    """

    def __init__(
        self,
        room: str = "",
        versions: Versions | None = None,
        choice_of: Callable[[str], Choice | None] = lambda user: None,
        remembered: int = REMEMBERED,
        profile_of: Callable[[str], Profile] = lambda user: NO_PROFILE,
    ) -> None:
        self._room = room
        self._versions = versions or Versions()
        self._choice_of = choice_of
        self._profile_of = profile_of
        self._remembered = remembered
        self.version = self._versions.newest
        # Cursors older than this may have missed somebody who is forgotten by now.
        self._forgotten = self.version
        self._entries: dict[str, dict[Source, Entry]] = {}
        self._here: dict[str, Person] = {}
        self._gone: dict[str, Person] = {}
        self._counts: Counter[str] = Counter()
        # The newest account of a name that has been deleted.
        self._deleted: dict[str, int] = {}
        # What was told of somebody with the same second, by the version from which on.
        self._told: dict[str, list[tuple[int, State, Mapping[str, Any]]]] = {}
        # What was said of these did not agree, by the version that was the newest then: another
        # node, to which not all of it had come, may have shown them otherwise.
        self._disputed: dict[str, int] = {}

    @property
    def here(self) -> Mapping[str, Person]:
        """Everyone who is here, least recently changed first."""
        return MappingProxyType(self._here)

    @property
    def is_empty(self) -> bool:
        """Whether no node says anything of anybody, also of those who are invisible."""
        return not self._entries

    @property
    def remembers_nobody(self) -> bool:
        """Whether nobody is known to have left."""
        return not self._gone

    def gone(self, user: str) -> Person | None:
        """Somebody who is remembered as offline or deleted."""
        return self._gone.get(user)

    def left(self, user: str) -> int | None:
        """Since when a user is offline of whom that is still remembered."""
        person = self._gone.get(user)
        return person.since or None if person is not None and person.status == "offline" else None

    def left_since(self, second: int) -> dict[str, int]:
        """Who is offline since a second or later, the newest first, as far as is remembered."""
        found = {}
        for user, person in reversed(self._gone.items()):
            if person.since < second and person.came == person.version:
                break
            if person.since >= second and person.status == "offline":
                found[user] = person.since
        return found

    def entries(self, user: str) -> Mapping[Source, Entry]:
        return self._entries.get(user, {})

    def place(self, source: Source, entry: Entry) -> None:
        """Let a node say of a session how it is."""
        if 0 < entry.account <= self._deleted.get(entry.user, 0):
            # A node that has not heard of the deletion yet still speaks of the old account.
            self.dispute(entry.user)
            return
        entries = self._entries.setdefault(entry.user, {})
        before = entries.get(source, entry)
        entries[source] = entry
        self._compare(entry.user, before)
        self.settle(entry.user, entry.since)

    def remove(self, source: Source, user: str, since: int) -> None:
        """Let a node say that it no longer has a session; of others' entries nothing is said."""
        entries = self._entries.get(user)
        before = None if entries is None else entries.pop(source, None)
        if before is None:
            return
        self._compare(user, before)
        if not entries:
            del self._entries[user]
        self.settle(user, since)

    def delete(self, user: str, account: int, since: int) -> None:
        """Take a deleted account out, whatever nodes that have not heard of it yet still say."""
        self._deleted[user] = max(account, self._deleted.pop(user, 0))
        if len(self._deleted) > self._remembered:
            del self._deleted[next(iter(self._deleted))]
        entries = self._entries.pop(user, {})
        newer = {source: entry for source, entry in entries.items() if entry.account > account}
        if newer and len(newer) == len(entries):
            # Only now is it known here that there was another before.
            self._entries[user] = newer
            return
        self._leave(user, "deleted", since)
        if newer:
            self._entries[user] = newer
            self.settle(user, max(entry.since for entry in newer.values()))

    def settle(self, user: str, since: int, came: int = 0) -> None:
        """See how a user is now; what has changed has been so since the second `since`.

        Who becomes visible by it comes in the second `came`, whatever is said of their stay.
        """
        entries = counted(self._entries.get(user, {}))
        choice = self._choice_of(user)
        person = self._here.get(user)
        if not entries or (choice is not None and choice.hides):
            if person is not None:
                self._leave(user, "offline", since)
            elif user in self._gone:
                self._describe_gone(user)
            return
        status = _merged(entries, choice)
        if choice is not None and choice.status is not None:
            since = max(since, choice.since)
        about = _about(entries, choice, self._profile_of(user))
        here = max(entry.began for entry in entries)
        if person is None and came:
            here = came
        elif person is not None and here > person.here:
            # Who came meanwhile to nodes that knew nothing of each other.
            person = self._here[user] = person._replace(here=here)
        if person is None or person.status != status:
            self._arrive(user, status, since, about, here)
        elif person.about != about:
            self._describe(user, person, about)
        else:
            # Who came meanwhile to nodes that knew nothing of each other: all name one second.
            newest = max((entry.since for entry in entries if entry.status == status), default=0)
            if newest > person.since:
                self._here[user] = person._replace(since=newest)

    def introduce(self, user: str, since: int) -> None:
        """What a user shows of themself is another; it is told also of who was never here."""
        if user in self._here or user in self._gone:
            self.settle(user, since)
            return
        self.version = version = self._versions.next(self._room)
        about, hides = self._left_behind(user)
        self._keep_gone(user, Person("offline", 0, version, 0, about, version, hides))

    def recede(self, unix: int) -> None:
        """What is to come after a second is in it, without a word: a clock was wrong."""
        for people in (self._here, self._gone):
            for user, person in people.items():
                if person.since > unix or person.here > unix:
                    since, here = min(person.since, unix), min(person.here, unix)
                    people[user] = person._replace(since=since, here=here)
        for entries in self._entries.values():
            for source, entry in entries.items():
                entries[source] = entry.not_after(unix)

    def remembers(self, version: int) -> bool:
        """Whether it is known what changed after `version`: neither too old nor yet to come."""
        return self._forgotten <= version <= self._versions.newest

    def changes_since(
        self, version: int, *, elsewhere: bool = False
    ) -> list[tuple[str, Person]] | None:
        """The newest state of each user who changed after `version`; None if that is not known.

        Who is told nothing new by it is left out: somebody who turned away and back in a second.
        Somebody who was told `elsewhere` what was so until then may have been told what never was
        so here: for them those are added who may have been shown otherwise.
        """
        if not self.remembers(version):
            return None
        changed = dict(
            (*_changed_after(self._here, version), *_changed_after(self._gone, version))
        )
        if elsewhere:
            return [*changed.items(), *self._states(self._disputed_since(version) - changed.keys())]
        return [
            (user, person)
            for user, person in changed.items()
            if not self._is_known(user, person, version)
        ]

    def changes_of(
        self, users: Iterable[str], version: int, *, elsewhere: bool = False
    ) -> list[tuple[str, Person]] | None:
        """The same of some users only, at the cost of their number."""
        if not self.remembers(version):
            return None
        if elsewhere:
            disputed = self._disputed_since(version)
            return [
                (user, person)
                for user, person in self._states(users)
                if person.version > version or user in disputed
            ]
        return [
            (user, person)
            for user, person in self._states(users)
            if person.version > version and not self._is_known(user, person, version)
        ]

    @property
    def counts(self) -> Mapping[str, int]:
        """How many are here, by status."""
        return MappingProxyType(self._counts)

    def refuse(self, user: str, since: int) -> None:
        """Another node may show a user who is known to be gone here, and perhaps never was here."""
        if self._hides(user):
            return
        if user not in self._here and user not in self._gone:
            newest = self._versions.newest
            about, hides = self._left_behind(user)
            self._keep_gone(user, Person("offline", since, newest, newest, about, 0, hides))
        self.dispute(user)

    def dispute(self, user: str) -> None:
        """Another node may show a user otherwise until it knows what is known here: but nobody who
        is invisible, or it would be told once more that they are gone."""
        if not self._hides(user):
            self.note_dispute(user)

    def note_dispute(self, user: str) -> None:
        self._disputed.pop(user, None)
        self._disputed[user] = self._versions.newest
        if len(self._disputed) > self._remembered:
            self._forgotten = max(self._forgotten, self._disputed.pop(next(iter(self._disputed))))

    def _compare(self, user: str, before: Entry) -> None:
        """Something else is said of a session than before, or nothing any more."""
        said, profile = self._entries[user].values(), self._profile_of(user)
        seen = before.status, _seen(before, profile)
        if any((entry.status, _seen(entry, profile)) != seen for entry in said):
            self.dispute(user)

    def _hides(self, user: str) -> bool:
        choice = self._choice_of(user)
        return choice is not None and choice.hides

    def _disputed_since(self, version: int) -> set[str]:
        found = set()
        for user, at in reversed(self._disputed.items()):
            if at < version:
                break
            found.add(user)
        return found

    def _states(self, users: Iterable[str]) -> Iterator[tuple[str, Person]]:
        for user in users:
            person = self._here.get(user) or self._gone.get(user)
            if person is not None:
                yield user, person

    def _is_known(self, user: str, person: Person, version: int) -> bool:
        told = [state for since, *state in self._told.get(user, ()) if since <= version]
        return bool(told) and told[-1] == [person.status, person.about]

    def _arrive(
        self, user: str, status: Status, since: int, about: Mapping[str, Any], here: int
    ) -> None:
        before = self._take_out(user)
        self._counts[status] += 1
        self.version = version = self._versions.next(self._room)
        was_here = before is not None and before.status in PRECEDENCE
        came = before.came if before is not None and was_here else version
        about_version = version
        # Who has been told that somebody went may have dropped what was beside their status.
        if about == (NOTHING if before is None else before.about) and (was_here or not about):
            about_version = 0 if before is None else before.about_version
        since = _later(since, before)
        here = before.here if before is not None and was_here else min(here, since)
        self._here[user] = Person(
            status, since, version, came, about, about_version, here=here
        )
        self._note(user, before, self._here[user])

    def _describe(self, user: str, before: Person, about: Mapping[str, Any]) -> None:
        del self._here[user]
        self.version = version = self._versions.next(self._room)
        self._here[user] = before._replace(version=version, about=about, about_version=version)
        self._note(user, before, self._here[user])

    def _leave(self, user: str, state: State, since: int) -> None:
        before = self._take_out(user)
        self.version = version = self._versions.next(self._room)
        about, hides = self._left_behind(user) if state == "offline" else (NOTHING, False)
        # Who has not been told that they went still knows what was beside their status.
        known = about or (before is not None and before.about)
        about_version = 0 if before is None else version if known else before.about_version
        gone = Person(state, _later(since, before), version, version, about, about_version, hides)
        self._keep_gone(user, gone)
        self._note(user, before, gone)

    def _keep_gone(self, user: str, person: Person) -> None:
        self._gone[user] = person
        if len(self._gone) > self._remembered:
            oldest = next(iter(self._gone))
            self._forgotten = self._gone.pop(oldest).version
            self._told.pop(oldest, None)

    def _describe_gone(self, user: str) -> None:
        """What is shown beside somebody who is offline may have changed."""
        before = self._gone[user]
        about, hides = self._left_behind(user)
        if before.status != "offline" or (before.about, before.hides_since) == (about, hides):
            return
        del self._gone[user]
        self.version = version = self._versions.next(self._room)
        now = before._replace(
            version=version, about=about, about_version=version, hides_since=hides
        )
        self._gone[user] = now
        self._note(user, before, now)

    def _left_behind(self, user: str) -> tuple[Mapping[str, Any], bool]:
        """What is shown beside somebody who is offline, and whether nobody is told since when."""
        profile, choice = self._profile_of(user), self._choice_of(user)
        about: dict[str, Any] = {"name": profile.name} if profile.name else {}
        if choice is not None:
            about |= words_of(*choice.left_behind)
        return about or NOTHING, profile.hides_last_seen

    def _take_out(self, user: str) -> Person | None:
        person = self._here.pop(user, None)
        if person is not None:
            self._counts[person.status] -= 1
        return person or self._gone.pop(user, None)

    def _note(self, user: str, before: Person | None, now: Person) -> None:
        """Remember what was told within one second: to tell it again would be no news."""
        if before is None or (before.since, before.hides_since) != (now.since, now.hides_since):
            self._told.pop(user, None)
            return
        told = self._told.setdefault(user, [(before.version, before.status, before.about)])
        told.append((now.version, now.status, now.about))
        del told[:-20]
        if len(self._told) > _WITHIN_A_SECOND:
            del self._told[next(iter(self._told))]


def counted(entries: Mapping[Source, Entry]) -> list[Entry]:
    """Those that count: of a session its open lines on any node, or else where it left last."""
    if len(entries) < 2:
        return list(entries.values())
    sessions: dict[str, list[Entry]] = {}
    for source, entry in entries.items():
        sessions.setdefault(source.tag, []).append(entry)
    return [entry for of_one in sessions.values() for entry in _of_session(of_one)]


def _of_session(entries: list[Entry]) -> Iterable[Entry]:
    return [entry for entry in entries if entry.left is None] or [max(entries, key=_left)]


def _left(entry: Entry) -> float:
    return entry.left or 0.0


def merged_status(entries: Iterable[Entry]) -> Status:
    """The status of the lines of a user who has some."""
    return min((entry.status for entry in entries), key=PRECEDENCE.index)


def _merged(entries: list[Entry], choice: Choice | None) -> Status:
    if choice is not None and choice.status is not None and choice.status != "invisible":
        return choice.status
    return entries[0].status if len(entries) == 1 else merged_status(entries)


def _about(
    entries: list[Entry], choice: Choice | None, profile: Profile
) -> Mapping[str, Any]:
    about = newest_about(entries)
    if about:
        about = {key: about[key] for key in about if key not in _UNTOLD} or NOTHING
    if profile.shows_devices and (devices := _devices(entries)):
        about = {**about, DEVICES: devices}
    if profile.name:
        about = {"name": profile.name, **about}
    if choice is None or not (choice.text or choice.until):
        return about
    return {**about, **words_of(choice.text, choice.until)}


def _devices(entries: Iterable[Entry]) -> list[str]:
    return sorted({entry.about[DEVICE] for entry in entries if DEVICE in entry.about})


def _seen(entry: Entry, profile: Profile) -> Mapping[str, Any]:
    """Of what is said of a session, what others can be told."""
    if profile.shows_devices or DEVICE not in entry.about:
        return entry.about
    return {key: entry.about[key] for key in entry.about if key != DEVICE}


def newest_about(entries: Iterable[Entry]) -> Mapping[str, Any]:
    """What is said of a user, of several at once the newest."""
    return max(entries, key=lambda entry: (entry.about.get(ISSUED, 0), entry.order)).about


def _later(since: int, before: Person | None) -> int:
    # Clocks differ, but what an observer is told never runs backwards.
    return since if before is None else max(since, before.since)


def _changed_after(people: dict[str, Person], version: int) -> Iterator[tuple[str, Person]]:
    for user, person in reversed(people.items()):
        if person.version <= version:
            return
        yield user, person
