"""What other nodes wrote down, for as long as they cannot be heard."""

import json
from collections.abc import Iterable, Sequence

from presence_server.presence.departures import Departures
from presence_server.presence.hearing import Contact, Hearing
from presence_server.presence.letters import Said, States
from presence_server.presence.moment import Moment
from presence_server.presence.names import tag_of
from presence_server.presence.opened import Opened
from presence_server.presence.others import Others
from presence_server.presence.peer import Life, Peer
from presence_server.presence.peers import Peers
from presence_server.presence.records import Notes, Stay
from presence_server.presence.states import NOTHING
from presence_server.presence.stays import left_second
from presence_server.presence.timing import Timing


class Heeding:
    def __init__(
        self,
        timing: Timing,
        others: Others,
        peers: Peers,
        hearing: Hearing,
        departures: Departures,
        opened: Opened,
    ) -> None:
        self._timing = timing
        self._others = others
        self._peers = peers
        self._hearing = hearing
        self._departures = departures
        self._opened = opened

    def is_unheard(self, now: Moment) -> bool:
        """Whether other nodes may say what cannot be heard, so that their notes matter."""
        return self._hearing.contact is not Contact.HEARS or any(
            not self._hears(peer, now) for _, peer in self._peers.living()
        )

    def well_heard(self, now: Moment) -> frozenset[str]:
        """The nodes whose notes do not matter, for all that they say is heard."""
        living = self._peers.living()
        return frozenset(name for name, peer in living if self._hears(peer, now))

    def noted(self) -> dict[str, int | None]:
        """Of each node that lives, the counter up to which all is known that it has written."""
        return {name: peer.notes.read_to for name, peer in self._peers.living()}

    def heed(self, notes: Notes, read_at: float, now: Moment) -> None:
        """Take in what other nodes wrote down, read no sooner than `read_at`."""
        for name, counter in notes.counters.items():
            peer = self._peers.find_noted(name, counter, now)
            if peer is not None:
                self._note(peer, name, counter, notes, read_at)
        if notes.others_could_write:
            self._departures.note_reading(read_at, with_stays=notes.stays is not None)
        if notes.stays is None:
            return
        for name, stays in notes.stopped.items():
            age = notes.ages.get(name, 0.0)
            # It may have stopped long ago: its people were there until then.
            last = [stay._replace(resting=age) if stay.resting is None else stay for stay in stays]
            self._read_last_words(name, last, notes.clock, now)
        deaf = self._hearing.contact is Contact.DEAF
        for name, peer in self._peers.living():
            self._believe_notes(name, peer, notes.clock, now)
            if deaf or peer.life is not Life.NOTED:
                # Nobody gives way to a line that others who hear each other may not have read of.
                self._opened.note_told(name, peer)
            # It has stopped, others have let its people go, or it was taken for dead: then it
            # writes again, and lives.
            is_gone = bool(peer.counters) and name not in notes.counters
            if is_gone and (deaf or peer.life is Life.NOTED):
                peer.life, peer.unconfirmed = Life.SILENT, False
                self._others.begin_graces_late(name, now)

    @staticmethod
    def _note(peer: Peer, name: str, counter: int, notes: Notes, read_at: float) -> None:
        if not peer.counters:
            # It may have been dead for long: it is read late, and its lease does not begin anew.
            peer.wrote = min(peer.wrote, read_at - notes.ages.get(name, 0.0))
        with_stays = notes.stays is not None and name not in notes.unread
        moved = peer.count(counter, read_at, with_stays=with_stays)
        if moved and peer.life is Life.SILENT:
            peer.life = Life.NOTED
        if notes.stays is None or name in notes.unread:
            peer.notes.hear_instead(counter, read_at, peer.heard_until)
        elif name in notes.stays:
            peer.notes.read_all(counter, notes.stays[name])
        else:
            peer.notes.read_changes(counter, notes.changes.get(name))

    def _read_last_words(
        self, name: str, stays: Sequence[Stay], clock: int, now: Moment
    ) -> None:
        """A node stopped whose goodbye was not heard."""
        peer = self._peers.find(name, now, Life.NOTED)
        if peer is not None and peer.lives:
            self._others.replace(name, peer, self._states(stays, clock, now), clock, now)
            self._others.leave(name, peer, now)

    def _believe_notes(self, name: str, peer: Peer, clock: int, now: Moment) -> None:
        if self._hears(peer, now):
            return
        if peer.has_written_newer() and (noted := peer.notes.take()) is not None:
            stays = (stay for stay in noted.stays.values() if stay is not None)
            states = self._states(stays, clock, now)
            if noted.whole:
                self._others.replace(name, peer, states, clock, now)
            else:
                gone = [key for key, stay in noted.stays.items() if stay is None]
                self._others.amend(name, peer, states, gone, clock, now)
        if peer.notes.are_known:
            peer.believed_at = peer.written_at

    def _hears(self, peer: Peer, now: Moment) -> bool:
        """Whether all that it says is heard, or is being told: letters bring a node that starts all
        that others have written, and to read it, too, would take as long again."""
        heard_lately = now.elapsed - peer.heard <= self._timing.deaf
        hears = self._hearing.contact is Contact.HEARS and heard_lately
        return hears and (peer.life is Life.CURRENT or peer.is_telling(now))

    def _states(self, stays: Iterable[Stay], clock: int, now: Moment) -> States:
        states: States = {}
        for stay in stays:
            grace = self._timing.grace_in(stay.room)
            said = Said(
                stay.user,
                stay.account,
                stay.status,
                stay.since,
                stay.resting,
                0 if stay.resting is None else left_second(stay, grace, now) - clock,
                0,
                NOTHING if stay.about == "{}" else json.loads(stay.about),
                stay.came,
            )
            states.setdefault(stay.room, {})[tag_of(stay.room, stay.session)] = said
        return states
