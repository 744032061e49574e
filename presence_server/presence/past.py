"""What those who come back with an older version may have missed in a room."""

from collections.abc import Mapping
from typing import Any

from presence_server.presence.states import Person, State

# Of so many people it is known what was told of them within their last second.
_WITHIN_A_SECOND = 1_000
_NEVER = (0, 0)


class Past:
    """Who left, whose account was deleted, what was told lately, and what was disputed: of each as
    much as is `remembered`.

    Cursors older than the version `forgotten` may have missed somebody who is forgotten by now.
    """

    __slots__ = ("gone", "forgotten", "_remembered", "_deleted", "_told", "_disputed", "_redated")

    def __init__(self, remembered: int) -> None:
        self._remembered = remembered
        self.forgotten = 0
        # Those who are offline or deleted, least recently changed first.
        self.gone: dict[str, Person] = {}
        # The newest account of a name that has been deleted.
        self._deleted: dict[str, int] = {}
        # What was told of somebody with the same second, by the version from which on.
        self._told: dict[str, list[tuple[int, State, Mapping[str, Any]]]] = {}
        # What was said of these did not agree, by the version that was the newest then: another
        # node, to which not all of it had come, may have shown them otherwise.
        self._disputed: dict[str, int] = {}
        # Of these another second is known than was told, by the version that was the newest then;
        # and the latest second that was told.
        self._redated: dict[str, tuple[int, int]] = {}

    def keep(self, user: str, person: Person) -> None:
        """Somebody is gone since now."""
        self.gone[user] = person
        if len(self.gone) > self._remembered:
            oldest = next(iter(self.gone))
            self.forgotten = self.gone.pop(oldest).version
            self._told.pop(oldest, None)

    def delete(self, user: str, account: int) -> None:
        self._deleted[user] = max(account, self._deleted.pop(user, 0))
        if len(self._deleted) > self._remembered:
            del self._deleted[next(iter(self._deleted))]

    def has_deleted(self, user: str, account: int) -> bool:
        """Whether that account of the name was deleted, or a later one."""
        return 0 < account <= self._deleted.get(user, 0)

    def dispute(self, user: str, version: int) -> None:
        self._disputed.pop(user, None)
        self._disputed[user] = version
        if len(self._disputed) > self._remembered:
            self.forgotten = max(self.forgotten, self._disputed.pop(next(iter(self._disputed))))

    def disputed_since(self, version: int) -> set[str]:
        found = set()
        for user, at in reversed(self._disputed.items()):
            if at < version:
                break
            found.add(user)
        return found

    def redate(self, user: str, version: int, told: int) -> None:
        """Without a word another second is known of somebody."""
        _, before = self._redated.pop(user, _NEVER)
        self._redated[user] = version, max(told, before)
        if len(self._redated) > self._remembered:
            version, _ = self._redated.pop(next(iter(self._redated)))
            self.forgotten = max(self.forgotten, version)

    def redated_since(self, version: int) -> set[str]:
        found = set()
        for user, (at, _) in reversed(self._redated.items()):
            if at < version:
                break
            found.add(user)
        return found

    def take_redated(self, user: str) -> int:
        """All are told of somebody: what was the latest second that was, if another is known."""
        return self._redated.pop(user, _NEVER)[1]

    def recede(self, unix: int) -> None:
        """No later second was told: a clock was wrong."""
        for user, (version, told) in self._redated.items():
            self._redated[user] = version, min(told, unix)

    def note_told(self, user: str, before: Person, now: Person) -> None:
        """Remember what was told within one second: to tell it again would be no news."""
        if (before.since, before.hides_since) != (now.since, now.hides_since):
            self._told.pop(user, None)
            return
        told = self._told.setdefault(user, [(before.version, before.status, before.about)])
        told.append((now.version, now.status, now.about))
        del told[:-20]
        if len(self._told) > _WITHIN_A_SECOND:
            del self._told[next(iter(self._told))]

    def is_known(self, user: str, person: Person, version: int) -> bool:
        """Whether to somebody who has a version it is no news how a user is now."""
        told = [state for since, *state in self._told.get(user, ()) if since <= version]
        return bool(told) and told[-1] == [person.status, person.about]
