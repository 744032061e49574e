"""What carries presence between nodes."""

from collections.abc import Callable, Sequence
from typing import Protocol

from presence_server.relay.memory import MemoryRelay
from presence_server.relay.seal import Seal

__all__ = ["Relay", "RelayRefused", "open_relay"]


class RelayRefused(ValueError):
    """The relay cannot work as it is configured. The text is one sentence for the operator."""


class Relay(Protocol):
    """Carries text between nodes: to all of them, or to one.

    It loses messages during an outage and says so; what one node sent it never reorders, and brings
    once, while that node lives.
    """

    @property
    def connected(self) -> bool:
        """Both ways are open, as far as the relay can tell."""

    @property
    def sent(self) -> int: ...

    @property
    def dropped(self) -> int: ...

    @property
    def received(self) -> int: ...

    @property
    def forged(self) -> int:
        """What was received and dropped, because no node of ours had sealed it."""

    @property
    def repeated(self) -> int:
        """What was received and dropped, because it had come before or its sender is gone."""

    @property
    def resubscribed(self) -> int: ...

    async def check(self) -> bool:
        """Before run(): True when there is contact, False (and one line in the log) when there is
        none yet; raises RelayRefused when waiting would not mend it."""

    def send(self, text: str, to: str | None = None) -> None:
        """Queue a message to all nodes, oneself included, or to one. Never waits, never raises;
        when too much is queued, the oldest goes."""

    def resubscribe(self) -> None:
        """The node hears nothing: make new connections."""

    async def run(
        self,
        deliver: Callable[[str], None],
        subscribed: Callable[[], None],
        lost: Callable[[], None],
    ) -> None:
        """The relay's whole life: ends only by cancellation or by an error in a program.

        subscribed() is called for each new subscription and means that messages may have been
        missed before it; lost() when it has ended; deliver() in between.
        """

    async def flush(self, timeout: float) -> None:
        """Wait until all that is queued has left, but no longer than this; while run() runs."""


def open_relay(
    url: str | None, namespace: str, node: str, *, keys: Sequence[bytes]
) -> Relay:
    """Without a URL the relay of a single process. Deployments that share a Redis differ in their
    namespace; nodes that hear each other have the first of each other's keys."""
    if url is None:
        return MemoryRelay(node)
    # Here, because one process alone needs neither: they are a sixth of what it does at its start.
    from presence_server.relay.redis import RedisRelay
    from presence_server.relay.redis_server import RedisServer

    return RedisRelay(RedisServer(url), namespace, node, Seal(keys))
