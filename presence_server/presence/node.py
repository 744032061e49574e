"""One node's whole presence: who is here by way of it, what other nodes say, and what follows.

Pure rules: time, letters and notes come in as arguments; what is to be done is returned. Whoever
drives a node calls `tick` a few times a second, and carries out the commands.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from presence_server.presence.choices import Choices, ChosenStatus
from presence_server.presence.choosing import Choosing
from presence_server.presence.commands import (
    Breathe,
    Command,
    Hear,
    ReadEndings,
    Resubscribe,
    Send,
    Tell,
    TellChoice,
    TickSoon,
)
from presence_server.presence.cursors import Cover, Cursors, Uncovered
from presence_server.presence.departures import Departures
from presence_server.presence.hearing import Contact, Hearing
from presence_server.presence.heeding import Heeding
from presence_server.presence.letters import Ask, Beat, Ended, Goodbye, Letter, Part, Words
from presence_server.presence.members import Who
from presence_server.presence.moment import Moment
from presence_server.presence.names import is_claim, session_of, tag_of
from presence_server.presence.opened import Opened
from presence_server.presence.others import Others
from presence_server.presence.outbox import NOTHING_KNOWN, Outbox
from presence_server.presence.own_sessions import OwnSessions
from presence_server.presence.peers import Peers
from presence_server.presence.pending import Why
from presence_server.presence.people import Versions
from presence_server.presence.profiles import NO_PROFILE, Profile, Profiles
from presence_server.presence.reading import parse_letter
from presence_server.presence.recorder import Recorder
from presence_server.presence.records import OWN, Notes, Record, Stay
from presence_server.presence.room import Room
from presence_server.presence.rooms import Rooms
from presence_server.presence.speech import Speech
from presence_server.presence.states import Status
from presence_server.presence.timing import CLOCK_WRONG, Timing


class Node:
    """One life of one server process, under a random id of 16 hexadecimal digits."""

    def __init__(
        self,
        name: str,
        *,
        grace: float,
        lease: float,
        now: Moment,
        hide_last_seen: bool = False,
        cover: Cover | None = None,
    ) -> None:
        self.name = name
        self.timing = timing = Timing(grace, lease)
        self.versions = versions = Versions()
        self.choices = choices = Choices()
        self.profiles = Profiles(hide_last_seen=hide_last_seen)
        self.hearing = hearing = Hearing(timing, now)
        self.peers = peers = Peers(lease)
        self._cursors = cursors = Cursors(
            name, versions, hearing, peers, timing, self._last_sequence, cover or Uncovered()
        )
        self.rooms = rooms = Rooms(name, versions, cursors, choices, self.profiles)
        self._departures = departures = Departures(timing, hearing, peers, now)
        self._opened = opened = Opened()
        self.others = others = Others(name, timing, rooms, peers, hearing, departures, opened)
        self.heeding = Heeding(timing, others, peers, hearing, departures, opened)
        self._outbox = outbox = Outbox(name)
        self._recorder = recorder = Recorder(rooms, choices)
        self.own = OwnSessions(name, timing, rooms, hearing, departures, recorder)
        self._choosing = Choosing(choices, rooms, self.own, cursors, outbox, recorder)
        self._speech = Speech(
            name, timing, versions, rooms, choices, hearing, peers, departures, outbox
        )
        self._commands: list[Command] = []
        # Nodes in whose place this one has said goodbye.
        self._ended: list[str] = []
        self._newest_second = now.unix

    @property
    def degraded(self) -> bool:
        """Whether what is shown of other nodes' people is only what was last known."""
        return self.others.degraded

    def _last_sequence(self) -> int:
        """The number of the batch with which all is said that has changed."""
        return self._outbox.sequence + self._speech.has_unsaid

    @property
    def settled(self) -> bool:
        """Whether every node that is heard has told all it knows."""
        return self.hearing.contact is not Contact.DEAF and self.peers.are_current

    def account_of(self, room: str, user: str) -> int:
        """The newest account of a user who is in a room by way of this node; 0 if none is."""
        found = self.rooms.get(room)
        members = {} if found is None else found.members.of_user(user)
        return max((member.who.account for member in members.values()), default=0)

    def sessions_of(self, app: int, user: str) -> list[str]:
        """The sessions whose lines at this node are a user's."""
        if app:
            return [session_of(app, user)]
        members = self.rooms.own.members.of_user(user).values()
        return [member.who.session for member in members]

    # People

    def open(
        self, room: str, who: Who, connection: int, now: Moment, status: Status | None = None
    ) -> list[Command]:
        """Open a connection. Of itself it does not change how its user is: a session that is known
        goes on as it was, and a further line of one that has one here is online."""
        self._notice_clocks(now)
        self.own.open(room, who, connection, status, now)
        return self._take_commands()

    def close(self, room: str, session: str, connection: int, now: Moment) -> list[Command]:
        """Close one connection; a session without any stays for the grace, its status unchanged."""
        self._notice_clocks(now)
        self.own.close(room, session, connection, now)
        self._see_graces(now)
        return self._take_commands()

    def claim(
        self,
        room: str,
        who: Who,
        now: Moment,
        *,
        status: Status = "online",
        ttl: float | None = None,
    ) -> list[Command]:
        """Count a session as here although it has no connection (yet), for one grace or a time."""
        self._notice_clocks(now)
        self.own.claim(room, who, status, ttl, now)
        return self._take_commands()

    def leave(self, room: str, session: str, now: Moment) -> list[Command]:
        """Let a session go from a room at once, as somebody who says so; it may come back."""
        tag = tag_of(room, session)
        self.others.end(room, tag, now.unix, now, only_gone=True)
        self._end_here(self.rooms.open(room), tag, now.unix, now)
        return self._take_commands()

    def adopt(self, stays: Iterable[Stay], now: Moment) -> list[Command]:
        """Count sessions as here, for what is left of a grace, that were at a node that ended."""
        for stay in stays:
            if not self.others.has_ended(tag_of(stay.room, stay.session)):
                self.own.adopt(stay, now)
        return self._take_commands()

    def set_status(
        self, room: str, session: str, connection: int, status: Status, now: Moment
    ) -> list[Command]:
        """Let a connection say how its user is."""
        self.own.set_status(room, session, connection, status, now)
        return self._take_commands()

    def extend(self, room: str, session: str, until: int) -> list[Command]:
        """What has brought a session here holds until another second."""
        self.own.extend(room, session, until)
        return self._take_commands()

    def describe(
        self, room: str, session: str, about: Mapping[str, Any], now: Moment
    ) -> list[Command]:
        """Show something else beside a session's status."""
        self.own.describe(room, session, about, now)
        return self._take_commands()

    def set_data(
        self, room: str, session: str, data: Mapping[str, Any], now: Moment
    ) -> list[Command]:
        """Let somebody with an own account show something beside their status; {}: nothing."""
        self.own.set_data(room, session, data, now)
        return self._take_commands()

    def choose(
        self,
        app: int,
        user: str,
        status: Status | ChosenStatus | None,
        now: Moment,
        *,
        text: str = "",
        until: int | None = None,
        account: int = 0,
    ) -> list[Command]:
        """Let a user's own choice hold for all of their connections, on all nodes, until it is
        changed or over; `online` or None ends it."""
        chosen = None if status == "online" else status
        self._choosing.choose(
            app, user, chosen, now, self.peers.ahead, text=text, until=until, account=account
        )
        return self._take_commands()

    def introduce(self, user: str, profile: Profile, now: Moment) -> list[Command]:
        """Show another profile of somebody with an account."""
        if self.profiles.put(user, profile):
            self._cursors.note_conclusion(now)
            self.rooms.own.roster.introduce(user, now.unix)
        return self._take_commands()

    def say_words(
        self, room: str, user: str, words: Mapping[str, Any], now: Moment
    ) -> list[Command]:
        """Pass on what a user said for a room, to the nodes that may have the line."""
        self._outbox.say(Words(self.name, room, user, dict(words)))
        return self._take_commands()

    def end(self, session: str, at: int, now: Moment) -> list[Command]:
        """A session of an own account has ended, in the second `at` and on all nodes: what it held
        is gone at once."""
        tag, at = tag_of(OWN, session), min(at, now.unix)
        self.others.remember_end(tag)
        self.others.end(OWN, tag, at, now)
        self._end_here(self.rooms.own, tag, at, now)
        return self._take_commands()

    def end_user(
        self,
        app: int,
        user: str,
        now: Moment,
        *,
        room: str | None = None,
        lines_stay: Collection[str] = (),
    ) -> list[Command]:
        """A user of an app must go, from one of its rooms or from all; they may come back. In some
        rooms, by their keys, they have come back already, by their lines."""
        for place in self.rooms.of_user(app, user):
            if room in (None, place.key):
                for tag in {source.tag for source in place.roster.entries(user)}:
                    if is_claim(tag) or place.key not in lines_stay:
                        self.others.end(place.key, tag, now.unix, now, only_gone=True)
                        self._end_here(place, tag, now.unix, now)
        return self._take_commands()

    def delete(self, user: str, account: int, at: int, now: Moment) -> list[Command]:
        """Take an account out that was deleted in the second `at`; all of its sessions have been
        ended before."""
        own = self.rooms.own
        self._cursors.note_conclusion(now)
        for tag, member in list(own.members.of_user(user).items()):
            if member.who.account <= account:
                self.own.release(own, tag, now.unix)
        self._choosing.forget(user, account, now)
        self.profiles.put(user, NO_PROFILE)
        own.roster.delete(user, account, min(at, now.unix))
        self.rooms.touch(own)
        return self._take_commands()

    # Arrivals

    def arrive(self, room: str, who: Who, now: Moment) -> list[Command]:
        """Somebody comes from other nodes: ask these for what they know by now."""
        self._notice_clocks(now)
        self.own.arrive(room, who, now)
        return self.inquire(now)

    def elsewhere(self, room: str, who: Who) -> frozenset[str]:
        """The other nodes that show a session in a room."""
        found, tag = self.rooms.get(room), tag_of(room, who.session)
        entries = () if found is None else found.roster.entries(who.user)
        return frozenset(source.node for source in entries if source.tag == tag) - {self.name}

    def may_return(self, room: str, who: Who) -> bool:
        """Whether a session is shown in a room that has no line at this node: it may be in its
        grace."""
        found, tag = self.rooms.get(room), tag_of(room, who.session)
        member = None if found is None else found.members.get(tag)
        if found is None or (member is not None and member.is_open):
            return False
        sources = found.roster.entries(who.user)
        return any(source.tag == tag and source.room == room for source in sources)

    def knows(self, nodes: Collection[str], at: float) -> bool:
        """Whether all is known that those of the nodes that live knew at a moment."""
        return all(peer.known_until >= at for name, peer in self.peers.living() if name in nodes)

    def inquire(self, now: Moment) -> list[Command]:
        """Ask the other nodes for what they know by now."""
        self._departures.inquire(now)
        return [TickSoon(), *self._take_commands()]

    def has_met(self, at: float) -> bool:
        """Whether all is known that any node which lives knew at a moment."""
        return self.peers.are_known and self.knows(self.peers.names, at)

    def note_crowd(self, since: float | None) -> None:
        """From when on somebody may have come who has not been let in yet; None: nobody waits."""
        self._departures.note_crowd(since)

    # Observers

    def watch(self, room: str) -> Room:
        """The room, which stays for as long as somebody looks."""
        found = self.rooms.open(room)
        found.watch()
        return found

    def unwatch(self, room: str) -> None:
        found = self.rooms.open(room)
        found.unwatch()
        self.rooms.touch(found)

    def begin_untold(self) -> None:
        """Before anything is known: nobody is let in yet, so that what is heard first, and may be
        old, binds nobody."""
        self.versions.begin_untold()

    def let_in(self) -> None:
        """Observers may come from now on."""
        self.versions.end_untold()
        # Whose grace was over before is known by that alone: other nodes may still show them.
        self.peers.forget_versions()

    # Time, letters, notes

    def receive(self, text: str, now: Moment) -> list[Command]:
        """Take in a letter; MessageError if it is none."""
        letter = parse_letter(text)
        self._notice_clocks(now)
        if letter.node != self.name:
            self._read(letter, now)
        elif isinstance(letter, Beat):
            self._hear_oneself(letter, now)
        self._let_go(now)
        return self._take_commands()

    def heed(self, notes: Notes, read_at: float, now: Moment) -> list[Command]:
        """Take in what other nodes wrote down, read from the moment `read_at` on."""
        self.heeding.heed(notes, read_at, now)
        self._choosing.heed(notes.choices, notes.clock, now)
        if self._supersede(now):
            # Who only hears this node has not read the same.
            self._departures.await_next_mark()
        self._let_go(now)
        return self._take_commands()

    def subscribed(self, now: Moment) -> list[Command]:
        """A new subscription began: letters may have been missed before it."""
        self.hearing.subscribed(now, others=len(self.peers) > 0)
        self.peers.lost()
        self.peers.renew(now)
        self._speech.ask_all(now)
        return self._take_commands()

    def lost(self) -> list[Command]:
        """The subscription is known to be lost, or there is none yet."""
        self.others.lost()
        return self._take_commands()

    def woke(self, now: Moment) -> list[Command]:
        """All is seen to that came in while this process stood still."""
        self.hearing.woke()
        return self._take_commands()

    def tick(self, now: Moment) -> list[Command]:
        """Do what is due: graces, batches, answers, beats."""
        self._notice_clocks(now, tick=True)
        if self.hearing.tick(now):
            self._commands.append(Resubscribe())
        if self.hearing.contact is Contact.DEAF:
            self.peers.lost()
        self.others.judge(now)
        self._choosing.end_due(now)
        self._see_graces(now)
        self._speech.say_what_is_due(now)
        if self.settled:
            self.rooms.go_back(now)
        self.rooms.close_idle(now)
        return self._take_commands()

    def say_ended(self) -> list[Command]:
        """Tell the other nodes that sessions have ended."""
        self._outbox.say(Ended(self.name))
        return self._take_commands()

    def say_goodbye(self, now: Moment) -> list[Command]:
        """The last letter: this node's people are in their grace from now on."""
        self._speech.say_goodbye(now)
        return self._take_commands()

    def say_goodbye_of(self, name: str) -> list[Command]:
        """The last letter in the place of a node that is no more, and could not write it; said to
        whoever asks, too, for some may not hear this one yet."""
        self._ended.append(name)
        self._outbox.say(Goodbye(name))
        return self._take_commands()

    # What is written down

    def take_record(self, now: Moment, *, whole: bool = False) -> Record:
        """What changed since the last record; on demand with all that is here."""
        if whole:
            self.own.touch_all()
            for app, user, _ in self.choices.all():
                self._recorder.touch_choice(app, user)
        return self._recorder.take(now)

    # How

    def _end_here(self, room: Room, tag: str, at: int, now: Moment) -> None:
        if self.own.end(room, tag, at, now):
            self._commands.append(TickSoon())
        self._let_go(now)

    def _notice_clocks(self, now: Moment, *, tick: bool = False) -> None:
        """See whether this process stood still, before anything that came in meanwhile counts."""
        pause = self.hearing.notice(now, tick=tick)
        if pause:
            if not self.versions.untold:
                # Else nobody could come meanwhile: each start would begin their graces anew.
                self._departures.move_graces(pause, now)
            self._commands.append(Breathe())
        if now.unix < self._newest_second - CLOCK_WRONG:
            self._recede(now)
        self._newest_second = max(self._newest_second, now.unix)

    def _recede(self, now: Moment) -> None:
        """The wall clock was set back: what it has said to have been is now to come."""
        self._newest_second = now.unix
        self.choices.recede(now.unix)
        for room in self.rooms:
            room.recede(now.unix)
            self.rooms.touch(room)
        self.own.touch_all()

    def _hear_oneself(self, beat: Beat, now: Moment) -> None:
        if self.hearing.echo(beat.mark, now):
            self.peers.renew(now)
        if self.settled:
            self._cursors.note_echo()

    def _read(self, letter: Letter, now: Moment) -> None:
        chosen = self.others.hear(letter, now)
        if chosen:
            # A node that starts is told what all others know.
            was_asked = isinstance(letter, Part) and not self.versions.untold
            clock = self.peers.date(letter.node)
            self._choosing.hear(chosen, clock, now, was_asked=was_asked)
        if isinstance(letter, Ask):
            self._outbox.note_asker(letter.node, letter.known.get(self.name, NOTHING_KNOWN))
            for name in self._ended:
                self._outbox.say(Goodbye(name), letter.node)
            self._commands.append(TickSoon())
        elif isinstance(letter, Ended):
            self._commands.append(ReadEndings())
        elif isinstance(letter, Words):
            self._commands.append(Hear(letter.room, letter.user, letter.words))
        elif isinstance(letter, Beat) and letter.asks:
            self._commands.append(TickSoon())
        self._supersede(now)

    def _supersede(self, now: Moment) -> bool:
        """Who has a line at another node, or a newer claim, is no longer in a grace here; whether
        anybody was."""
        gave_way = False
        for source, known_until in self._opened.take():
            needed = self.own.gives_way_from(source)
            if known_until >= needed:
                gave_way = self.own.give_way(source, now) or gave_way
                needed = self.others.give_way(source, known_until)
            if known_until < needed:
                self._opened.note(source, needed)
        return gave_way

    def _see_graces(self, now: Moment) -> None:
        for source in self._departures.take_overdue(now):
            whose = self.own if source.node == self.name else self.others
            self._departures.add(source, whose.overdue(source, now))
        self._let_go(now)

    def _let_go(self, now: Moment) -> None:
        for source, departure in self._departures.take(now):
            if source.node == self.name:
                self.own.let_go(source, departure)
                continue
            if departure.why is not Why.TOLD:
                self._cursors.note_conclusion(now)
            self.others.let_go(source, departure)

    def _take_commands(self) -> list[Command]:
        commands, self._commands = self._commands, []
        commands += [TellChoice(app, user) for app, user in self._choosing.take_changed()]
        commands += [Send(*letter) for letter in self._outbox.take_letters()]
        # What came in while this process stood still is read to its end before it is told.
        changed = set() if self.hearing.is_reading else self.versions.take_changed()
        if changed:
            commands.append(Tell(frozenset(changed)))
        if self._speech.goes_on:
            commands.append(TickSoon())
        return commands
