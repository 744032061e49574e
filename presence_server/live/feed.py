"""Telling whoever has no line: as an observer, what changed since the version that it has."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from presence_server.presence.names import app_of
from presence_server.presence.rooms import Rooms
from presence_server.presence.roster import Roster
from presence_server.presence.states import Person

# So many rooms that are closed may be remembered beside as many as are open.
_SPARE = 100


class News(NamedTuple):
    """Of one room: who changed, or None when all have to be looked at."""

    room: str
    roster: Roster
    changed: Mapping[str, Person] | None


class Feed:
    """Of the rooms of one app; 0: of the own accounts. `wake` is set when something happens."""

    def __init__(self, app: int, rooms: Rooms, wake: asyncio.Event) -> None:
        self.app = app
        self._rooms = rooms
        self._versions: dict[str, int] = {}
        # In the order in which something happened there.
        self._due: dict[str, None] = {}
        self._wake = wake

    def changed(self, room: str) -> None:
        """Something happened in a room, by its key."""
        self._due[room] = None
        self._wake.set()

    def look_at_all(self, rooms: Iterable[str] = ()) -> None:
        """Begin anew: with all people of all rooms, and of these."""
        self._versions.clear()
        for room in (*rooms, *(room.key for room in self._rooms if room.app == self.app)):
            self.changed(room)

    def look_again(self, room: str) -> None:
        """Begin anew with all people of a room."""
        self._versions.pop(room, None)
        self.changed(room)

    async def wait(self) -> None:
        """Until something has happened."""
        await self._wake.wait()

    def take(self) -> Iterator[News]:
        """What happened since it was taken last."""
        due, self._due = self._due, {}
        self._wake.clear()
        self._forget_closed()
        for key in due:
            room = self._rooms.get(key)
            if room is None:
                self._versions.pop(key, None)
                yield News(key, Roster(), None)
                continue
            version = self._versions.get(key)
            # Also those of whom an observer would be told nothing new: the name may be somebody
            # else's by now.
            changed = None if version is None else room.roster.changed_since(version)
            self._versions[key] = room.roster.version
            yield News(key, room.roster, changed)

    def _forget_closed(self) -> None:
        """Rooms close without a word when nobody has been there for a while."""
        if len(self._versions) > 2 * len(self._rooms) + _SPARE:
            known = self._versions.items()
            self._versions = {key: at for key, at in known if self._rooms.get(key) is not None}


class Feeds:
    """All who are told in this way."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._feeds: dict[int, list[Feed]] = {}

    def open(self, app: int, wake: asyncio.Event | None = None) -> Feed:
        """A feed that begins with nothing; several may share what wakes their reader."""
        feed = Feed(app, self._rooms, wake or asyncio.Event())
        self._feeds.setdefault(app, []).append(feed)
        return feed

    def close(self, feed: Feed) -> None:
        self._feeds[feed.app].remove(feed)
        if not self._feeds[feed.app]:
            del self._feeds[feed.app]

    def changed(self, rooms: Iterable[str]) -> None:
        if not self._feeds:
            return
        for key in rooms:
            for feed in self._feeds.get(app_of(key), ()):
                feed.changed(key)
