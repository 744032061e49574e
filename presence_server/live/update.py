"""What one flush, or one turn of the heartbeat, says in a room: what is equal is made once."""

from collections.abc import Callable, Collection, Mapping, Sequence

from presence_server.live.audience import Audience, Changes, Kind
from presence_server.live.dialects import Dialect
from presence_server.live.observer import Observer
from presence_server.live.wire import Message


class Forgotten(Exception):
    """The roster no longer knows all that changed, and the dialect cannot begin anew."""


class Update:
    def __init__(self, audience: Audience, *, degraded: bool, heartbeat: float) -> None:
        self.audience = audience
        self._room = audience.room
        self._degraded = degraded
        self._heartbeat = heartbeat
        # Frames, and the version that is told with them.
        self._made: dict[tuple[object, ...], tuple[bytes, int]] = {}

    def same(self, kind: Kind) -> bytes:
        """What those miss who knew what the flush before said; raises Forgotten."""
        dialect, frame = kind
        before, told = self.audience.before, self.audience.told
        said: list[Message] = []
        if before.version != told.version:
            changes = self.audience.changes
            if changes is None and not dialect.resumes:
                raise Forgotten
            if changes is None:
                said += self._snapshot(dialect)
            elif changes:
                said += dialect.changes(self._cursor(told.version), before.version, changes)
        if before.degraded != told.degraded:
            said += dialect.degraded(told.degraded, self._own())
        return b"".join(map(frame, said))

    def prepare(self, observer: Observer) -> None:
        """Make what it misses, if it is told of everybody, before people go on coming and going:
        else a crowd that comes in would miss something of its own again and again."""
        if observer.view is None:
            self._made_for(observer)

    def missing(self, observer: Observer) -> bytes:
        """What brings an observer up to date that misses something of its own.

        It may then know more than others of the same flush: people go on coming and going while a
        flush leaves turns to others.
        """
        data = self._missing(observer)
        if not observer.greeted:
            observer.greeted = True
            data += self._choice(observer)
        if observer.degraded != self._degraded:
            observer.degraded = self._degraded
            data += self._silence(observer)
        version = observer.version
        assert version is not None
        self.audience.brought_to(observer, version)
        return data

    def alive(self, observer: Observer) -> bytes:
        """That nothing happened; nothing is said to one that waits for a snapshot."""
        version = self.audience.version_of(observer)
        if version is None:
            return b""
        return self._shared(
            observer, "alive", version, lambda: observer.dialect.alive(self._cursor(version))
        )

    def count(self, observer: Observer, counts: Mapping[str, int]) -> bytes:
        """How many are here."""
        key = tuple(counts.items())
        return self._shared(observer, "count", key, lambda: observer.dialect.count(counts))

    def _missing(self, observer: Observer) -> bytes:
        if observer.view is not None:
            return self._missing_of_some(observer)
        data, observer.version = self._made_for(observer)
        return data

    def _made_for(self, observer: Observer) -> tuple[bytes, int]:
        greeted = observer.greeted
        came = observer.resumed, observer.elsewhere
        key = (observer.dialect, observer.wire.frame, observer.version, came, greeted)
        if key not in self._made:
            changes, newest = self._news(observer)
            is_nothing = changes is not None and not changes and greeted
            said = b"" if is_nothing else self._make(observer, changes, newest)
            self._made[key] = said, newest
        return self._made[key]

    def _missing_of_some(self, observer: Observer) -> bytes:
        version, view = observer.version, observer.view
        changes, newest = self._news(observer)
        if changes is not None and not changes and observer.greeted:
            observer.version = newest
            return b""
        concerned: object = view
        if changes is not None:
            concerned = tuple(user for user, _ in changes)
        came = observer.resumed, observer.elsewhere
        key = (observer.dialect, observer.wire.frame, version, came, concerned)
        if key not in self._made:
            self._made[key] = self._make(observer, changes, newest), newest
        data, observer.version = self._made[key]
        if changes is None or not observer.greeted:
            data += self.count(observer, self.audience.count_to_one())
        return data

    def _news(self, observer: Observer) -> tuple[Changes | None, int]:
        """What changed that concerns it, and until which version; None: a snapshot.

        That is the version that all know after this flush, unless it is told of more: people go on
        coming and going while a flush leaves turns to others.
        """
        version, newest = observer.version, self._room.roster.version
        if version is None:
            return None, newest
        told, changes = self.audience.told.version, self._changes(observer, version)
        if changes is None or version > told or any(each.version > told for _, each in changes):
            return changes, newest
        return changes, told

    def _changes(self, observer: Observer, version: int) -> Changes | None:
        """Of some it costs as much as there are changes, or as many as it watches: the fewer."""
        roster, view = self._room.roster, observer.view
        resumed, elsewhere = observer.resumed, observer.elsewhere
        if view is None:
            return roster.changes_since(version, resumed=resumed, elsewhere=elsewhere)
        if version == self.audience.before.version and not resumed:
            changes = self.audience.changes
            if changes is not None and len(changes) <= len(view):
                return [change for change in changes if change[0] in view]
        return roster.changes_of(view, version, resumed=resumed, elsewhere=elsewhere)

    def _make(self, observer: Observer, changes: Changes | None, newest: int) -> bytes:
        dialect, version = observer.dialect, observer.version
        if changes is not None and version is not None:
            said = dialect.changes(self._cursor(newest), version, changes)
        elif version is None or dialect.resumes:
            said = self._snapshot(dialect, observer.view)
        else:
            raise Forgotten
        return b"".join(map(observer.wire.frame, said))

    def _snapshot(
        self, dialect: Dialect, view: frozenset[str] | None = None
    ) -> Sequence[Message]:
        roster = self._room.roster
        here = roster.here
        if view is not None:
            here = {user: here[user] for user in view if user in here}
        return dialect.snapshot(self._cursor(roster.version), self._heartbeat, here)

    def _choice(self, observer: Observer) -> bytes:
        """Who has just been let in and has chosen nothing need not be told so."""
        choice = self._room.choice_of(observer.user)
        if choice is None:
            return b""
        return b"".join(map(observer.wire.frame, observer.dialect.choice(choice)))

    def _silence(self, observer: Observer) -> bytes:
        view = observer.view
        return self._shared(
            observer,
            "silence",
            view,
            lambda: observer.dialect.degraded(self._degraded, self._own(view)),
        )

    def _own(self, view: frozenset[str] | None = None) -> Collection[str]:
        """Who is here by way of this node, as far as others may know."""
        own, here = self._room.own, self._room.roster.here
        return [user for user in (own if view is None else view) if user in own and user in here]

    def _shared(
        self, observer: Observer, what: str, of: object, say: Callable[[], Sequence[Message]]
    ) -> bytes:
        frame = observer.wire.frame
        key = (what, observer.dialect, frame, of)
        if key not in self._made:
            self._made[key] = b"".join(map(frame, say())), 0
        return self._made[key][0]

    def _cursor(self, version: int) -> str:
        return self._room.cursor(version)
