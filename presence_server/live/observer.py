"""An open line that is told of a room."""

from collections.abc import Collection
from typing import Protocol

from presence_server.live.dialects import Dialect
from presence_server.live.wire import Wire
from presence_server.presence.choices import Choice
from presence_server.presence.moment import Moment
from presence_server.presence.roster import Roster


class Room(Protocol):
    """What observers need of a room."""

    @property
    def key(self) -> str: ...

    @property
    def roster(self) -> Roster: ...

    @property
    def own(self) -> Collection[str]:
        """The users whom this node itself has here."""

    def choice_of(self, user: str) -> Choice | None:
        """What holds of what a user has chosen."""

    def cursor(self, version: int) -> str: ...

    def resume(self, cursor: str, now: Moment) -> int | None:
        """The version from which to bring an observer up to date; None: it needs a snapshot."""

    def is_of_elsewhere(self, cursor: str) -> bool:
        """Whether an observer was told what it knows by another node."""


class Observer:
    """Who is at the other end, what they are told of, how, and how far they have come."""

    __slots__ = (
        "session",
        "user",
        "room",
        "view",
        "dialect",
        "wire",
        "connection",
        "version",
        "resumed",
        "elsewhere",
        "greeted",
        "degraded",
        "dismissed",
    )

    def __init__(
        self,
        *,
        session: str,
        user: str,
        room: Room,
        dialect: Dialect,
        wire: Wire,
        view: frozenset[str] | None = None,
    ) -> None:
        self.session = session
        self.user = user
        self.room = room
        # Of whom it is told; None: of everybody.
        self.view = view
        self.dialect = dialect
        self.wire = wire
        # Its number among the connections of this node; 0 while it is none.
        self.connection = 0
        # None until the peer has had a first message, unless it came with a cursor. Of one that has
        # a view its audience knows better.
        self.version: int | None = None
        # Whether it was told by an earlier line, perhaps of another node, what was so until then.
        self.resumed = self.elsewhere = False
        self.greeted = False
        self.degraded = False
        # Once it has been sent a close, nothing else may follow.
        self.dismissed = False

    def connect(self, number: int) -> None:
        """It is one of this node's connections from now on; 0: none any more."""
        self.connection = number

    def enter(self, room: Room) -> None:
        """It is told of this room from now on."""
        self.room = room

    def resume(self, cursor: str, now: Moment) -> None:
        """Go on from what it was told last, here or at another node."""
        self.version = self.room.resume(cursor, now)
        self.resumed = True
        self.elsewhere = self.room.is_of_elsewhere(cursor)
