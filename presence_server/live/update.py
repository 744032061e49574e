"""What one flush, or one turn of the heartbeat, says in a room: what is equal is made once."""

from collections.abc import Callable, Sequence

from presence_server.live.audience import Audience, Changes
from presence_server.live.observer import Observer
from presence_server.live.wire import Message
from presence_server.presence.moment import Moment


class Forgotten(Exception):
    """The roster no longer knows all that changed, and the dialect cannot begin anew."""


class Update:
    def __init__(
        self, audience: Audience, *, degraded: bool, heartbeat: float, now: Moment
    ) -> None:
        self.audience = audience
        self._room = audience.room
        self._degraded = degraded
        self._heartbeat = heartbeat
        self._now = now
        # Frames, and the version that is told with them.
        self._made: dict[tuple[object, ...], tuple[bytes, int]] = {}

    def missing(self, observer: Observer) -> bytes:
        """What brings an observer up to date, which it is from now on.

        Its version may then be newer than that of others of the same flush: people go on coming and
        going while a flush leaves turns to others.
        """
        if observer.view is not None:
            data = self._missing_of_some(observer)
        elif observer.version != self._room.roster.version or not observer.greeted:
            key = (observer.dialect, observer.wire.frame, observer.version)
            made = self._made.get(key)
            if made is None:
                made = self._made[key] = self._make(observer)
            data, observer.version = made
        else:
            data = b""
        observer.greeted = True
        if observer.degraded != self._degraded:
            observer.degraded = self._degraded
            data += self._silence(observer)
        return data

    def alive(self, observer: Observer) -> bytes:
        """That nothing happened; the observer has had a first message."""
        version = self.audience.version_of(observer)
        assert version is not None
        return self._shared(
            observer, "alive", version, lambda: observer.dialect.alive(self._cursor(version))
        )

    def count(self, observer: Observer) -> bytes:
        """How many are here."""
        counts = self._room.roster.counts
        return self._shared(observer, "count", 0, lambda: observer.dialect.count(counts))

    def _make(self, observer: Observer) -> tuple[bytes, int]:
        roster, version, dialect = self._room.roster, observer.version, observer.dialect
        cursor = self._cursor(roster.version)
        changes = None if version is None else roster.changes_since(version)
        if version is not None and changes is not None:
            said = dialect.changes(cursor, version, changes)
        elif version is None or dialect.resumes:
            said = dialect.snapshot(cursor, self._heartbeat, roster.here)
        else:
            raise Forgotten
        return _framed(said, observer), roster.version

    def _missing_of_some(self, observer: Observer) -> bytes:
        changes, newest = self._news(observer)
        if changes is not None and not changes and observer.greeted:
            self.audience.brought_to(observer, newest)
            return b""
        concerned: object = observer.view
        if changes is not None:
            concerned = tuple(user for user, _ in changes)
        key = (observer.dialect, observer.wire.frame, observer.version, concerned)
        if key not in self._made:
            self._made[key] = self._make_of_some(observer, changes, newest), newest
        data, told = self._made[key]
        if changes is None or not observer.greeted:
            data += self.count(observer)
        self.audience.brought_to(observer, told)
        return data

    def _news(self, observer: Observer) -> tuple[Changes | None, int]:
        """What changed of those whom it watches, and until which version; None: a snapshot.

        Costs as much as there are changes, or as many as it watches: the fewer.
        """
        roster, view, version = self._room.roster, observer.view, observer.version
        assert view is not None
        if version is None:
            return None, roster.version
        latest = self.audience.latest
        if latest and version == latest.since and len(latest.changes) <= len(view):
            return [change for change in latest.changes if change[0] in view], latest.until
        return roster.changes_of(view, version), roster.version

    def _make_of_some(self, observer: Observer, changes: Changes | None, newest: int) -> bytes:
        roster, dialect, cursor = self._room.roster, observer.dialect, self._cursor(newest)
        if changes is not None and observer.version is not None:
            return _framed(dialect.changes(cursor, observer.version, changes), observer)
        here = {user: roster.here[user] for user in observer.view or () if user in roster.here}
        return _framed(dialect.snapshot(cursor, self._heartbeat, here), observer)

    def _silence(self, observer: Observer) -> bytes:
        view, own = observer.view, self._room.own
        if view is not None:
            own = [user for user in view if user in own]
        return self._shared(
            observer, "silence", view, lambda: observer.dialect.degraded(self._degraded, own)
        )

    def _shared(
        self, observer: Observer, what: str, of: object, say: Callable[[], Sequence[Message]]
    ) -> bytes:
        key = (what, observer.dialect, observer.wire.frame, of)
        if key not in self._made:
            self._made[key] = _framed(say(), observer), 0
        return self._made[key][0]

    def _cursor(self, version: int) -> str:
        return self._room.cursor(version, self._now)


def _framed(said: Sequence[Message], observer: Observer) -> bytes:
    return b"".join(map(observer.wire.frame, said))
