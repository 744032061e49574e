"""What a node says to the others, and when: changes, answers, questions and beats."""

from presence_server.presence.choices import Choice, Choices
from presence_server.presence.departures import Departures
from presence_server.presence.entries import Entry
from presence_server.presence.hearing import Hearing
from presence_server.presence.letters import Ask, Goodbye
from presence_server.presence.moment import Moment
from presence_server.presence.outbox import KeyedChoices, KeyedEntries, Outbox
from presence_server.presence.peers import Peers
from presence_server.presence.people import Versions
from presence_server.presence.rooms import Rooms
from presence_server.presence.timing import Timing

# Beats for which somebody waits lie so far apart at least, in seconds.
_SOON = 0.1


class Speech:
    def __init__(
        self,
        me: str,
        timing: Timing,
        versions: Versions,
        rooms: Rooms,
        choices: Choices,
        hearing: Hearing,
        peers: Peers,
        departures: Departures,
        outbox: Outbox,
    ) -> None:
        self._me = me
        self._timing = timing
        self._versions = versions
        self._rooms = rooms
        self._choices = choices
        self._hearing = hearing
        self._peers = peers
        self._departures = departures
        self._outbox = outbox

    @property
    def has_unsaid(self) -> bool:
        return self._rooms.has_unsaid or self._outbox.has_unsaid

    @property
    def goes_on(self) -> bool:
        """Whether there is more to say, and soon."""
        return self.has_unsaid or self._outbox.is_answering

    def say_what_is_due(self, now: Moment) -> None:
        hearing = self._hearing
        if hearing.is_waking and hearing.paused_for >= self._timing.lease:
            # Others may have let these people go already: first see who is really here.
            return
        if not hearing.is_waking:
            self._say_changes(now)
            self._answer(now)
        self._ask(now)
        asks = self._departures.begin_to_ask(now)
        every = _SOON if self._is_waited_for(now) else self._timing.beat
        if asks or hearing.is_beat_due(every, now):
            self._say_beat(now, asks=asks)

    def ask_all(self, now: Moment) -> None:
        """Letters may have been missed: let everybody tell all that they know."""
        if not self._hearing.is_waking:
            # The beat confirms what it has heard: then all has to be said that was known.
            self._say_changes(now)
        mark = self._say_beat(now, asks=False)
        for _, peer in self._peers:
            peer.ask(now)
            peer.asked_mark = mark
        self._outbox.say(Ask(self._me, self._peers.told_to, anew=True))

    def say_goodbye(self, now: Moment) -> None:
        self._say_changes(now)
        while self._outbox.is_answering:
            self._outbox.go_on(now)
        self._outbox.say(Goodbye(self._me))

    def _answer(self, now: Moment) -> None:
        outbox = self._outbox
        if outbox.is_asked and not outbox.is_answering:
            askers, after = outbox.take_askers()
            states, choices = self._all() if after is None else self._changed_after(after)
            outbox.answer(askers, after, states, choices, self._peers.marks)
        outbox.go_on(now)

    def _all(self) -> tuple[KeyedEntries, KeyedChoices]:
        states = (said for room in self._rooms for said in room.all_said())
        return states, self._choices.all()

    def _changed_after(self, sequence: int) -> tuple[KeyedEntries, KeyedChoices]:
        states: list[tuple[str, str, Entry | int]] = []
        choices: list[tuple[int, str, Choice]] = []
        for (place, name), gone_since in self._outbox.changed_after(sequence).items():
            if isinstance(place, str):
                room = self._rooms.get(place)
                entry = None if room is None else room.said(name)
                states.append((place, name, gone_since if entry is None else entry))
            elif (choice := self._choices.newest(place, name)) is not None:
                choices.append((place, name, choice))
        return states, choices

    def _ask(self, now: Moment) -> None:
        asked = list(self._peers.take_asks(now))
        if asked:
            # An answer has to show that it has heard this.
            mark = self._say_beat(now, asks=False)
            self._peers.expect(asked, mark)
        told_to = self._peers.told_to
        for node in asked:
            known = {node: told_to[node]} if node in told_to else {}
            self._outbox.say(Ask(self._me, known), node)

    def _is_waited_for(self, now: Moment) -> bool:
        """Whether a beat is worth more than that it shows life."""
        hearing = self._hearing
        probes = self._peers.is_overdue(now.elapsed) or hearing.read_until < hearing.awake_since
        return probes or any(peer.asks for _, peer in self._peers)

    def _say_changes(self, now: Moment) -> None:
        states = (said for room in self._rooms.take_unsaid() for said in room.take_unsaid(now))
        self._outbox.say_changes(states, self._departures.confirmed_mark, now)

    def _say_beat(self, now: Moment, *, asks: bool) -> int:
        heard: dict[str, int] = {}
        if not self._hearing.is_waking:
            heard = self._peers.marks
            for _, peer in self._peers:
                peer.asks = False
        mark = self._hearing.beat(0 if self.has_unsaid else self._versions.newest, now)
        crowd = self._departures.crowd_for(now)
        self._outbox.say_beat(mark, now.unix, asks=asks, heard=heard, crowd=crowd)
        return mark
