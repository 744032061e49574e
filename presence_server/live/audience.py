"""The observers of one room, and what a flush tells them: what is equal is made once."""

from collections.abc import Callable, Sequence

from presence_server.live.dialects import Dialect
from presence_server.live.observer import Observer, Room
from presence_server.live.wire import Message
from presence_server.presence.moment import Moment


class Forgotten(Exception):
    """The roster no longer knows all that changed, and the dialect cannot begin anew."""


class Audience:
    def __init__(self, room: Room) -> None:
        self.room = room
        self._observers: dict[Observer, None] = {}
        # Those to whom something is to be said even if nothing changes.
        self._behind: dict[Observer, None] = {}
        self._told = (room.roster.version, False)

    def __len__(self) -> int:
        return len(self._observers)

    def __contains__(self, observer: Observer) -> bool:
        return observer in self._observers

    def everybody(self) -> Sequence[Observer]:
        return tuple(self._observers)

    def add(self, observer: Observer) -> None:
        self._observers[observer] = None
        self._behind[observer] = None

    def remove(self, observer: Observer) -> None:
        del self._observers[observer]
        self._behind.pop(observer, None)

    def catch_up(self, observer: Observer) -> None:
        """It has been passed over, and is to be told what it missed."""
        self._behind[observer] = None

    def take_due(self, degraded: bool) -> Sequence[Observer]:
        """Those to whom something is to be said now."""
        news = (self.room.roster.version, degraded)
        due = self._behind if news == self._told else self._observers
        self._told, self._behind = news, {}
        return tuple(due)


class Update:
    """What one flush says in one room, or one turn of the heartbeat."""

    def __init__(self, room: Room, *, degraded: bool, heartbeat: float, now: Moment) -> None:
        self._room = room
        self._degraded = degraded
        self._heartbeat = heartbeat
        self._now = now
        self._made: dict[tuple[object, ...], tuple[bytes, int]] = {}

    def missing(self, observer: Observer) -> bytes:
        """What brings an observer up to date, which it is from now on.

        Its version may then be newer than that of others of the same flush: people go on coming and
        going while a flush leaves turns to others.
        """
        data = b""
        if observer.version != self._room.roster.version or not observer.greeted:
            key = (observer.dialect, observer.wire.frame, observer.version)
            made = self._made.get(key)
            if made is None:
                made = self._made[key] = self._make(*key)
            data, observer.version = made
            observer.greeted = True
        if observer.degraded != self._degraded:
            observer.degraded = self._degraded
            data += self._silence(observer)
        return data

    def alive(self, observer: Observer) -> bytes:
        """That nothing happened; the observer has a version."""
        version = observer.version
        assert version is not None
        key = ("alive", observer.dialect, observer.wire.frame, version)
        if key not in self._made:
            said = observer.dialect.alive(self._cursor(version))
            self._made[key] = _framed(said, observer.wire.frame), version
        return self._made[key][0]

    def _make(
        self, dialect: Dialect, frame: Callable[[Message], bytes], version: int | None
    ) -> tuple[bytes, int]:
        roster = self._room.roster
        cursor = self._cursor(roster.version)
        changes = None if version is None else roster.changes_since(version)
        if version is not None and changes is not None:
            said = dialect.changes(cursor, version, changes)
        elif version is None or dialect.resumes:
            said = dialect.snapshot(cursor, self._heartbeat, roster.here)
        else:
            raise Forgotten
        return _framed(said, frame), roster.version

    def _silence(self, observer: Observer) -> bytes:
        key = ("silence", observer.dialect, observer.wire.frame)
        if key not in self._made:
            said = observer.dialect.degraded(self._degraded, self._room.own)
            self._made[key] = _framed(said, observer.wire.frame), 0
        return self._made[key][0]

    def _cursor(self, version: int) -> str:
        return self._room.cursor(version, self._now)


def _framed(said: Sequence[Message], frame: Callable[[Message], bytes]) -> bytes:
    return b"".join(map(frame, said))
