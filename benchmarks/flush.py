"""What a flush takes of the processor in Python for each line, without what writing takes.

The lines lead nowhere: the kernel counts the time of a thread too coarsely to tell Python's part
of a flush over real sockets from its own.
"""

import asyncio
import time

from presence_server.live.dialects import PRESENCE_V1
from presence_server.live.flushing import Flush
from presence_server.live.hub import Hub
from presence_server.live.observer import Observer
from presence_server.live.wire import WebSocketWire
from presence_server.presence.choices import Choice
from presence_server.presence.entries import Entry, Source
from presence_server.presence.moment import Moment
from presence_server.presence.roster import Roster

_FLUSHES = 100


class Nowhere(asyncio.Transport):
    def write(self, data: bytes | bytearray | memoryview) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False


class _Room:
    key = ""
    own = ()

    def __init__(self) -> None:
        self.roster = Roster()

    def choice_of(self, user: str) -> Choice | None:
        return None

    def cursor(self, version: int) -> str:
        return f"node.{version}"

    def resume(self, cursor: str, now: Moment) -> int | None:
        return None

    def is_of_elsewhere(self, cursor: str) -> bool:
        return False


def flush_cost(lines: int) -> float:
    """Microseconds for each line: the median, of flushes that tell one change."""
    return asyncio.run(_measured(lines))


async def _measured(lines: int) -> float:
    room, hub, node = _Room(), Hub(20.0), Source("node", "", "tag")
    for _ in range(lines):
        wire = WebSocketWire(Nowhere(), hub.heartbeat.turn)
        hub.add(Observer(session="", user="", room=room, dialect=PRESENCE_V1, wire=wire))
    told = asyncio.Event()

    def flushed(flush: Flush) -> None:
        told.set()

    hub.flushing.tell(flushed)
    running = asyncio.create_task(hub.run())
    await told.wait()
    spent = []
    for number in range(_FLUSHES):
        # Until the flushes before have been paid for.
        await asyncio.sleep(0.01)
        told.clear()
        began = time.thread_time()
        room.roster.place(node, Entry(f"user{number}", 1, "online", 1_800_000_000))
        hub.changed([""])
        await told.wait()
        spent.append(time.thread_time() - began)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return 1e6 * sorted(spent)[_FLUSHES // 2] / lines
