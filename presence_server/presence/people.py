"""Users with versions: who is here and who left, in the order of their last change."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from presence_server.presence.past import Past
from presence_server.presence.states import NOTHING, PRECEDENCE, Person, State, Status

# Of rooms in which nothing has happened yet: there are many.
_NO_PAST = Past(0)
_NO_COUNTS: Mapping[str, int] = MappingProxyType({})


class Versions:
    """One number for all rooms of a node: it grows by one with each change in any of them."""

    def __init__(self) -> None:
        self.newest = 0
        self._untold = False
        self._changed: set[str] = set()

    @property
    def untold(self) -> bool:
        """Whether nobody has been told anything yet."""
        return self._untold

    def begin_untold(self) -> None:
        self._untold = True

    def end_untold(self) -> None:
        self._untold = False

    def next(self, room: str) -> int:
        self.newest += 1
        self._changed.add(room)
        return self.newest

    def take_changed(self) -> set[str]:
        """The rooms in which something changed since they were asked for last."""
        changed, self._changed = self._changed, set()
        return changed


class People:
    """Each change gets the next version, so that what changed after a version is found from the end
    without looking at the rest. Who decides about them says what is so and since when."""

    __slots__ = (
        "version",
        "_room",
        "_versions",
        "_remembered",
        "_began",
        "_here",
        "_counts",
        "_past",
    )

    def __init__(self, room: str, versions: Versions, remembered: int) -> None:
        self._room = room
        self._versions = versions
        self._remembered = remembered
        self.version = self._began = versions.newest
        self._here: dict[str, Person] = {}
        self._counts: Counter[str] | None = None
        self._past = _NO_PAST

    @property
    def here(self) -> Mapping[str, Person]:
        """Everyone who is here, least recently changed first."""
        return MappingProxyType(self._here)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many are here, by status."""
        return _NO_COUNTS if self._counts is None else MappingProxyType(self._counts)

    @property
    def remembers_nobody(self) -> bool:
        """Whether nobody is known to have left."""
        return not self._past.gone

    def gone(self, user: str) -> Person | None:
        """Somebody who is remembered as offline or deleted."""
        return self._past.gone.get(user)

    def left(self, user: str) -> int | None:
        """Since when a user is offline of whom that is still remembered."""
        person = self.gone(user)
        return person.since or None if person is not None and person.status == "offline" else None

    def left_since(self, second: int) -> dict[str, int]:
        """Who is offline since a second or later, the newest first, as far as is remembered."""
        found = {}
        for user, person in reversed(self._past.gone.items()):
            if person.since < second and person.came == person.version:
                break
            if person.since >= second and person.status == "offline":
                found[user] = person.since
        return found

    def remembers(self, version: int) -> bool:
        """Whether it is known what changed after `version`: neither too old nor yet to come."""
        return max(self._began, self._past.forgotten) <= version <= self._versions.newest

    def changed_since(self, version: int) -> dict[str, Person] | None:
        """The newest state of each user who changed after `version`; None if that is not known."""
        if not self.remembers(version):
            return None
        gone = self._past.gone
        return dict((*_changed_after(self._here, version), *_changed_after(gone, version)))

    def changes_since(
        self, version: int, *, resumed: bool = False, elsewhere: bool = False
    ) -> list[tuple[str, Person]] | None:
        """What to tell an observer of those who changed after `version`; None if not known.

        Who has `resumed` is told the same seconds as somebody who comes anew.
        Who is told nothing new by it is left out: somebody who turned away and back in a second.
        Somebody who was told `elsewhere` what was so until then may have been told what never was
        so here: for them those are added who may have been shown otherwise.
        """
        changed = self.changed_since(version)
        if changed is None:
            return None
        if elsewhere:
            disputed = self._past.disputed_since(version) | self._past.redated_since(version)
            return [*changed.items(), *self._states(disputed - changed.keys())]
        redated = self._past.redated_since(version) if resumed else set()
        return [
            *self._states(redated - changed.keys()),
            *(
                (user, person)
                for user, person in changed.items()
                if user in redated or not self._past.is_known(user, person, version)
            ),
        ]

    def changes_of(
        self,
        users: Iterable[str],
        version: int,
        *,
        resumed: bool = False,
        elsewhere: bool = False,
    ) -> list[tuple[str, Person]] | None:
        """The same of some users only, at the cost of their number."""
        if not self.remembers(version):
            return None
        more = self._past.redated_since(version) if resumed or elsewhere else set()
        if elsewhere:
            more |= self._past.disputed_since(version)
        return [
            (user, person)
            for user, person in self._states(users)
            if user in more
            or person.version > version
            and (elsewhere or not self._past.is_known(user, person, version))
        ]

    def note_dispute(self, user: str) -> None:
        """Another node may show a user otherwise until it knows what is known here."""
        self._own_past().dispute(user, self._versions.newest)

    def recede(self, unix: int) -> None:
        """What is to come after a second is in it, without a word: a clock was wrong."""
        for people in (self._here, self._past.gone):
            for user, person in people.items():
                if person.since > unix or person.here > unix:
                    since, here = min(person.since, unix), min(person.here, unix)
                    people[user] = person._replace(since=since, here=here)
        self._past.recede(unix)

    # For those who decide

    def _arrive(
        self, user: str, status: Status, since: int, about: Mapping[str, Any], here: int
    ) -> None:
        before = self._take_out(user)
        if self._counts is None:
            self._counts = Counter()
        self._counts[status] += 1
        self.version = version = self._versions.next(self._room)
        was_here = before is not None and before.status in PRECEDENCE
        came = before.came if before is not None and was_here else version
        about_version = version
        # Who has been told that somebody went may have dropped what was beside their status.
        if about == (NOTHING if before is None else before.about) and (was_here or not about):
            about_version = 0 if before is None else before.about_version
        since = self._later(user, since, before)
        here = before.here if before is not None and was_here else min(here, since)
        self._here[user] = Person(
            status, since, version, came, about, about_version, here=here
        )
        self._note(user, before, self._here[user])

    def _redate(self, user: str, since: int, here: int) -> None:
        """Somebody who is here is so since another second than was told. Nobody is told a word."""
        person = self._here[user]
        if (since, here) != (person.since, person.here):
            self._own_past().redate(user, self._versions.newest, person.since)
            self._here[user] = person._replace(since=since, here=here)

    def _describe(self, user: str, before: Person, about: Mapping[str, Any]) -> None:
        del self._here[user]
        self.version = version = self._versions.next(self._room)
        since = self._later(user, before.since, before)
        self._here[user] = before._replace(
            since=since, version=version, about=about, about_version=version
        )
        self._note(user, before, self._here[user])

    def _leave(
        self, user: str, state: State, since: int, about: Mapping[str, Any], hides: bool
    ) -> None:
        before = self._take_out(user)
        self.version = version = self._versions.next(self._room)
        # Who has not been told that they went still knows what was beside their status.
        known = about or (before is not None and before.about)
        about_version = 0 if before is None else version if known else before.about_version
        since = self._later(user, since, before)
        gone = Person(state, since, version, version, about, about_version, hides)
        self._keep_gone(user, gone)
        self._note(user, before, gone)

    def _describe_gone(self, user: str, about: Mapping[str, Any], hides: bool) -> None:
        """What is shown beside somebody who is offline may have changed."""
        before = self._past.gone[user]
        if before.status != "offline" or (before.about, before.hides_since) == (about, hides):
            return
        del self._past.gone[user]
        self.version = version = self._versions.next(self._room)
        now = before._replace(
            version=version, about=about, about_version=version, hides_since=hides
        )
        self._past.gone[user] = now
        self._note(user, before, now)

    def _introduce(self, user: str, about: Mapping[str, Any], hides: bool) -> None:
        """Somebody who was never here shows something."""
        self.version = version = self._versions.next(self._room)
        self._keep_gone(user, Person("offline", 0, version, 0, about, version, hides))

    def _keep_unseen(self, user: str, since: int, about: Mapping[str, Any], hides: bool) -> None:
        """Somebody is gone who was perhaps never here: no news to anybody."""
        newest = self._versions.newest
        self._keep_gone(user, Person("offline", since, newest, newest, about, 0, hides))

    def _keep_gone(self, user: str, person: Person) -> None:
        self._own_past().keep(user, person)

    def _own_past(self) -> Past:
        if self._past is _NO_PAST:
            self._past = Past(self._remembered)
        return self._past

    def _states(self, users: Iterable[str]) -> Iterator[tuple[str, Person]]:
        for user in users:
            person = self._here.get(user) or self._past.gone.get(user)
            if person is not None:
                yield user, person

    def _take_out(self, user: str) -> Person | None:
        person = self._here.pop(user, None)
        if person is None:
            return self._past.gone.pop(user, None)
        assert self._counts is not None
        self._counts[person.status] -= 1
        return person

    def _later(self, user: str, since: int, before: Person | None) -> int:
        # Clocks differ, but what an observer is told never runs backwards.
        told = self._past.take_redated(user)
        if before is None or self._versions.untold:
            return since
        return max(since, before.since, told)

    def _note(self, user: str, before: Person | None, now: Person) -> None:
        """Who has been told of them within one second is told nothing anew."""
        if before is not None:
            self._own_past().note_told(user, before, now)


def _changed_after(people: dict[str, Person], version: int) -> Iterator[tuple[str, Person]]:
    for user, person in reversed(people.items()):
        if person.version <= version:
            return
        yield user, person
