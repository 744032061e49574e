"""The other nodes: what each says of its own people, and whether it can be believed.

Nothing is concluded from silence by a clock alone. A node's own beats travel the same way as
everybody's letters and in one order with them; only when an own beat comes back that was sent
after a peer's lease ended is it certain that nothing of that peer still waits to be read. A node
that does not hear itself concludes nothing at all, so an outage or a pause of its own takes nobody
away.
"""

from presence_server.presence.letters import Batch, Beat, Goodbye, Letter, Part, People
from presence_server.presence.moment import Moment
from presence_server.presence.roster import Roster

# Parts of a lease, from the contract: a beat every fifth of it, deaf after 0.3 of it.
BEAT = 0.2
DEAF = 0.3
# Seconds until a snapshot that did not come is asked for again.
_PATIENCE = 1.0
# Seconds within which what a node that cannot be heard wrote down has been read.
_NOTED = 1.5
# Seconds within which a process that stood still has read what came in meanwhile.
_READING = 0.5
# Whoever reaches the relay can invent nodes.
_MOST_PEERS = 256


class _Peer:
    """One other node, as heard from here."""

    __slots__ = (
        "view",
        "gone",
        "sequence",
        "complete",
        "answered",
        "heard",
        "asked",
        "collecting",
        "parts",
        "leaving",
    )

    def __init__(self, now: Moment) -> None:
        self.view: set[str] = set()
        # Who left it, since when and until when that is held back: see Cluster._remove.
        self.gone: dict[str, tuple[int, float]] = {}
        # The newest batch that the view holds; not complete means that an earlier one is missing.
        self.sequence = -1
        self.complete = False
        # Whether it has proved that it lives, since it was first heard or heard again: letters can
        # be older than their sender's end.
        self.answered = False
        self.heard = now
        self.asked: float | None = None
        self.collecting: tuple[int, int] | None = None
        self.parts: dict[int, People] = {}
        # When the people of a node that went away are gone too, unless they are back elsewhere.
        self.leaving: float | None = None


class Cluster:
    """Views of the other nodes, fed into the roster.

    `asks`, `needs_probe` and `needs_subscription` say what the node has to do next.
    """

    def __init__(self, roster: Roster, grace: float, lease: float, now: Moment) -> None:
        self._roster = roster
        self._grace = grace
        self._lease = lease
        self._peers: dict[str, _Peer] = {}
        # Nodes that said goodbye: an id is never used again, so what still arrives is old.
        self._departed: dict[str, None] = {}
        self._dropped: set[str] = set()
        self._unconfirmed: set[str] = set()
        self._deaf = False
        self._echoed = now.elapsed
        self._resubscribed = now.elapsed
        # Until then nodes that are not known yet may make themselves heard.
        self._catching_up = now.elapsed
        self._read_by = now.elapsed
        # Nodes to ask for a snapshot; None asks all.
        self.asks: set[str | None] = set()
        self.needs_probe = False
        self.needs_subscription = False
        # So often a snapshot was asked for, and so often this node heard not even itself.
        self.resyncs = 0
        self.silences = 0

    @property
    def peers(self) -> frozenset[str]:
        return frozenset(self._peers)

    @property
    def degraded(self) -> bool:
        """Whether what is shown of other nodes' people is only what was last known."""
        return self._deaf or bool(self._unconfirmed)

    @property
    def settled(self) -> bool:
        """Whether every node that is heard has told all it knows."""
        return not self._deaf and all(
            peer.complete for peer in self._peers.values() if peer.leaving is None
        )

    def knows_all(self, now: Moment) -> bool:
        """Whether nobody can be on another node who is not known to be there."""
        return self.settled and now.elapsed >= max(self._catching_up, self._read_by)

    def catching_up(self, now: Moment) -> float:
        """Seconds by which those who left stay longer, for they may be where nobody was heard."""
        if self.degraded or now.elapsed < self._catching_up:
            return max(DEAF * self._lease, _NOTED)
        return 0.0

    def take_dropped(self) -> set[str]:
        """The nodes that were given up since they were asked for last."""
        dropped, self._dropped = self._dropped, set()
        return dropped

    def hear(self, letter: Letter, now: Moment) -> People | None:
        """Take in a letter of another node, and tell which people it changed, if any."""
        peer = self._find(letter.node, now)
        if peer is None:
            return None
        peer.heard = now
        people = self._take_in(letter, peer, now)
        if people is not None:
            self._let_go(now)
        return people

    def _take_in(self, letter: Letter, peer: _Peer, now: Moment) -> People | None:
        match letter:
            case Beat():
                peer.complete = peer.complete and letter.sequence == peer.sequence
            case Batch():
                return self._apply(letter, peer)
            case Part():
                return self._collect(letter, peer)
            case Goodbye():
                self._depart(letter.node, peer, now)
        return None

    def echo(self, mark: float, now: Moment) -> None:
        """The node's own beat, sent at `mark`, came back: all that was sent before it is heard."""
        self._echoed = max(self._echoed, mark)
        if self._deaf:
            if now.elapsed - mark <= DEAF * self._lease:
                self._renew(now)
                self._deaf = False
            return
        for node, peer in list(self._peers.items()):
            self._judge(node, peer, mark, now)

    def subscribed(self, now: Moment) -> None:
        """A new subscription began: letters may have been missed before it."""
        self._renew(now)
        self._resubscribed = now.elapsed
        for peer in self._peers.values():
            peer.asked = now.elapsed
        self._unconfirmed.update(self._present())
        self.asks = {None}
        self.needs_probe = True

    def lost(self) -> None:
        """The subscription is known to be lost."""
        self._deaf = True
        self._unconfirmed.update(self._present())

    def stalled(self, now: Moment) -> None:
        """This process stood still: its own beats' echoes could not be read in time."""
        self._echoed = now.elapsed
        self._read_by = now.elapsed + _READING

    def tick(self, now: Moment) -> None:
        """See what is due by the clock; conclusions wait for an echo."""
        if now.elapsed - self._echoed > DEAF * self._lease:
            self.silences += not self._deaf
            self.lost()
            self._resubscribe(now)
        self._let_go(now)
        if any(self._due(peer, now.elapsed) for peer in self._peers.values()):
            self.needs_probe = True
        for node, peer in self._peers.items():
            if not peer.complete and node not in self._departed and self._is_heard(peer, now):
                self._ask(node, peer, now)

    def _find(self, node: str, now: Moment) -> _Peer | None:
        if node in self._departed:
            return None
        peer = self._peers.get(node)
        if peer is None and len(self._peers) < _MOST_PEERS:
            peer = self._peers[node] = _Peer(now)
        return peer

    def _apply(self, batch: Batch, peer: _Peer) -> People | None:
        if not peer.answered or batch.sequence <= peer.sequence:
            return None
        # A batch holds newest states, so it is right by itself even when one before it is missing.
        peer.complete = peer.complete and batch.sequence == peer.sequence + 1
        peer.sequence = batch.sequence
        for username in batch.people.here:
            self._place(batch.node, peer, username, batch.people)
        for username, since in batch.people.gone.items():
            self._remove(peer, username, since)
        return batch.people

    def _collect(self, part: Part, peer: _Peer) -> People | None:
        if part.sequence < peer.sequence:
            return None
        if peer.collecting != (part.number, part.parts):
            peer.collecting, peer.parts = (part.number, part.parts), {}
        peer.parts[part.part] = part.people
        if len(peer.parts) < part.parts:
            return None
        people = People({}, {}, {})
        for one in peer.parts.values():
            people.here.update(one.here)
            people.choices.update(one.choices)
        peer.collecting, peer.parts = None, {}
        self._replace(part, peer, people)
        return people

    def _replace(self, part: Part, peer: _Peer, people: People) -> None:
        for username in peer.view - people.here.keys() - peer.gone.keys():
            self._remove(peer, username, peer.heard.unix)
        for username in people.here:
            self._place(part.node, peer, username, people)
        peer.sequence = part.sequence
        peer.complete = peer.answered = True
        peer.asked = peer.leaving = None
        self._unconfirmed.discard(part.node)

    def _place(self, node: str, peer: _Peer, username: str, people: People) -> None:
        status, since = people.here[username]
        self._roster.place(node, username, status, since, people.choices.get(username))
        peer.view.add(username)
        peer.gone.pop(username, None)

    def _remove(self, peer: _Peer, username: str, since: int) -> None:
        """Let somebody go as soon as it is known that no other node has said they are there.

        Whoever left one node may have come to another, whose letter is still missing.
        """
        if username in peer.view:
            peer.gone[username] = since, peer.heard.elapsed + self._lease

    def _let_go(self, now: Moment) -> None:
        knows_all = self.knows_all(now)
        for node, peer in self._peers.items():
            for username, (since, held_until) in list(peer.gone.items()):
                if knows_all or (now.elapsed >= held_until and not self._deaf):
                    del peer.gone[username]
                    peer.view.discard(username)
                    self._roster.remove(node, username, since)

    def _depart(self, node: str, peer: _Peer, now: Moment) -> None:
        peer.leaving = now.elapsed + self._grace
        self._unconfirmed.discard(node)
        self._departed[node] = None
        if len(self._departed) > _MOST_PEERS:
            del self._departed[next(iter(self._departed))]

    def _due(self, peer: _Peer, elapsed: float) -> bool:
        if peer.leaving is not None:
            return elapsed >= peer.leaving
        return elapsed - peer.heard.elapsed >= self._lease

    def _judge(self, node: str, peer: _Peer, mark: float, now: Moment) -> None:
        if not self._due(peer, mark):
            return
        if peer.leaving is None:
            peer.leaving = now.elapsed + self._grace
            peer.complete = peer.answered = False
            self._unconfirmed.discard(node)
            return
        for username in peer.view:
            self._roster.remove(node, username, peer.heard.unix)
        del self._peers[node]
        self._dropped.add(node)

    def _renew(self, now: Moment) -> None:
        # Nobody could be heard meanwhile: each node gets a whole lease from now, each leaving one
        # a whole grace.
        for peer in self._peers.values():
            peer.complete = False
            if peer.leaving is None:
                peer.heard = peer.heard._replace(elapsed=now.elapsed)
            else:
                peer.leaving = now.elapsed + self._grace
            for username, (since, _) in peer.gone.items():
                peer.gone[username] = since, now.elapsed + self._lease
        if self._peers or self._deaf:
            self._catching_up = now.elapsed + DEAF * self._lease

    def _is_heard(self, peer: _Peer, now: Moment) -> bool:
        return now.elapsed - peer.heard.elapsed < self._lease

    def _present(self) -> list[str]:
        return [node for node, peer in self._peers.items() if peer.leaving is None]

    def _ask(self, node: str, peer: _Peer, now: Moment) -> None:
        if peer.asked is None or now.elapsed - peer.asked >= _PATIENCE:
            peer.asked = now.elapsed
            self.asks.add(node)
            self.resyncs += 1

    def _resubscribe(self, now: Moment) -> None:
        if now.elapsed - self._resubscribed >= DEAF * self._lease:
            self._resubscribed = now.elapsed
            self.needs_subscription = True
