"""Connections that keep the server waiting: for a request, for the rest of one, for the next one.

One address can keep only so many of them. Who waited longest goes when another one comes: the
newcomer may be somebody else behind the same address, and slow ones have had their time.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Protocol

from presence_server.accounts.throttle import address_block
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


class Waiting:
    def __init__(self, config: Config) -> None:
        self._trusted = config.trusted_proxies
        self._most = config.max_sockets_per_address
        # In the order in which they came.
        self._waiting: defaultdict[bytes, dict[Connection, None]] = defaultdict(dict)

    def enter(self, connection: Connection) -> None:
        # A proxy's connections are many people's; it has limits of its own.
        if not self._most or not connection.peer or is_trusted(connection.peer, self._trusted):
            return
        of_address = self._waiting[address_block(connection.peer)]
        of_address[connection] = None
        if len(of_address) > self._most:
            _cut_slowest(of_address, connection.opened_at - _PATIENCE)

    def leave(self, connection: Connection) -> None:
        """It has become a socket, or is gone; twice is no error."""
        if not connection.peer:
            return
        block = address_block(connection.peer)
        if block in self._waiting:
            self._waiting[block].pop(connection, None)
            if not self._waiting[block]:
                del self._waiting[block]


def _cut_slowest(connections: Iterable[Connection], before: float) -> None:
    for connection in connections:
        if connection.opened_at > before:
            return
        since = connection.kept_waiting_since()
        if since is not None and since <= before:
            connection.cut()
            return
