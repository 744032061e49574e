"""What other nodes say of their people: by letters, and by their silence."""

import math
from collections.abc import Iterable
from functools import lru_cache

from presence_server.presence.answer import Answer
from presence_server.presence.departures import Departures
from presence_server.presence.entries import Entry, Source
from presence_server.presence.hearing import Contact, Hearing
from presence_server.presence.letters import (
    Ask,
    Batch,
    Beat,
    ChosenByApp,
    Goodbye,
    Letter,
    Part,
    Said,
    States,
)
from presence_server.presence.moment import Moment
from presence_server.presence.names import is_claim, tag_of
from presence_server.presence.opened import Opened
from presence_server.presence.peer import Peer
from presence_server.presence.peers import Peers
from presence_server.presence.pending import Departure, NO_MARK, Why
from presence_server.presence.records import OWN
from presence_server.presence.rooms import Rooms
from presence_server.presence.timing import ALL_READ, Timing

# So many sessions that have ended are remembered: who stood still may still speak of them.
_ENDED_REMEMBERED = 20_000


class Others:
    """The other nodes' people, kept in the rooms; which choices came with them is returned."""

    def __init__(
        self,
        me: str,
        timing: Timing,
        rooms: Rooms,
        peers: Peers,
        hearing: Hearing,
        departures: Departures,
        opened: Opened,
    ) -> None:
        self._me = me
        self._timing = timing
        self._rooms = rooms
        self._peers = peers
        self._hearing = hearing
        self._departures = departures
        self._opened = opened
        self._ended: dict[str, None] = {}
        # Claims of which their nodes may not know yet that they have ended: their order, and when.
        self._revoked: dict[Source, tuple[int, int]] = {}
        # Nodes that are gone, whose notes are to be forgotten.
        self._dropped: set[str] = set()

    @property
    def degraded(self) -> bool:
        """Whether what is shown of other nodes' people is only what was last known."""
        return self._hearing.contact is Contact.DEAF or self._peers.unconfirmed

    def give_way(self, source: Source, known_until: float) -> float:
        """A session has a line at a node: what rests of it at nodes that are gone goes, and nobody
        sees that. The moment by which more of it will, for the line was not surely open since
        then; minus infinity if all of it has gone."""
        entry = self._entry(source) if self._shows(source) else None
        if entry is None or entry.left is not None or is_claim(source.tag):
            return -math.inf
        if self._departures.is_leaving(source):
            return -math.inf
        waiting = []
        for other in self._rooms.with_tag(source.room, source.tag):
            peer, left = self._peers.get(other.node), self._entry(other).left
            if left is None or (peer is not None and peer.lives):
                continue
            if known_until < left:
                waiting.append(left)
                continue
            self._departures.forget(other)
            self._rooms.drop(other, self._entry(other).left_second)
        return min(waiting, default=-math.inf)

    def take_dropped(self) -> set[str]:
        dropped, self._dropped = self._dropped, set()
        return dropped

    # Letters

    def hear(self, letter: Letter, now: Moment) -> ChosenByApp:
        peer = self._peers.find(letter.node, now)
        if peer is None:
            return {}
        if not isinstance(letter, Goodbye):
            # That one may be another's, in the place of a node that is no more.
            peer.speak(now)
        self._opened.note_told(letter.node, peer)
        hears = self._hearing.contact is Contact.HEARS and not self._hearing.is_reading
        sent_after = self._sent_after(letter)
        if hears and isinstance(letter, (Beat, Batch, Part)):
            peer.clock.note(letter.unix, sent_after, now)
        match letter:
            case Beat():
                peer.hear_beat(letter, sent_after)
                peer.note_version(letter.mark, self._hearing.said_version, now)
            case Batch() if peer.hear_batch(letter):
                states, late = letter.people.states, peer.clock.lateness(letter.unix, now)
                if peer.answer is not None:
                    peer.answer.overtake(states)
                self._take_in(letter.node, peer, states, late, now, letter.mark)
                return letter.people.choices
            case Part():
                answer = peer.hear_part(letter, self._me)
                if answer is not None:
                    self._hear_part(answer, letter, peer, sent_after, now)
                    return letter.people.choices
            case Ask() if letter.anew:
                peer.ask_again()
                self._departures.ask_again()
            case Goodbye():
                self.leave(letter.node, peer, now)
        return {}

    def _sent_after(self, letter: Letter) -> float | None:
        """When the newest mark was sent that its sender had heard; None: not known."""
        heard = letter.heard if isinstance(letter, (Beat, Part)) else {}
        return self._hearing.sent_at(heard.get(self._me, 0))

    def _hear_part(
        self, answer: Answer, part: Part, peer: Peer, sent_after: float | None, now: Moment
    ) -> None:
        if answer.parts == 1 and not answer.is_brief:
            shown = self._rooms.view(part.node)
            answer.unnamed = {(source.room, source.tag) for source, _ in shown}
        if answer.replaces:
            self._peers.forget_versions()
        states, late = answer.name(part.people.states), peer.clock.lateness(part.unix, now)
        # What was read meanwhile may be newer than an answer that was on its way for long.
        is_new = peer.believed_at <= (-math.inf if sent_after is None else sent_after)
        why = Why.TOLD if is_new else Why.UNNAMED
        if answer.is_whole:
            if sent_after is not None:
                peer.confirmed_at = max(peer.confirmed_at, sent_after)
            for room, tag in answer.unnamed:
                source = Source(part.node, room, tag)
                if self._shows(source):
                    self._miss(source, self._entry(source), now, why)
        self._take_in(part.node, peer, states, late, now, why=why)

    def _take_in(
        self,
        node: str,
        peer: Peer,
        states: States,
        late: int,
        now: Moment,
        mark: float = NO_MARK,
        why: Why = Why.TOLD,
    ) -> None:
        if states:
            self._place_all(node, peer, states, peer.clock.date(), late, now, mark, why)

    def _place_all(
        self,
        node: str,
        peer: Peer,
        states: States,
        clock: int,
        late: int,
        now: Moment,
        mark: float = NO_MARK,
        why: Why = Why.TOLD,
        all_know: float = -math.inf,
    ) -> None:
        """`clock` is to be added to the seconds that are said; `all_know` is as in _place()."""
        for room, some in states.items():
            for tag, said in some.items():
                source = Source(node, room, tag)
                if isinstance(said, Said):
                    self._place(source, peer, said, clock, late, now, all_know)
                else:
                    since = min(said + clock, now.unix)
                    self._remove(source, Departure(why, now.elapsed, since, mark))

    def replace(
        self, node: str, peer: Peer, states: States, clock: int, now: Moment
    ) -> None:
        """These are all of a node's people, as it has written down; `clock` is to be added to their
        seconds."""
        peer.take_notes_for_all()
        for source, entry in self._rooms.view(node):
            if source.tag not in states.get(source.room, {}):
                self._miss(source, entry, now)
        self._take_in_written(node, peer, states, clock, now)

    def amend(
        self,
        node: str,
        peer: Peer,
        states: States,
        gone: Iterable[tuple[str, str]],
        clock: int,
        now: Moment,
    ) -> None:
        """So some of a node's people are now; others, by room and session, are gone."""
        peer.answer = None
        peer.noted_instead.update((room, tag) for room, some in states.items() for tag in some)
        for room, session in gone:
            source = Source(node, room, tag_of(room, session))
            peer.noted_instead.add((source.room, source.tag))
            if self._shows(source):
                self._miss(source, self._entry(source), now)
        self._take_in_written(node, peer, states, clock, now)

    def _take_in_written(
        self, node: str, peer: Peer, states: States, clock: int, now: Moment
    ) -> None:
        peer.clock.date_by_database()
        all_know = now.elapsed + ALL_READ
        self._place_all(node, peer, states, clock, 0, now, all_know=all_know)

    def _miss(self, source: Source, entry: Entry, now: Moment, why: Why = Why.TOLD) -> None:
        since = min(entry.left_second or now.unix, now.unix)
        self._remove(source, Departure(why, now.elapsed, since))

    def _place(
        self,
        source: Source,
        peer: Peer,
        said: Said,
        clock: int,
        late: int,
        now: Moment,
        all_know: float,
    ) -> None:
        """Others know of it, too, once all is known that its node knew at `all_know`: nobody gives
        way to a line of which they have not heard or read."""
        if source.room == OWN and source.tag in self._ended:
            self._rooms.own.roster.refuse(said.user, min(said.since + clock, now.unix))
            return
        if self._is_over(source, said) and not self._shows(source):
            # It is about to be let go, and only waits for what cannot be heard.
            return
        entry = self._entry_of(source, peer, said, clock, late, now)
        was_open = self._is_open(source)
        self._departures.cancel(source)
        revoked = self._revoked.get(source)
        if revoked is not None and entry.order > revoked[0]:
            del self._revoked[source]
        self._rooms.place(source, entry)
        is_open = self._is_open(source)
        if is_open and was_open and all_know > -math.inf:
            # It was read before: that counts.
            self._opened.note_again(source)
        elif is_open:
            self._opened.note(source, all_know)
        if is_open or entry.is_arriving:
            peer.had_lines = True

    def _entry_of(
        self, source: Source, peer: Peer, said: Said, clock: int, late: int, now: Moment
    ) -> Entry:
        left = None if said.resting is None else now.elapsed - said.resting
        if left is not None and is_claim(source.tag):
            # It ends when its backend said, however late that is read. Of a grace it is surer that
            # it is not over before its time.
            left -= late
        # Of a claim it is the second of its end.
        left_second = said.left + clock if said.left else 0
        if not is_claim(source.tag):
            left_second = min(left_second, now.unix)
        since, came = self._seconds(source, peer, said, clock, now)
        return Entry(
            said.user,
            said.account,
            said.status,
            since,
            left,
            left_second,
            said.order,
            said.about,
            came,
        )

    def _seconds(
        self, source: Source, peer: Peer, said: Said, clock: int, now: Moment
    ) -> tuple[int, int]:
        """Since when somebody is so, and here, by this node's clock."""
        since = _second(min(said.since + clock, now.unix + 1))
        # Who came to another node meanwhile may have been so for longer than they are here.
        came = _second(min(said.came + clock, now.unix + 1)) if said.came else 0
        if clock:
            room = self._rooms.open(source.room)
            return room.own_words(said.user, said.status, since, came)
        if not peer.clock.is_dated:
            return self._known_seconds(source, peer, said, since, came)
        return since, came

    def _is_over(self, source: Source, said: Said) -> bool:
        return (
            said.resting is not None and said.resting >= self._timing.grace_in(source.room)
        )

    def _known_seconds(
        self, source: Source, peer: Peer, said: Said, since: int, came: int
    ) -> tuple[int, int]:
        """By a clock that is not known yet a node says nothing better of a user than others do."""
        roster = self._rooms.open(source.room).roster
        person, entries = roster.here.get(said.user), roster.entries(said.user)
        if person is None or entries.keys() <= {source}:
            return since, came
        peer.clock.misdate()
        since = person.since if person.status == said.status else since
        return since, min(person.here, since)

    def _remove(self, source: Source, departure: Departure) -> None:
        if self._shows(source):
            self._departures.add(source, departure)

    def _entry(self, source: Source) -> Entry:
        return self._rooms.open(source.room).views[source.node][source.tag]

    def _shows(self, source: Source) -> bool:
        room = self._rooms.get(source.room)
        return room is not None and source.tag in room.views.get(source.node, {})

    def _is_open(self, source: Source) -> bool:
        if not self._shows(source):
            return False
        return is_claim(source.tag) or self._entry(source).left is None

    # Silence

    def lost(self) -> None:
        self._hearing.lost()
        self._peers.lost()

    def judge(self, now: Moment) -> None:
        """See who has given no sign for a lease, as far as all has been read."""
        heard = self._hearing.contact is not Contact.DEAF
        unread_since = self._hearing.notes_unread_since(now)
        fallen = self._peers.fall_silent(self._hearing.read_until, unread_since) if heard else ()
        for name in list(fallen):
            self.begin_graces_late(name, now)
        for name, peer in list(self._peers):
            if peer.lives:
                continue
            is_empty = not self._rooms.shows_some_of(name)
            # Whoever never knew whom it had cannot know that they are gone: they may be in their
            # grace, and what it wrote down is all that a node which starts can go by.
            if is_empty and not peer.is_empty and peer.was_known:
                self._dropped.add(name)
            peer.is_empty = is_empty
            # Observers may still come from it with its cursors.
            if is_empty and now.elapsed >= peer.ended + self._timing.lease:
                self._peers.forget(name)
                self._opened.forget(name)

    def begin_graces(self, node: str, left: float, now: Moment) -> None:
        """Nobody speaks for the node's people any more, whose lines were open until then. A grace
        never begins twice."""
        peer = self._peers.get(node)
        assert peer is not None
        peer.ended, peer.is_empty = now.elapsed, False
        peer.lose_track()
        peer.notes.forget()
        second = now.unix - int(max(0.0, now.elapsed - peer.last_sign))
        for source, entry in self._rooms.view(node):
            if entry.left is None or entry.is_arriving:
                entry = entry._replace(left=left, left_second=second)
                self._rooms.place(source, entry)
            assert entry.left is not None
            revoked = self._revoked.pop(source, None)
            if revoked is not None:
                self._departures.add(source, Departure(Why.ENDED, now.elapsed, revoked[1]))
                continue
            grace = self._timing.grace_in(source.room)
            self._departures.rest(source, max(now.elapsed, entry.left + grace))
            for other in self._rooms.with_tag(source.room, source.tag):
                if other != source:
                    self._opened.note_again(other)

    def begin_graces_late(self, node: str, now: Moment) -> None:
        """It is seen only now that it gives no signs, or is gone: its lease may have ended before,
        the last beat of it unheard."""
        peer = self._peers.get(node)
        assert peer is not None
        over = peer.last_sign + self._timing.lease + self._timing.beat
        self.begin_graces(node, min(now.elapsed, over), now)

    def leave(self, node: str, peer: Peer, now: Moment) -> None:
        """It has stopped."""
        self._peers.leave(node, peer)
        self.begin_graces(node, now.elapsed, now)

    def let_go(self, source: Source, departure: Departure) -> None:
        if departure.why is Why.ENDED:
            self._rooms.open(source.room).dispute(self._entry(source).user)
        self._revoked.pop(source, None)
        # Its grace may have begun while it waited to go.
        self._departures.forget(source)
        since, peer = departure.since, self._peers.get(source.node)
        if departure.why is Why.GRACE and (peer is None or not peer.lives):
            roster = self._rooms.open(source.room).roster
            since = roster.said_without(source, self._entry(source).user, since)
        self._rooms.drop(source, since)

    def overdue(self, source: Source, now: Moment) -> Departure:
        """The departure of somebody whose grace is over."""
        return Departure(Why.GRACE, now.elapsed, min(self._entry(source).left_second, now.unix))

    # What ends

    def end(
        self, room: str, tag: str, at: int, now: Moment, *, only_gone: bool = False
    ) -> None:
        """A session has ended, whatever nodes that have not heard of it yet still say; or only at
        nodes that are gone, for others see to it and may know that somebody is back. A claim ends
        also when its node goes before it has."""
        for source in self._rooms.with_tag(room, tag):
            peer = self._peers.get(source.node)
            if not only_gone or peer is None or not peer.lives:
                self._departures.add(source, Departure(Why.ENDED, now.elapsed, at))
            elif is_claim(tag):
                self._revoked[source] = self._entry(source).order, at

    def remember_end(self, tag: str) -> None:
        self._ended[tag] = None
        if len(self._ended) > _ENDED_REMEMBERED:
            del self._ended[next(iter(self._ended))]

    def has_ended(self, tag: str) -> bool:
        return tag in self._ended


@lru_cache(maxsize=4096)
def _second(unix: int) -> int:
    """The same number for all who came in that second: of a hundred thousand many did."""
    return unix
