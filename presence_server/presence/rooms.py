"""All rooms of a node: there while somebody is in them or looks."""

from collections.abc import Iterator
from itertools import islice

from sortedcontainers import SortedList

from presence_server.presence.choices import Choices
from presence_server.presence.cursors import Cursors
from presence_server.presence.deadlines import Deadlines
from presence_server.presence.entries import Entry, Source
from presence_server.presence.moment import Moment
from presence_server.presence.names import LOBBY, app_of, key_of, lobby_of
from presence_server.presence.people import Versions
from presence_server.presence.profiles import Profiles
from presence_server.presence.records import OWN
from presence_server.presence.room import Room

# Seconds after which a node has said what follows from what others know as well.
_SAID_WITHIN = 3.0
# So many people go back to their own second in one tick: thousands at once would hold it up.
_BACK_AT_ONCE = 500
# Seconds for which it is known who has left a room in which nobody is.
_REMEMBERED_FOR = 60.0


class Rooms:
    def __init__(
        self,
        node: str,
        versions: Versions,
        cursors: Cursors,
        choices: Choices,
        profiles: Profiles,
    ) -> None:
        self._node = node
        self._versions = versions
        self._cursors = cursors
        self._choices = choices
        self._profiles = profiles
        self._rooms: dict[str, Room] = {}
        self._keys: SortedList = SortedList()
        # Rooms that have something to say, and those that may have become idle.
        self._unsaid: set[str] = set()
        self._perhaps_idle: set[str] = set()
        self._followed: set[tuple[str, str]] = set()
        # Who may be so since an earlier second, by room and user; and when that is looked at.
        self._ahead: set[tuple[str, str]] = set()
        self._going_back: Deadlines[tuple[str, str]] = Deadlines()
        self._closing: Deadlines[str] = Deadlines()
        self.own = self.open(OWN)

    def __iter__(self) -> Iterator[Room]:
        return iter(list(self._rooms.values()))

    def __len__(self) -> int:
        return len(self._rooms)

    def get(self, key: str) -> Room | None:
        return self._rooms.get(key)

    def beginning(self, prefix: str, after: str = "") -> Iterator[Room]:
        """Those whose keys begin so, in their order, behind a key; at the cost of how many are
        taken."""
        start = max(prefix, after)
        for key in self._keys.irange(start, inclusive=(start != after, True)):
            if not key.startswith(prefix):
                return
            yield self._rooms[key]

    def open(self, key: str) -> Room:
        """The room, which is there from now on until it is idle."""
        room = self._rooms.get(key)
        if room is None:
            name = lobby_of(key)
            lobby = None if name is None else self.open(name)
            if lobby is not None:
                # It stays for as long as there is a room whose people it shows.
                lobby.watch()
            room = self._rooms[key] = Room(
                key,
                self._node,
                self._versions,
                self._cursors,
                self._choices.reader(app_of(key)),
                self._profiles,
                lobby,
            )
            self._keys.add(key)
            self._perhaps_idle.add(key)
        return room

    def touch(self, room: Room) -> None:
        """Something was done in a room."""
        if room.has_unsaid:
            self._unsaid.add(room.key)
        self._perhaps_idle.add(room.key)
        self._followed |= room.take_followed()
        if room.roster.ahead:
            self._ahead.update((room.key, user) for user in room.roster.take_ahead())

    def take_followed(self) -> set[tuple[str, str]]:
        """The sessions of which this node says something else than it did, by room and session."""
        followed, self._followed = self._followed, set()
        return followed

    def go_back(self, now: Moment) -> None:
        """Let people be so since when their own nodes say, as soon as these must have said it.
        Nodes that came to know of it at other times then name the same second."""
        # First: who has just changed is yet to be told so, and does not go back in the same turn.
        ahead, self._ahead = self._ahead, set()
        for key in ahead:
            self._going_back.put(key, now.elapsed + _SAID_WITHIN)
        for key in list(islice(self._going_back.take(now.elapsed), _BACK_AT_ONCE)):
            room = self._rooms.get(key[0])
            if room is not None:
                room.roster.go_back(key[1])

    def take_unsaid(self) -> list[Room]:
        unsaid, self._unsaid = self._unsaid, set()
        return [self._rooms[key] for key in unsaid if key in self._rooms]

    @property
    def has_unsaid(self) -> bool:
        return bool(self._unsaid)

    def close_idle(self, now: Moment) -> None:
        """Let rooms go in which nobody is, and at which nobody looks; those that remember who was
        there only after a while."""
        perhaps, self._perhaps_idle = self._perhaps_idle, set()
        for key in perhaps:
            room = self._rooms.get(key)
            if room is None or key == OWN or not room.is_idle:
                continue
            if room.roster.remembers_nobody:
                self._close(room)
            else:
                self._closing.put(key, now.elapsed + _REMEMBERED_FOR)
        for key in list(self._closing.take(now.elapsed)):
            room = self._rooms.get(key)
            if room is not None and room.is_idle:
                self._close(room)

    def _close(self, room: Room) -> None:
        del self._rooms[room.key]
        self._keys.remove(room.key)
        lobby = lobby_of(room.key)
        if lobby is not None:
            self._rooms[lobby].unwatch()
            self._perhaps_idle.add(lobby)

    def of_user(self, app: int, user: str) -> list[Room]:
        """The rooms in which some node has a user."""
        if app == 0:
            return [self.own]
        lobby = self._rooms.get(key_of(app, LOBBY))
        if lobby is None:
            return []
        keys = {source.room for source in lobby.roster.entries(user)} | {lobby.key}
        return [room for key in keys if (room := self._rooms.get(key)) is not None]

    # What other nodes say

    def place(self, source: Source, entry: Entry) -> None:
        room = self.open(source.room)
        room.show(source, entry)
        self.touch(room)

    def drop(self, source: Source, since: int) -> None:
        room = self._rooms[source.room]
        room.hide(source, since)
        self.touch(room)

    def shows_some_of(self, node: str) -> bool:
        """Whether anybody is shown by what another node says."""
        return any(node in room.views for room in self._rooms.values())

    def view(self, node: str) -> Iterator[tuple[Source, Entry]]:
        """All that is shown of another node's people."""
        for room in self:
            for tag, entry in list(room.views.get(node, {}).items()):
                yield Source(node, room.key, tag), entry

    def with_tag(self, key: str, tag: str) -> list[Source]:
        """Who says anything of a session."""
        room = self._rooms.get(key)
        views = {} if room is None else room.views
        return [Source(node, key, tag) for node, view in views.items() if tag in view]
