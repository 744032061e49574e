"""One node's whole presence: its own connections, the other nodes, and the roster that merges them.

Pure rules: time and letters come in as arguments, letters to send are taken out. Whoever drives a
node calls `tick` a few times a second and sends what `take_letters` gives.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from presence_server.presence.cluster import BEAT, DEAF, Cluster
from presence_server.presence.connections import Connections, Departure
from presence_server.presence.letters import Ask, Beat, Ended, Goodbye, Letter, parse_letter
from presence_server.presence.moment import Moment
from presence_server.presence.roster import Choice, Roster, Said, Status
from presence_server.presence.voice import Voice

# A clock that went on so much without a tick means that this process stood still; in seconds.
_PAUSE = 1.1
# What is found closed so soon after a pause was closed during it.
_AFTERMATH = 0.5

# Stands in the roster for nodes that cannot be heard; no node has such a name.
_NOTES = "notes"


class Entry(NamedTuple):
    """How a session's user is, and since when."""

    status: Status
    since: int


class Record(NamedTuple):
    """What changed and is worth writing down: sessions that are here or gone, and last seen."""

    here: dict[str, Entry]
    gone: set[str]
    last_seen: dict[str, int]


class Node:
    """One life of one server process, under a random id of 16 hexadecimal digits."""

    def __init__(self, name: str, *, grace: float, lease: float, now: Moment) -> None:
        self.name = name
        self.roster = Roster()
        self.connections = Connections(grace)
        self.cluster = Cluster(self.roster, grace, lease, now)
        self._grace = grace
        self._lease = lease
        self._voice = Voice(name)
        self._beaten = now.elapsed - lease
        self._ticked = now.elapsed
        self._late = False
        self._late_until = now.elapsed
        self._paused_for = 0.0
        self._closed_late: set[str] = set()
        self._touched: set[str] = set()
        self._last_seen: dict[str, int] = {}
        self._noted: set[str] = set()
        self.endings_due = False

    @property
    def own(self) -> Collection[str]:
        """The users whom this node itself has here: of them it knows, whatever others say."""
        return self._voice.own.keys()

    # What happens to this node's own users

    def open(self, session: str, username: str, connection: int, now: Moment) -> None:
        before = self.connections.held(session)
        self.connections.open(session, username, connection, now)
        # Thousands come back at once, and what is written down of them still holds.
        if self.connections.held(session) != before:
            self._note(session, username, now.unix)

    def close(self, session: str, connection: int, now: Moment) -> None:
        held = self.connections.held(session)
        if held is None:
            return
        self._notice_pause(now)
        self.connections.close(session, connection, now)
        self._note(session, held.username, now.unix)
        if self._late:
            self._closed_late.add(session)
        self.expire(now)

    def claim(self, session: str, username: str, now: Moment) -> None:
        """Count a session as here for one grace: it logged in or opened the list."""
        self.connections.claim(session, username, "online", now)
        self._note(session, username, now.unix)
        self.expire(now)

    def adopt(self, session: str, username: str, entry: Entry, left: int, now: Moment) -> None:
        """Count a session as here for one grace that was here before a restart, until `left`."""
        if self.connections.held(session) is None:
            self.connections.claim(session, username, entry.status, now._replace(unix=left))
            self._note(session, username, entry.since)

    def set_status(self, session: str, connection: int, status: Status, now: Moment) -> None:
        held = self.connections.held(session)
        if held is not None:
            self.connections.set_status(session, connection, status)
            self._note(session, held.username, now.unix)

    def choose(self, username: str, status: Status, now: Moment) -> None:
        """Let a user's own choice hold for all of their connections, on all nodes."""
        known = self.roster.choice_of(username)
        # A second is too coarse to order two clicks.
        choice = Choice(now.unix if known is None else max(now.unix, known.at + 1), status)
        if username in self._voice.own:
            self._follow(username, choice)

    def end(self, session: str, now: Moment) -> None:
        """End a session: what it held here is gone at once."""
        departure = self.connections.end(session, now)
        if departure is not None:
            self._depart(departure)

    def delete(self, username: str, at: int) -> None:
        """Take a deleted account out, whose sessions have all been ended before."""
        self.roster.delete(username, at)
        own = self._voice.own.get(username)
        if own is not None:
            # Whoever is still here has a new account of that name.
            self._place(username, own.status, max(own.since, at), own.choice)

    def expire(self, now: Moment) -> None:
        self._notice_pause(now)
        if self._late:
            # Those who came back during the pause wait to be let in.
            return
        for departure in self.connections.expire(now.elapsed - self.cluster.catching_up(now)):
            self._depart(departure)

    # What happens between nodes

    def receive(self, text: str, now: Moment) -> None:
        """Take in a letter; MessageError if it is none."""
        letter = parse_letter(text)
        self._notice_pause(now)
        if letter.node != self.name:
            self._read(letter, now)
        elif isinstance(letter, Beat):
            self.cluster.echo(letter.mark, now)

    def tick(self, now: Moment) -> None:
        """Do what is due: graces, batches, answers, beats."""
        self._notice_pause(now)
        self._ticked = now.elapsed
        self.cluster.tick(now)
        self._catch_up(now)
        self.expire(now)
        if not self._late or self._paused_for < self._lease:
            # Others may have let these people go already: first see who is really here.
            self._voice.say_changes()
            self._voice.answer()
        self._ask()
        if self.cluster.needs_probe or now.elapsed - self._beaten >= BEAT * self._lease:
            self.cluster.needs_probe = False
            self._beaten = now.elapsed
            self._voice.say_beat(now.elapsed)

    def heed(self, noted: Mapping[str, Entry], now: Moment) -> None:
        """Count those as here, too, whom other nodes wrote down while they cannot be heard."""
        for username in self._noted - noted.keys():
            self.roster.remove(_NOTES, username, now.unix)
        for username, entry in noted.items():
            self.roster.place(_NOTES, username, entry.status, entry.since)
        self._noted = set(noted)

    def say_ended(self) -> None:
        """Tell the other nodes that sessions have ended."""
        self._voice.say(Ended(self.name))

    def say_goodbye(self) -> None:
        """The last letter: this node's people are in their grace from now on."""
        self._voice.say_changes()
        self._voice.say(Goodbye(self.name))

    def take_letters(self) -> list[tuple[str, str | None]]:
        """What is to be sent, in order: each text with the node it is for, or None for all."""
        return self._voice.take_letters()

    def take_record(self, *, whole: bool = False) -> Record:
        """What changed since the last record; on demand with all that is here."""
        if whole:
            self._touched.update(self.connections.sessions())
        here: dict[str, Entry] = {}
        gone: set[str] = set()
        for session in self._touched:
            held = self.connections.held(session)
            if held is None:
                gone.add(session)
            else:
                here[session] = Entry(held.status, self._voice.own[held.username].since)
        last_seen, self._last_seen, self._touched = self._last_seen, {}, set()
        return Record(here, gone, last_seen)

    # How

    def _note(self, session: str, username: str, since: int) -> None:
        self._touched.add(session)
        self._settle(username, since)

    def _depart(self, departure: Departure) -> None:
        known = self._last_seen.get(departure.username, departure.left)
        self._last_seen[departure.username] = max(known, departure.left)
        self._note(departure.session, departure.username, departure.left)

    def _settle(self, username: str, since: int) -> None:
        status = self.connections.status_of(username)
        known = self._voice.own.get(username)
        if status is None:
            if known is not None:
                self.roster.remove(self.name, username, since)
                self._voice.remove(username, since)
        elif known is None or known.status != status:
            self._place(username, status, since, self.roster.choice_of(username))

    def _place(self, username: str, status: Status, since: int, choice: Choice | None) -> None:
        self.roster.place(self.name, username, status, since, choice)
        person = self.roster.here.get(username)
        if person is not None and person.status == status:
            # Already so on another node: all nodes shall name the same second.
            since = person.since
        self._voice.place(username, Said(status, since, choice))

    def _follow(self, username: str, choice: Choice) -> None:
        """Make a choice one's own, and say so: it holds as long as those who know it are here."""
        if choice.status == "online":
            self.connections.set_all(username, "online")
        status = self.connections.status_of(username)
        assert status is not None
        self._place(username, status, choice.at, choice)

    def _notice_pause(self, now: Moment) -> None:
        """See whether this process stood still, before anything that came in meanwhile counts."""
        seconds = now.elapsed - self._ticked
        if seconds < _PAUSE:
            return
        self._ticked = now.elapsed
        self._paused_for = seconds + (self._paused_for if self._late else 0.0)
        self._late = True
        self._late_until = now.elapsed + _AFTERMATH
        self.cluster.stalled(now)

    def _catch_up(self, now: Moment) -> None:
        late_by = now.elapsed - self._late_until
        if not self._late or late_by < 0:
            return
        if late_by < DEAF * self._lease and not self.cluster.knows_all(now):
            return
        self._late = False
        # Their grace has passed during the pause, and others may have seen them go already.
        for session in self._closed_late if self._paused_for >= self._grace else ():
            if self.connections.is_resting(session):
                self.end(session, now)
        self._closed_late.clear()

    def _read(self, letter: Letter, now: Moment) -> None:
        people = self.cluster.hear(letter, now)
        if isinstance(letter, Ask) and letter.node in self.cluster.peers:
            self._voice.note_asker(letter.node)
        elif isinstance(letter, Ended):
            self.endings_due = True
        for username, choice in people.choices.items() if people else ():
            own = self._voice.own.get(username)
            if own is not None and (own.choice is None or own.choice < choice):
                self._follow(username, choice)

    def _ask(self) -> None:
        for node in self.cluster.asks:
            self._voice.say(Ask(self.name), node)
        self.cluster.asks = set()
