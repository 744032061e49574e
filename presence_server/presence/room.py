"""One roster: who is in it by way of this node, what other nodes say, what is still to be said."""

from collections.abc import Callable, Collection, Iterator

from presence_server.presence.choices import Choice
from presence_server.presence.cursors import Cursors
from presence_server.presence.letters import Said
from presence_server.presence.members import Members
from presence_server.presence.moment import Moment
from presence_server.presence.ordered import Ordered
from presence_server.presence.profiles import NO_PROFILE, Profiles
from presence_server.presence.records import OWN
from presence_server.presence.roster import Entry, Roster, Source, Versions

LOBBY = "lobby"
# Behind the number of an app, before a user: what they are here by.
LINE, CLAIM = ":", "."
# Of the key of a session's row so much is enough to tell it from all others.
_TAG = 20


def app_of(room: str) -> int:
    """The app whose room it is; 0 for that of the own accounts."""
    return int(room.partition("/")[0]) if room else 0


def lobby_of(room: str) -> str | None:
    """The room in which everybody in this room is shown, too."""
    app, _, name = room.partition("/")
    return None if room == OWN or name == LOBBY else f"{app}/{LOBBY}"


def tag_of(room: str, session: str) -> str:
    """What a session is called between nodes."""
    # In an app it is the user, behind a sign that tells lines from claims.
    return session[:_TAG] if room == OWN else session.lstrip("0123456789")


def session_of(app: int, user: str) -> str:
    """To an app the session is the user."""
    return f"{app}{LINE}{user}"


def is_claim(tag: str) -> bool:
    """Whether a user of an app is here by it without a line."""
    return tag.startswith(CLAIM)


class Room:
    """A room of this node; see records.OWN for its key.

    `observers` counts who is told of it: it goes when nobody is in it and nobody looks.
    """

    __slots__ = (
        "key",
        "app",
        "roster",
        "members",
        "views",
        "observers",
        "_ordered",
        "_choice_of",
        "_node",
        "_lobby",
        "_cursors",
        "_said",
        "_unsaid",
        "_followed",
    )

    def __init__(
        self,
        key: str,
        node: str,
        versions: Versions,
        cursors: Cursors,
        choice_of: Callable[[int, str], Choice | None],
        profiles: Profiles,
        lobby: "Room | None",
    ) -> None:
        self.key = key
        self.app = app = app_of(key)
        self._choice_of = choice_of
        self.roster = Roster(
            key,
            versions,
            lambda user: choice_of(app, user),
            profile_of=profiles.of if key == OWN else lambda user: NO_PROFILE,
        )
        self.members = Members()
        # What other nodes say, by their names.
        self.views: dict[str, dict[str, Entry]] = {}
        self.observers = 0
        self._ordered: Ordered | None = None
        self._node = node
        self._lobby = lobby
        self._cursors = cursors
        self._said: dict[str, Entry] = {}
        # Whose state is to be said, and who is gone since when.
        self._unsaid: dict[str, int] = {}
        self._followed: set[str] = set()

    @property
    def own(self) -> Collection[str]:
        """The users whom this node itself has here: of them it knows, whatever others say."""
        return self.members.users

    def choice_of(self, user: str) -> Choice | None:
        """What holds of what a user has chosen."""
        return self._choice_of(self.app, user)

    @property
    def ordered(self) -> Ordered:
        """Who is here, in the order of names; kept from the first time that somebody asks."""
        if self._ordered is None:
            self._ordered = Ordered(self.roster, str.lower if self.key == OWN else str)
        return self._ordered

    @property
    def is_idle(self) -> bool:
        return not (self.observers or self._unsaid) and self.roster.is_empty

    @property
    def has_unsaid(self) -> bool:
        return bool(self._unsaid)

    def cursor(self, version: int, now: Moment) -> str:
        """What an observer who has a version comes back with."""
        return self._cursors.cursor(version, up_to_date=version >= self.roster.version)

    def resume(self, cursor: str, now: Moment) -> int | None:
        """The version from which to bring an observer up to date; None: it needs a snapshot."""
        version = self._cursors.resume(cursor, now)
        return version if version is not None and self.roster.remembers(version) else None

    def is_of_elsewhere(self, cursor: str) -> bool:
        """Whether an observer was told what it knows by another node."""
        return not self._cursors.is_own(cursor)

    def said(self, tag: str) -> Entry | None:
        """What this node says of a session of its own."""
        return self._said.get(tag)

    def say(self, tag: str, since: int) -> bool:
        """Say how a session of this node is now, which changed at `since`; False if as before."""
        member, said = self.members.get(tag), self._said.get(tag)
        source = Source(self._node, self.key, tag)
        if member is None:
            if said is None:
                return False
            del self._said[tag]
            self._unsaid[tag] = since
            self.drop(source, said.user, since)
            return True
        who, status = member.who, member.status
        person = self.roster.here.get(who.user)
        member.came = person.here if person is not None else member.came or since
        if person is not None and person.status == status:
            # Already so on another node: all nodes shall name the same second.
            since = person.since
        elif said is not None and said.status == status:
            since = said.since
        entry = Entry(
            who.user,
            who.account,
            status,
            since,
            None if member.is_open else member.left.elapsed,
            0 if member.is_open else member.left.unix,
            member.order,
            member.about,
            member.came,
        )
        if entry == said:
            return False
        self._said[tag] = entry
        self._unsaid[tag] = since
        self.put(source, entry)
        return True

    def follow(self, user: str) -> None:
        """Name the same seconds as the roster does, and so as other nodes."""
        person = self.roster.here.get(user)
        if person is None:
            return
        for tag, member in self.members.of_user(user).items():
            said = self._said.get(tag)
            if said is None:
                continue
            since = max(said.since, person.since) if said.status == person.status else said.since
            if (since, person.here) != (said.since, said.came):
                member.came = person.here
                self._said[tag] = said._replace(since=since, came=person.here)
                self._unsaid[tag] = since
                self._followed.add(member.who.session)
                self.put(Source(self._node, self.key, tag), self._said[tag])

    def recede(self, unix: int) -> None:
        """What is to come after a second is in it: the clock was wrong."""
        self.roster.recede(unix)
        for tag, entry in self._said.items():
            self._said[tag] = entry.not_after(unix)
            if self._said[tag] is not entry:
                self._unsaid[tag] = unix
        for member in map(self.members.get, self.members):
            assert member is not None
            member.said, member.came = min(member.said, unix), min(member.came, unix)

    def take_followed(self) -> set[tuple[str, str]]:
        """The sessions of which this node says something else than before, by room and session."""
        followed, self._followed = self._followed, set()
        return {(self.key, session) for session in followed}

    def put(self, source: Source, entry: Entry) -> None:
        """Show what a node says of a session, here and in the lobby."""
        self.roster.place(source, entry)
        if self._lobby is not None:
            self._lobby.roster.place(source, entry)

    def drop(self, source: Source, user: str, since: int) -> None:
        self.roster.remove(source, user, since)
        if self._lobby is not None:
            self._lobby.roster.remove(source, user, since)

    def settle(self, user: str, since: int, *, disputed: bool = True) -> None:
        """A choice of the user began or ended; others may have shown them otherwise for a moment,
        unless they were invisible before and still are."""
        if disputed:
            self.roster.note_dispute(user)
        self.roster.settle(user, since, since)
        self.follow(user)

    def dispute(self, user: str) -> None:
        """Others may have shown a user otherwise for a moment, here and in the lobby."""
        self.roster.dispute(user)
        if self._lobby is not None:
            self._lobby.roster.dispute(user)

    def take_unsaid(self, now: Moment) -> Iterator[tuple[str, str, Said | int]]:
        """By room and tag, what is to be said to all."""
        unsaid, self._unsaid = self._unsaid, {}
        for tag, since in unsaid.items():
            entry = self._said.get(tag)
            yield self.key, tag, since if entry is None else _said(entry, now)

    def all_said(self, now: Moment) -> Iterator[tuple[str, str, Said | int]]:
        """By room and tag, all that this node says."""
        for tag, entry in self._said.items():
            yield self.key, tag, _said(entry, now)


def _said(entry: Entry, now: Moment) -> Said:
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
