"""Sockets whose peers do not read as fast as there is news for them."""

from time import monotonic
from typing import NamedTuple

from presence_server.live.sockets import Socket

# A socket with more bytes than this waiting is passed over until it has taken them in.
LAGGING = 64 * 1024
# Seconds without any progress after which a socket is stuck.
_TOO_LONG = 10.0


class _Progress(NamedTuple):
    """Bytes that the kernel had taken for a peer when it last took some, and when that was."""

    taken: int
    at: float


class Lagging:
    def __init__(self) -> None:
        self._sockets: dict[Socket, None] = {}
        # Of every socket for which anything waits.
        self._progress: dict[Socket, _Progress] = {}

    def __len__(self) -> int:
        return len(self._sockets)

    def __contains__(self, socket: Socket) -> bool:
        return socket in self._sockets

    def note(self, socket: Socket) -> bool:
        """Whether a socket lags; it is watched from the first byte on that its peer does not take:
        one that answers every ping and reads nothing would keep it for ever."""
        waiting = socket.transport.get_write_buffer_size()
        if not waiting:
            return False
        self._progress.setdefault(socket, _Progress(socket.written - waiting, monotonic()))
        if waiting <= LAGGING:
            return False
        self._sockets[socket] = None
        return True

    def forget(self, socket: Socket) -> None:
        self._sockets.pop(socket, None)
        self._progress.pop(socket, None)

    def take_caught_up(self) -> list[Socket]:
        """Those that lag no more."""
        caught_up = [
            socket
            for socket in self._sockets
            if socket.transport.get_write_buffer_size() <= LAGGING
        ]
        for socket in caught_up:
            del self._sockets[socket]
        return caught_up

    def stuck(self) -> list[Socket]:
        """Those whose peers have taken in nothing for too long."""
        now = monotonic()
        stuck = []
        for socket, progress in list(self._progress.items()):
            waiting = socket.transport.get_write_buffer_size()
            if not waiting:
                del self._progress[socket]
            elif (taken := socket.written - waiting) > progress.taken:
                self._progress[socket] = _Progress(taken, now)
            elif now - progress.at > _TOO_LONG:
                stuck.append(socket)
        return stuck
