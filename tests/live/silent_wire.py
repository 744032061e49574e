"""A wire without a line, which keeps what is written to it."""

from presence_server.live.dialects import PRESENCE_V1
from presence_server.live.farewells import Farewell
from presence_server.live.heartbeat import Heartbeat
from presence_server.live.observer import Observer
from presence_server.live.service import PresenceService
from presence_server.live.wire import WebSocketWire


class SilentWire:
    """Frames as a WebSocket does. A test says how much waits to be read, and whether it answers."""

    frame = staticmethod(WebSocketWire.frame)

    def __init__(self) -> None:
        self.sent = 0
        self.written: list[bytes] = []
        self.unread = 0
        self.answers = True
        self.closed_with: list[Farewell] = []
        self.aborted = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def waiting(self) -> int:
        return self.unread

    def keep_alive(self, heartbeat: Heartbeat) -> bool:
        return self.answers

    def excuse(self, heartbeat: Heartbeat) -> None: ...

    def close(self, farewell: Farewell, bye: bytes, retry_after: float | None) -> None:
        self.written.append(bye)
        self.closed_with.append(farewell)

    def abort(self) -> None:
        self.aborted = True


def silent_observer(presence: PresenceService, session: str, user: str) -> Observer:
    """Somebody who may be connected to the list, and is heard of by nobody."""
    return Observer(
        session=session, user=user, room=presence.room, dialect=PRESENCE_V1, wire=SilentWire()
    )
