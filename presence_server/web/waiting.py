"""Connections that keep the server waiting: for a request, for the rest of one, for the next one.

One address can keep only so many of them. Who waited longest goes when another one comes: the
newcomer may be somebody else behind the same address, and slow ones have had their time. When all
together leave no room for more, one of the address that has most of them goes.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol, TypeAlias

from presence_server.addresses import networks
from presence_server.config import Config
from presence_server.web.proxies import is_trusted

# Seconds within which nobody is slow: what a newcomer sent at once may lie unread till then.
_PATIENCE = 1.0


class Connection(Protocol):
    """An HTTP connection that has not become a socket."""

    @property
    def peer(self) -> str:
        """The address at its other end; empty when it has none."""

    opened_at: float

    def kept_waiting_since(self) -> float | None:
        """None while it is not the peer for whom we wait."""

    def cut(self) -> None: ...


_Waiting: TypeAlias = defaultdict[bytes, dict[Connection, None]]


class Waiting:
    """`room` says how many connections there may be in all."""

    def __init__(self, config: Config, room: Callable[[], int]) -> None:
        self._trusted = config.trusted_proxies
        self._most = config.max_sockets_per_address
        self._room = room
        self._all: set[Connection] = set()
        # Of each client, and of each network around it, in the order in which they came.
        self._clients: _Waiting = defaultdict(dict)
        self._networks: _Waiting = defaultdict(dict)

    def enter(self, connection: Connection) -> None:
        # A proxy's connections are many people's; it has limits of its own.
        if not connection.peer or is_trusted(connection.peer, self._trusted):
            return
        self._all.add(connection)
        before = connection.opened_at - _PATIENCE
        for level, network, clients in self._places(connection):
            level[network][connection] = None
            if self._most and len(level[network]) > self._most * clients:
                _cut_slowest(level[network], before)
        if len(self._all) > self._room():
            largest = max(self._clients.values(), key=len)
            if not _cut_slowest(largest, before):
                _cut_newest(largest)

    def leave(self, connection: Connection) -> None:
        """It has become a socket, or is gone; twice is no error."""
        if connection not in self._all:
            return
        self._all.discard(connection)
        for level, network, _ in self._places(connection):
            del level[network][connection]
            if not level[network]:
                del level[network]

    def _places(self, connection: Connection) -> Iterator[tuple[_Waiting, bytes, int]]:
        for number, (network, clients) in enumerate(networks(connection.peer)):
            yield self._networks if number else self._clients, network, clients


def _cut_slowest(connections: Iterable[Connection], before: float) -> bool:
    for connection in connections:
        if connection.opened_at > before:
            return False
        since = connection.kept_waiting_since()
        if since is not None and since <= before:
            connection.cut()
            return True
    return False


def _cut_newest(connections: Mapping[Connection, None]) -> bool:
    for connection in reversed(tuple(connections)):
        if connection.kept_waiting_since() is not None:
            connection.cut()
            return True
    return False
