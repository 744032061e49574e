"""Lines and claims at other nodes, to which it is yet to be seen who gives way."""

import math

from presence_server.presence.deadlines import Deadlines
from presence_server.presence.entries import Source
from presence_server.presence.peer import Peer


class Opened:
    def __init__(self) -> None:
        # By node and the moment until which all has to be known of it before a line says anything.
        self._lines: dict[str, Deadlines[Source]] = {}
        # Nodes that have told something.
        self._told: dict[str, Peer] = {}

    def note(self, source: Source, known_until: float = -math.inf) -> None:
        """It is to be asked for once all is known that its node knew by a moment."""
        self._of(source.node).put(source, known_until)

    def note_again(self, source: Source) -> None:
        """It is to be asked for, at once or when that was said before."""
        self._of(source.node).put_new(source, -math.inf)

    def note_told(self, node: str, peer: Peer) -> None:
        """It has told something, by whatever way."""
        self._told[node] = peer

    def take(self) -> list[tuple[Source, float]]:
        """Those that are due at nodes which have told something since this was asked last; and
        until when all is known that their nodes knew."""
        told, self._told = self._told, {}
        opened = []
        for name, peer in told.items():
            if (sources := self._lines.get(name)) is not None:
                until = peer.known_until
                opened += [(source, until) for source in sources.take(until)]
        return opened

    def forget(self, node: str) -> None:
        self._lines.pop(node, None)

    def _of(self, node: str) -> Deadlines[Source]:
        return self._lines.setdefault(node, Deadlines())
