"""How many sockets may be open: per user, per address and in this process."""

import logging
import resource
from collections import Counter
from typing import Literal, TypeVar

from presence_server.addresses import networks
from presence_server.logs import Seldom

Refusal = Literal["user", "address", "process"]
_Key = TypeVar("_Key", str, bytes)

# Descriptors kept for everything that is no socket of ours: pages, the database, the relay. Where
# there are few, half of them.
_KEPT = 200
# After so many seconds whoever found no seat may try again.
RETRY_SEAT = 10

log = logging.getLogger(__name__)


class Seats:
    """Counts the sockets that are open or being opened; 0 means no limit."""

    def __init__(self, per_user: int, per_address: int) -> None:
        self._per_user = per_user
        self._per_address = per_address
        self._taken = 0
        self._users: Counter[str] = Counter()
        self._networks: Counter[bytes] = Counter()
        self._full = Seldom(log)

    def refusal(self, username: str, address: str) -> Refusal | None:
        """Why one more socket may not be opened now, if it may not."""
        if self._per_user and self._users[username] >= self._per_user:
            return "user"
        if self._per_address and any(
            self._networks[network] >= self._per_address * clients
            for network, clients in networks(address)
        ):
            return "address"
        if self._taken >= capacity():
            self._full.warning("all %d sockets that this process can hold are open", self._taken)
            return "process"
        return None

    def take(self, username: str, address: str) -> None:
        """Take a seat, from before the upgrade until the socket is gone."""
        self._taken += 1
        self._users[username] += 1
        self._networks.update(network for network, _ in networks(address))

    def give_back(self, username: str, address: str) -> None:
        self._taken -= 1
        _count_down(self._users, username)
        for network, _ in networks(address):
            _count_down(self._networks, network)

    def room(self) -> int:
        """How many connections there may be that are no sockets: as many as sockets leave free,
        and half of what is kept at least."""
        return max(_KEPT // 2, capacity() - self._taken)


def capacity() -> int:
    """So many sockets fit into this process, by the limit of its descriptors."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft - min(_KEPT, soft // 2)


def _count_down(counter: Counter[_Key], key: _Key) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
