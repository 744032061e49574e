"""An open line of an app's user to one room, and what it was opened by."""

import asyncio

from presence_server.apps.permissions import Permission
from presence_server.apps.tokens import Token
from presence_server.live.observer import Observer
from presence_server.presence.names import key_of, session_of


class Line:
    """A line to one room. `name` is how its own client calls it, if it does."""

    __slots__ = ("token", "room", "observer", "name", "connection", "timer")

    def __init__(self, token: Token, room: str, observer: Observer, name: str | None) -> None:
        self.token = token
        self.room = room
        self.observer = observer
        self.name = name
        # Its number among the connections of this node; 0 while its user is not seen by it.
        self.connection = 0
        self.timer: asyncio.TimerHandle | None = None

    @property
    def app(self) -> int:
        return self.token.app

    @property
    def user(self) -> str:
        return self.token.user

    @property
    def key(self) -> str:
        return key_of(self.token.app, self.room)

    @property
    def session(self) -> str:
        return session_of(self.token.app, self.token.user)

    @property
    def permission(self) -> Permission | None:
        return self.token.permissions.of(self.room)
