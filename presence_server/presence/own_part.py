"""What this node says of its own people in one room, and what of it is still to be said."""

from collections.abc import Iterator

from presence_server.presence.entries import Entry
from presence_server.presence.letters import Said
from presence_server.presence.members import Member, Members
from presence_server.presence.merging import newness
from presence_server.presence.moment import Moment
from presence_server.presence.states import Person, Status
from presence_server.presence.timing import CLOCKS_ALIKE

# By tag, what is to be said to all; a second: since then somebody is gone.
Sayings = Iterator[tuple[str, Said | int]]


class OwnPart:
    __slots__ = ("members", "_said", "_unsaid", "_followed")

    def __init__(self) -> None:
        self.members = Members()
        self._said: dict[str, Entry] = {}
        # Whose state is to be said, and who is gone since when.
        self._unsaid: dict[str, int] = {}
        self._followed: set[str] = set()

    @property
    def has_unsaid(self) -> bool:
        return bool(self._unsaid)

    def said(self, tag: str) -> Entry | None:
        """What is said of a session."""
        return self._said.get(tag)

    def say(self, tag: str, person: Person | None, since: int) -> tuple[bool, Entry | None]:
        """Say how a session is now, which changed at `since`; its user is shown as `person`.

        Whether that is news, and what is said now; None: nothing any more.
        """
        member, said = self.members.get(tag), self._said.get(tag)
        if member is None:
            del self._said[tag]
            self._unsaid[tag] = since
            return True, None
        member.came = person.here if person is not None else member.came or since
        status = member.status
        if person is not None and person.status == status:
            # Already so on another node: all nodes shall name the same second.
            since = person.since
        elif said is not None and said.status == status:
            since = said.since
        entry = _entry(member, status, since)
        if entry == said:
            return False, said
        self._said[tag] = entry
        self._unsaid[tag] = since
        return True, entry

    def follow(self, user: str, person: Person) -> Iterator[tuple[str, Entry]]:
        """Name the same seconds of a user as is shown: by tag, what is said otherwise by it."""
        for tag, member in self.members.of_user(user).items():
            said = self._said[tag]
            since = max(said.since, person.since) if said.status == person.status else said.since
            if (since, person.here) != (said.since, said.came):
                member.came = person.here
                self._said[tag] = said._replace(since=since, came=person.here)
                self._unsaid[tag] = since
                self._followed.add(member.who.session)
                yield tag, self._said[tag]

    def take_over_about(self, tag: str, entry: Entry) -> Iterator[tuple[str, Entry]]:
        """Let the lines of a user show what was said later on another one, which may be closed
        before they are: by tag, what is said of their sessions now."""
        # A user of an app has one session for all lines; beside it stand claims.
        tags = self.members.of_user(entry.user) if entry.account else (tag,)
        for own in tags:
            member = self.members.get(own)
            if member is None or not member.is_open or member.who.account != entry.account:
                # Of a name that was deleted another node may speak for a moment still.
                continue
            if newness(entry.about, entry.order) > newness(member.about, member.order):
                member.take_over_about(entry.about, entry.order)
                said = self._said[own]
                self._said[own] = said._replace(about=member.about, order=member.order)
                self._unsaid[own] = said.since
                self._followed.add(member.who.session)
                yield own, self._said[own]

    def own_words(self, user: str, status: Status, since: int, came: int) -> tuple[int, int]:
        """What this node says of a user who is so, if that is what another clock means by the
        seconds: else two nodes would follow what each makes of the other's word, later and later.
        """
        own = [self._said[tag] for tag in self.members.of_user(user)]
        return (
            _alike(since, [entry.since for entry in own if entry.status == status]),
            _alike(came, [entry.came for entry in own]),
        )

    def take_followed(self) -> set[str]:
        """The sessions of which something else is said than before."""
        followed, self._followed = self._followed, set()
        return followed

    def recede(self, unix: int) -> None:
        """What is to come after a second is in it: the clock was wrong."""
        for tag, entry in self._said.items():
            self._said[tag] = entry.not_after(unix)
            if self._said[tag] is not entry:
                self._unsaid[tag] = unix
        for member in map(self.members.get, self.members):
            assert member is not None
            member.said, member.came = min(member.said, unix), min(member.came, unix)

    def take_unsaid(self, now: Moment) -> Sayings:
        unsaid, self._unsaid = self._unsaid, {}
        for tag, since in unsaid.items():
            entry = self._said.get(tag)
            yield tag, since if entry is None else said_of(entry, now)

    def all_said(self) -> Iterator[tuple[str, Entry]]:
        """By tag, what is said of every session."""
        yield from self._said.items()


def _alike(second: int, own: list[int]) -> int:
    return next((one for one in own if abs(one - second) <= CLOCKS_ALIKE), second)


def _entry(member: Member, status: Status, since: int) -> Entry:
    who, is_open = member.who, member.is_open
    return Entry(
        who.user,
        who.account,
        status,
        since,
        None if is_open else member.left.elapsed,
        0 if is_open else member.left.unix,
        member.order,
        member.about,
        member.came,
    )


def said_of(entry: Entry, now: Moment) -> Said:
    """An entry in the words of letters, which know no clock of ours."""
    resting = None if entry.left is None else now.elapsed - entry.left
    return Said(
        entry.user,
        entry.account,
        entry.status,
        entry.since,
        resting,
        entry.left_second,
        entry.order,
        entry.about,
        entry.came,
    )
