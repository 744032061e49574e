"""Lines that are none: wires that keep what is written to them, and a room for a test to fill."""

import asyncio
import json
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

from presence_server.live.dialects import PRESENCE_V1, Dialect
from presence_server.live.farewells import Farewell
from presence_server.live.heartbeat import Heartbeat
from presence_server.live.flushing import Flush
from presence_server.live.hub import Hub
from presence_server.live.observer import Observer
from presence_server.live.service import PresenceService
from presence_server.live.wire import MOST_WAITING, WebSocketWire
from presence_server.presence.choices import Choice
from presence_server.presence.entries import Entry, Source
from presence_server.presence.moment import Moment
from presence_server.presence.roster import Roster
from presence_server.presence.states import Status

NOW = 1_800_000_000


class SilentWire:
    """Frames as a WebSocket does. A test says how much waits to be read, and whether it answers."""

    frame = staticmethod(WebSocketWire.frame)

    def __init__(self) -> None:
        self.sent = 0
        self.written: list[bytes] = []
        self.unread = 0
        self.answers = True
        self.kept_alive = 0
        self.closed_with: list[Farewell] = []
        self.aborted = False

    def write(self, data: bytes, turn: int) -> None:
        if not self.closed_with:
            self.written.append(data)

    def offer(self, data: bytes, turn: int) -> bool:
        if self.waiting() > MOST_WAITING:
            return False
        self.write(data, turn)
        return True

    def waiting(self) -> int:
        return self.unread

    def keep_alive(self, heartbeat: Heartbeat) -> bool:
        self.kept_alive += 1
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


class SmallRoom:
    """A room in which a test says who is here."""

    def __init__(self, key: str = "") -> None:
        self.key = key
        self.roster = Roster()
        self.own: Collection[str] = ()
        self.choices: dict[str, Choice] = {}

    def choice_of(self, user: str) -> Choice | None:
        return self.choices.get(user)

    def cursor(self, version: int) -> str:
        return f"{self.key}.{version}"

    def resume(self, cursor: str, now: Moment) -> int | None:
        assert isinstance(now, Moment)
        version = int(cursor.rpartition(".")[2])
        return version if self.roster.remembers(version) else None

    def is_of_elsewhere(self, cursor: str) -> bool:
        return cursor.startswith("elsewhere")

    def place(self, user: str, status: Status = "online") -> None:
        self.roster.place(Source("node", "", user), Entry(user, 0, status, NOW))


class Told(SilentWire):
    """Knows who is told, and counts how often it is looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.looked_at = 0

    def waiting(self) -> int:
        self.looked_at += 1
        return super().waiting()

    def types(self) -> list[str]:
        return [message["type"] for message in self.messages()]

    def messages(self) -> list[dict[str, Any]]:
        messages, data = [], b"".join(self.written)
        while data:
            start, size = (2, data[1]) if data[1] < 126 else (4, int.from_bytes(data[2:4], "big"))
            messages.append(json.loads(data[start : start + size]))
            data = data[start + size :]
        return messages


def observer(
    room: SmallRoom,
    *,
    session: str = "session",
    dialect: Dialect = PRESENCE_V1,
    view: frozenset[str] | None = None,
) -> tuple[Observer, Told]:
    wire = Told()
    made = Observer(
        session=session, user="alice", room=room, dialect=dialect, wire=wire, view=view
    )
    return made, wire


@asynccontextmanager
async def running(what: Hub | PresenceService) -> AsyncIterator[None]:
    task = asyncio.create_task(what.run())
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def flushed(hub: Hub) -> Flush:
    """The next flush that writes something, from its end."""
    done: asyncio.Future[Flush] = asyncio.get_running_loop().create_future()
    hub.flushing.tell(done.set_result)
    async with asyncio.timeout(15):
        flush = await done
    hub.flushing.tell(lambda flush: None)
    return flush
