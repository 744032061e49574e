"""The other nodes, all together: who is known, who is asked, who is given up."""

import math
from collections.abc import Iterable, Iterator

from presence_server.presence.moment import Moment
from presence_server.presence.peer import Life, Peer
from presence_server.presence.timing import DEAF, NOTES, PATIENCE, WRITES_WITHIN

# Whoever reaches the relay can invent nodes.
MOST_PEERS = 256
# No mark is so great: an answer to whatever was asked before comes too late.
_NO_ANSWER = 2**53


class Peers:
    def __init__(self, lease: float) -> None:
        self._lease = lease
        self._peers: dict[str, Peer] = {}
        # Nodes that said goodbye: an id is never used again, so what still arrives is old.
        self._departed: dict[str, None] = {}
        # Nodes that were given up, with their counters as first read after that.
        self._given_up: dict[str, int | None] = {}
        # So often a snapshot was asked for.
        self.resyncs = 0

    def __iter__(self) -> Iterator[tuple[str, Peer]]:
        return iter(self._peers.items())

    def __len__(self) -> int:
        return len(self._peers)

    def get(self, name: str) -> Peer | None:
        return self._peers.get(name)

    def date(self, name: str) -> int | None:
        """Seconds to add to Unix seconds of a node that are taken in; None: not known yet."""
        peer = self._peers.get(name)
        if peer is None:
            return None
        offset = peer.clock.date()
        return offset if peer.clock.is_dated else None

    @property
    def told_to(self) -> dict[str, int]:
        """Of each whose newest words alone are missing, the number of the batch before these."""
        return {
            name: peer.told_to
            for name, peer in self._peers.items()
            if peer.told_to >= 0 and not peer.clock.is_misdated
        }

    @property
    def ahead(self) -> int:
        """Seconds by which the clock is ahead that is most ahead of those that are known."""
        return max(0, max((-peer.clock.offset for peer in self._peers.values()), default=0))

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._peers)

    @property
    def heard(self) -> frozenset[str]:
        """Those whose letters arrive."""
        return frozenset(name for name, peer in self.living() if peer.life is not Life.NOTED)

    def speaking(self, now: Moment) -> dict[str, float]:
        """For how many seconds each has not spoken that spoke when it no longer wrote."""
        return {
            name: now.elapsed - peer.spoke
            for name, peer in self.living()
            if peer.counters and peer.spoke - peer.wrote >= WRITES_WITHIN - NOTES
        }

    def living(self) -> list[tuple[str, Peer]]:
        return [(name, peer) for name, peer in self._peers.items() if peer.lives]

    @property
    def are_current(self) -> bool:
        """Whether every node that lives has told all that it knows."""
        return all(peer.life is Life.CURRENT for _, peer in self.living())

    @property
    def are_known(self) -> bool:
        """Whether of every node that lives all has been heard, or read, that it knew lately."""
        return all(
            peer.life is Life.CURRENT or peer.life is Life.NOTED and peer.believed_at > -math.inf
            for _, peer in self.living()
        )

    @property
    def unconfirmed(self) -> bool:
        """Whether some node has not spoken since an outage, and might still."""
        return any(peer.unconfirmed for _, peer in self.living())

    def find(self, name: str, now: Moment, life: Life = Life.NEW) -> Peer | None:
        """A node that has been heard or read of; None if it has left, or if there are too many."""
        if name in self._departed:
            return None
        peer = self._peers.get(name)
        if peer is None and len(self._peers) < MOST_PEERS:
            peer = self._peers[name] = Peer(life, now)
            self._given_up.pop(name, None)
        return peer

    def find_noted(self, name: str, counter: int, now: Moment) -> Peer | None:
        """A node that has been read of: one that was given up only if it goes on writing."""
        if name in self._given_up:
            known = self._given_up[name]
            if known is None or known == counter:
                self._given_up[name] = counter
                return None
        return self.find(name, now, Life.NOTED)

    def leave(self, name: str, peer: Peer) -> None:
        peer.life, peer.unconfirmed = Life.LEFT, False
        self._departed[name] = None
        if len(self._departed) > MOST_PEERS:
            del self._departed[next(iter(self._departed))]

    def forget(self, name: str) -> None:
        del self._peers[name]
        self._given_up[name] = None
        if len(self._given_up) > MOST_PEERS:
            del self._given_up[next(iter(self._given_up))]

    def lost(self) -> None:
        """Nobody is heard: each has to speak again."""
        for _, peer in self.living():
            peer.unconfirmed = peer.life is not Life.NOTED

    def renew(self, now: Moment) -> None:
        """Nobody could be heard meanwhile: each node gets a whole lease from now."""
        self.forget_versions()
        for _, peer in self.living():
            peer.heard = now.elapsed
            if peer.life is Life.CURRENT:
                peer.life = Life.BEHIND

    def is_overdue(self, now: float) -> bool:
        """Whether the lease of some node is over by the clock."""
        return any(
            peer.life is not Life.NOTED and now - peer.heard >= self._lease
            for _, peer in self.living()
        )

    def fall_silent(self, read_until: float, unread_since: float) -> Iterator[str]:
        """Those who have given no sign for a lease, as far as all has been heard; what they wrote
        since `unread_since` may not have been read yet."""
        for name, peer in self.living():
            if peer.life is not Life.NOTED and read_until - peer.heard >= self._lease:
                peer.life, peer.unconfirmed = Life.NOTED, False
                peer.asked, peer.asked_mark = None, _NO_ANSWER
            if peer.counters and unread_since - peer.wrote < WRITES_WITHIN:
                continue
            if peer.life is Life.NOTED and read_until - peer.last_sign >= self._lease:
                peer.life = Life.SILENT
                yield name

    def take_asks(self, now: Moment) -> Iterator[str]:
        """Those to be asked for all that they know."""
        for name, peer in self._peers.items():
            waits = peer.clock.is_misdated or peer.life is not Life.CURRENT
            waits = waits and peer.life is not Life.LEFT
            heard = now.elapsed - peer.heard < self._lease
            if waits and heard and (peer.asked is None or now.elapsed - peer.asked >= PATIENCE):
                # Of several questions the answer to the first will do.
                peer.asked_mark = 0 if peer.asked is None else peer.asked_mark
                peer.ask(now)
                self.resyncs += 1
                yield name

    def expect(self, names: Iterable[str], mark: int) -> None:
        """Of those that were asked for the first time an answer must have heard this mark."""
        for name in names:
            peer = self._peers[name]
            peer.asked_mark = peer.asked_mark or mark

    @property
    def marks(self) -> dict[str, int]:
        """The newest that were heard."""
        return {name: peer.mark for name, peer in self._peers.items() if peer.mark}

    def version_at(self, name: str, mark: int, sequence: int, now: Moment) -> int | None:
        """What was known everywhere when a mark of a node came in, or somewhat less; None if
        something may be shown here that has long been told at that node, or the reverse."""
        peer = self._peers.get(name)
        if peer is None or peer.sequence < sequence or now.elapsed - peer.began < self._lease:
            return None
        if peer.clock.offset:
            # An observer would hold seconds by two clocks.
            return None
        if any(not self._is_steady(other, now) for other in self._peers.values() if other != peer):
            return None
        known = [version for number, version, _ in peer.versions if number <= mark]
        return known[-1] if known else None

    def _is_steady(self, peer: Peer, now: Moment) -> bool:
        """Whether a node lives for sure, or is gone with all of its people."""
        if not peer.lives:
            return peer.is_empty
        return peer.life is Life.CURRENT and now.elapsed - peer.heard < DEAF * self._lease

    def forget_versions(self) -> None:
        """Something was missed, or is known by its outcome alone."""
        for peer in self._peers.values():
            peer.versions.clear()
