"""What a flush takes of the processor in Python, beside a loop that only writes.

Over real sockets, by the user time of the thread: what the kernel takes is the same for both.
"""

import asyncio
import resource
import socket

from presence_server.live.dialects import PRESENCE_V1
from presence_server.live.hub import Flush, Hub
from presence_server.live.observer import Observer
from presence_server.live.wire import WebSocketWire
from presence_server.presence.moment import Moment
from presence_server.presence.roster import Roster

_FLUSHES = 60


class _Room:
    key = ""
    own = ()

    def __init__(self) -> None:
        self.roster = Roster()

    def cursor(self, version: int, now: Moment) -> str:
        return f"node.{version}"

    def resume(self, cursor: str, now: Moment) -> int | None:
        return None


def flush_cost(sockets: int) -> tuple[float, float]:
    """Microseconds of user time for each socket: of a flush, and of the bare loop."""
    return asyncio.run(_measured(sockets))


async def _measured(count: int) -> tuple[float, float]:
    peers, transports = await _lines(count)
    room, hub = _Room(), Hub(20.0)
    for transport in transports:
        wire = WebSocketWire(transport, hub.heartbeat.turn)
        observer = Observer(session="", user="", room=room, dialect=PRESENCE_V1, wire=wire)
        hub.add(observer)
    written = asyncio.Event()
    sizes: list[int] = []

    def flushed(flush: Flush) -> None:
        sizes.append(flush.size // count)
        written.set()

    hub.observe = flushed
    running = asyncio.create_task(hub.run())
    await written.wait()
    ours = bare = 0.0
    for number in range(_FLUSHES):
        _read(peers)
        written.clear()
        began = _user_time()
        room.roster.place("node", f"user{number}", "online", 1_800_000_000)
        hub.changed([""])
        await written.wait()
        ours += _user_time() - began
        _read(peers)
        frame = bytes(sizes[-1])
        began = _user_time()
        for transport in transports:
            transport.write(frame)
        bare += _user_time() - began
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    for peer, transport in zip(peers, transports, strict=True):
        transport.abort()
        peer.close()
    each = 1e6 / _FLUSHES / count
    return ours * each, bare * each


async def _lines(count: int) -> tuple[list[socket.socket], list[asyncio.Transport]]:
    peers, transports = [], []
    with socket.create_server(("127.0.0.1", 0), backlog=count) as listener:
        for _ in range(count):
            peers.append(socket.create_connection(listener.getsockname()))
            peers[-1].setblocking(False)
            accepted, _address = listener.accept()
            accepted.setblocking(False)
            loop = asyncio.get_running_loop()
            transport, _protocol = await loop.connect_accepted_socket(asyncio.Protocol, accepted)
            assert isinstance(transport, asyncio.Transport)
            transports.append(transport)
    return peers, transports


def _read(peers: list[socket.socket]) -> None:
    for peer in peers:
        try:
            peer.recv(1 << 20)
        except BlockingIOError:
            pass


def _user_time() -> float:
    return resource.getrusage(resource.RUSAGE_THREAD).ru_utime
