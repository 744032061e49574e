"""Who is here, as one node sees it: the merged view of all nodes on one room."""

from collections.abc import Callable, Mapping
from typing import Any

from presence_server.presence.choices import Choice
from presence_server.presence.entries import Entries, Entry, Source
from presence_server.presence.merging import (
    about_of,
    counted,
    left_behind,
    look_alike,
    merged_status,
    status_of,
)
from presence_server.presence.people import People, Versions
from presence_server.presence.profiles import NO_PROFILE, Profile
from presence_server.presence.states import NOTHING, Status

# So many people who left are remembered for those who missed it; an older cursor gets a snapshot.
REMEMBERED = 20_000
# By so many seconds the last sign of a node may be another to each of the others: beats, and what
# is written, are that far apart.
_SIGNS_APART = 2


def no_choice_of(user: str) -> Choice | None:
    return None


def no_profile_of(user: str) -> Profile:
    return NO_PROFILE


class Roster(People):
    """The statuses of users, merged from what nodes say of their sessions.

    A session with an open line on any node is as its open lines are; without one it is as it was
    when the last closed. A user is here by any session; a choice beats what sessions say. All of it
    depends on the entries and choices alone, so that nodes which know the same agree, however they
    came by it.
    """

    __slots__ = ("_choice_of", "_profile_of", "_entries", "_left", "_gathers", "ahead")

    def __init__(
        self,
        room: str = "",
        versions: Versions | None = None,
        choice_of: Callable[[str], Choice | None] = no_choice_of,
        remembered: int = REMEMBERED,
        profile_of: Callable[[str], Profile] = no_profile_of,
        *,
        gathers: bool = False,
    ) -> None:
        super().__init__(room, versions or Versions(), remembered)
        self._choice_of = choice_of
        self._profile_of = profile_of
        self._entries = Entries()
        # Whether it shows people of several rooms: each says since when they are so there.
        self._gathers = gathers
        self.ahead: set[str] | None = None
        # Of those who have gone from one node and not from all: their last second at any such.
        self._left: dict[str, int] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether no node says anything of anybody, also of those who are invisible."""
        return not self._entries

    def entries(self, user: str) -> Mapping[Source, Entry]:
        return self._entries.of(user)

    def account(self, user: str) -> int:
        """The account of an own user who is here; 0 of all others."""
        return self._entries.account(user)

    # What nodes say

    def holds(self, source: Source, entry: Entry) -> bool:
        """Whether a node says just this already."""
        return self._entries.holds(source, entry)

    def place(self, source: Source, entry: Entry) -> None:
        """Let a node say of a session how it is."""
        if self._past.has_deleted(entry.user, entry.account):
            # A node that has not heard of the deletion yet still speaks of the old account.
            self.dispute(entry.user)
            return
        former = self.account(entry.user)
        if 0 < former < entry.account:
            # A name is somebody else's only after its account was deleted.
            self.delete(entry.user, former, entry.since)
        before = self._entries.put(source, entry)
        self._compare(entry.user, before)
        self.settle(entry.user, entry.since)

    def remove(self, source: Source, user: str, since: int) -> None:
        """Let a node say that it no longer has a session; of others' entries nothing is said."""
        before = self._entries.take(source, user)
        if before is not None:
            self._compare(user, before)
            self.settle(user, self._last_second(user, since))

    def delete(self, user: str, account: int, since: int) -> None:
        """Take a deleted account out, whatever nodes that have not heard of it yet still say."""
        known = self._past.has_deleted(user, account)
        self._own_past().delete(user, account)
        entries = self._entries.of(user)
        newer = {source: entry for source, entry in entries.items() if entry.account > account}
        if known or (newer and len(newer) == len(entries)):
            # Only now is it known here that there was another before, or it was known already.
            return
        self._entries.replace(user, newer)
        if self._left is not None:
            self._left.pop(user, None)
        self._leave(user, "deleted", since, NOTHING, False)
        if newer:
            self.settle(user, max(entry.since for entry in newer.values()))

    def settle(self, user: str, since: int, came: int = 0) -> None:
        """See how a user is now; what has changed has been so since the second `since`.

        Who becomes visible by it comes in the second `came`, whatever is said of their stay.
        """
        lone = self._entries.lone(user)
        entries = counted(self._entries.of(user)) if lone is None else [lone]
        choice = self._choice_of(user)
        person = self._here.get(user)
        if not entries or (choice is not None and choice.hides):
            if person is not None:
                self._leave(user, "offline", since, *self._left_behind(user))
            elif user in self._past.gone:
                self._describe_gone(user, *self._left_behind(user))
            elif choice is not None and any(entry.began <= choice.since for entry in entries):
                # Of their choice it was known here first: elsewhere they may have been seen before.
                self._keep_unseen(user, choice.since, *self._left_behind(user))
            return
        status = status_of(entries, choice)
        about = about_of(entries, choice, self._profile_of(user))
        began = lone.began if lone is not None else max(entry.began for entry in entries)
        here = came if person is None and came else began
        if lone is not None and choice is None:
            newest = lone.since
        else:
            newest = self._said_since(user, entries, choice, status)
        if choice is not None and status != merged_status(entries):
            since = newest
        if person is not None and here > person.here:
            # Who came meanwhile to nodes that knew nothing of each other.
            self._redate(user, person.since, here)
        if person is None or person.status != status:
            self._arrive(user, status, max(since, newest), about, here)
        else:
            self._redate(user, max(newest, person.since), max(here, person.here))
            if person.about != about:
                self._describe(user, self._here[user], about)
        person = self._here[user]
        if (person.since > newest or person.here > began) and not self._gathers:
            self.ahead = self.ahead or set()
            self.ahead.add(user)

    def take_ahead(self) -> set[str]:
        """Who is shown to be so since a later second than is said of them: by nodes that have yet
        to say what this one knows already, or because this one came to know it late."""
        ahead, self.ahead = self.ahead or set(), None
        return ahead

    def go_back(self, user: str) -> None:
        """All has been said: the second of a user is that which nodes say."""
        person = self._here.get(user)
        if person is not None:
            entries, choice = counted(self._entries.of(user)), self._choice_of(user)
            since = self._said_since(user, entries, choice, status_of(entries, choice))
            here = max(entry.began for entry in entries)
            self._redate(user, min(since, person.since), min(here, person.here))

    def _said_since(
        self, user: str, entries: list[Entry], choice: Choice | None, status: Status
    ) -> int:
        """Since when a user of whom these count is so. Where their lines are not, their choice says
        it; else of all that is said to be so the newest, in whichever order it came to be known:
        what a node says that is gone may count, and another one know better.
        """
        if choice is not None and choice.status is not None and status != merged_status(entries):
            return max(choice.since, min(entry.began for entry in entries))
        said = self._entries.of(user).values()
        return max(entry.since for entry in said if entry.status == status)

    def introduce(self, user: str, since: int) -> None:
        """What a user shows of themself is another; it is told also of who was never here."""
        if user in self._here or user in self._past.gone:
            self.settle(user, since)
            return
        self._introduce(user, *self._left_behind(user))

    def recede(self, unix: int) -> None:
        """What is to come after a second is in it, without a word: a clock was wrong."""
        super().recede(unix)
        self._entries.recede(unix)
        if self._left is not None:
            self._left = {user: min(second, unix) for user, second in self._left.items()}

    def said_without(self, source: Source, user: str, since: int) -> int:
        """Since when a user is as they will be without what a node says that fell silent at about
        the second `since`: another node may have said so already, which saw its last sign earlier.
        """
        left = {other: entry for other, entry in self.entries(user).items() if other != source}
        if not left:
            return since
        status = status_of(counted(left), self._choice_of(user))
        newest = max((entry.since for entry in left.values() if entry.status == status), default=0)
        return newest if since - _SIGNS_APART <= newest else since

    # What other nodes may show

    def refuse(self, user: str, since: int) -> None:
        """Another node may show a user who is known to be gone here, and perhaps never was here."""
        if self._hides(user):
            return
        if user not in self._here and user not in self._past.gone:
            self._keep_unseen(user, since, *self._left_behind(user))
        self.dispute(user)

    def dispute(self, user: str) -> None:
        """Another node may show a user otherwise until it knows what is known here: but nobody who
        is invisible, or it would be told once more that they are gone."""
        if not self._hides(user):
            self.note_dispute(user)

    # How

    def _last_second(self, user: str, since: int) -> int:
        """When a user was here last whom a node lets go: who lets go last need not have had them
        last."""
        known = 0 if self._left is None else self._left.pop(user, 0)
        if self._entries.of(user):
            self._left = self._left or {}
            self._left[user] = max(since, known)
            return since
        return max(since, known)

    def _compare(self, user: str, before: Entry) -> None:
        """Something else is said of a session than before, or nothing any more."""
        lone, profile = self._entries.lone(user), self._profile_of(user)
        if lone is before:
            return
        said = self._entries.of(user).values() if lone is None else (lone,)
        if not all(look_alike(entry, before, profile) for entry in said):
            self.dispute(user)

    def _hides(self, user: str) -> bool:
        choice = self._choice_of(user)
        return choice is not None and choice.hides

    def _left_behind(self, user: str) -> tuple[Mapping[str, Any], bool]:
        """What is shown beside somebody who is offline, and whether nobody is told since when."""
        profile = self._profile_of(user)
        return left_behind(self._choice_of(user), profile), profile.hides_last_seen
