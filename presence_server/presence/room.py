"""One roster: who is in it by way of this node, what other nodes say, what is still to be said."""

from collections.abc import Callable, Collection, Iterator, Mapping
from types import MappingProxyType

from presence_server.presence.choices import Choice
from presence_server.presence.cursors import Cursors
from presence_server.presence.entries import Entry, Source
from presence_server.presence.letters import Said
from presence_server.presence.members import Members
from presence_server.presence.moment import Moment
from presence_server.presence.names import app_of, is_lobby
from presence_server.presence.ordered import Ordered, folded
from presence_server.presence.people import Versions
from presence_server.presence.own_part import OwnPart
from presence_server.presence.profiles import Profiles
from presence_server.presence.records import OWN
from presence_server.presence.roster import Roster, no_profile_of
from presence_server.presence.states import Status

# Of rooms in which no other node has anybody.
_NO_VIEWS: Mapping[str, dict[str, Entry]] = MappingProxyType({})


class Room:
    """A room of this node; see records.OWN for its key.

    It goes when nobody is in it and nobody looks.
    """

    __slots__ = (
        "key",
        "app",
        "roster",
        "views",
        "_observers",
        "_part",
        "_ordered",
        "_choice_of",
        "_node",
        "_lobby",
        "_cursors",
    )

    def __init__(
        self,
        key: str,
        node: str,
        versions: Versions,
        cursors: Cursors,
        choice_of: Callable[[str], Choice | None],
        profiles: Profiles,
        lobby: "Room | None",
    ) -> None:
        self.key = key
        self.app = app_of(key)
        self._choice_of = choice_of
        profile_of = profiles.of if key == OWN else no_profile_of
        self.roster = Roster(
            key, versions, choice_of, profile_of=profile_of, gathers=is_lobby(key)
        )
        # What other nodes say, by their names.
        self.views: Mapping[str, dict[str, Entry]] = _NO_VIEWS
        self._observers = 0
        # Most rooms of a node may have people of other nodes only, or none.
        self._part: OwnPart | None = None
        self._ordered: Ordered | None = None
        self._node = node
        self._lobby = lobby
        self._cursors = cursors

    @property
    def members(self) -> Members:
        """The sessions by which this node has people here."""
        if self._part is None:
            self._part = OwnPart()
        return self._part.members

    @property
    def own(self) -> Collection[str]:
        """The users whom this node itself has here: of them it knows, whatever others say."""
        return () if self._part is None else self._part.members.users

    def choice_of(self, user: str) -> Choice | None:
        """What holds of what a user has chosen."""
        return self._choice_of(user)

    @property
    def ordered(self) -> Ordered:
        """Who is here, in the order of names; kept from the first time that somebody asks."""
        if self._ordered is None:
            self._ordered = Ordered(self.roster, folded if self.key == OWN else str)
        return self._ordered

    @property
    def is_idle(self) -> bool:
        return not (self._observers or self.has_unsaid) and self.roster.is_empty

    @property
    def has_unsaid(self) -> bool:
        return self._part is not None and self._part.has_unsaid

    def watch(self) -> None:
        """One more is told of it."""
        self._observers += 1

    def unwatch(self) -> None:
        self._observers -= 1

    def cursor(self, version: int) -> str:
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
        return None if self._part is None else self._part.said(tag)

    def own_words(self, user: str, status: Status, since: int, came: int) -> tuple[int, int]:
        """What this node says of a user who is so, if that is what another clock means by the
        seconds."""
        if self._part is None:
            return since, came
        return self._part.own_words(user, status, since, came)

    def say(self, tag: str, user: str, since: int) -> bool:
        """Say how a session of this node is now, which changed at `since`; False if as before."""
        assert self._part is not None
        is_news, entry = self._part.say(tag, self.roster.here.get(user), since)
        if is_news:
            source = Source(self._node, self.key, tag)
            if entry is None:
                self.drop(source, user, since)
                self.follow(user)
            else:
                self.put(source, entry)
        return is_news

    def follow(self, user: str) -> None:
        """Name the same seconds as the roster does, and so as other nodes."""
        person = self.roster.here.get(user)
        if person is None or self._part is None:
            return
        for tag, entry in self._part.follow(user, person):
            self.put(Source(self._node, self.key, tag), entry)

    def recede(self, unix: int) -> None:
        """What is to come after a second is in it: the clock was wrong."""
        self.roster.recede(unix)
        if self._part is not None:
            self._part.recede(unix)

    def take_followed(self) -> set[tuple[str, str]]:
        """The sessions of which this node says something else than before, by room and session."""
        followed = () if self._part is None else self._part.take_followed()
        return {(self.key, session) for session in followed}

    def show(self, source: Source, entry: Entry) -> None:
        """Another node says how a session is."""
        view = self.views.get(source.node)
        if view and source.tag in view and self.roster.holds(source, entry):
            # So it is with most when a node tells all that it knows.
            return
        if view is None:
            view = {}
            self.views = {**self.views, source.node: view}
        view[source.tag] = entry
        self.put(source, entry)
        self.take_over_about(source.tag, entry)
        self.follow(entry.user)

    def hide(self, source: Source, since: int) -> None:
        """Another node no longer has a session."""
        view = self.views[source.node]
        entry = view.pop(source.tag)
        if not view:
            self.views = {node: other for node, other in self.views.items() if other}
        self.drop(source, entry.user, since)
        self.follow(entry.user)

    def put(self, source: Source, entry: Entry) -> None:
        """Show what a node says of a session, here and in the lobby."""
        self.roster.place(source, entry)
        if self._lobby is not None:
            self._lobby.roster.place(source, entry)

    def take_over_about(self, tag: str, entry: Entry) -> None:
        if self._part is not None:
            for own, said in self._part.take_over_about(tag, entry):
                self.put(Source(self._node, self.key, own), said)

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
        for tag, said in () if self._part is None else self._part.take_unsaid(now):
            yield self.key, tag, said

    def all_said(self) -> Iterator[tuple[str, str, Entry]]:
        """By room and tag, all that this node says."""
        for tag, entry in () if self._part is None else self._part.all_said():
            yield self.key, tag, entry
