"""The sessions that are in rooms by way of this node: what they do, and what that means."""

import json
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from presence_server.presence.departures import Departures
from presence_server.presence.entries import ARRIVING, Entry, Source
from presence_server.presence.hearing import Hearing
from presence_server.presence.members import Member, Who
from presence_server.presence.merging import counted, merged_status, without_nothing
from presence_server.presence.moment import Moment
from presence_server.presence.names import is_claim, tag_of
from presence_server.presence.pending import Departure, Why
from presence_server.presence.records import Stay
from presence_server.presence.recorder import Recorder
from presence_server.presence.room import Room
from presence_server.presence.rooms import Rooms
from presence_server.presence.states import Status
from presence_server.presence.stays import left_second
from presence_server.presence.timing import ARRIVAL_WAITS, Timing


class OwnSessions:
    def __init__(
        self,
        node: str,
        timing: Timing,
        rooms: Rooms,
        hearing: Hearing,
        departures: Departures,
        recorder: Recorder,
    ) -> None:
        self._node = node
        self._timing = timing
        self._rooms = rooms
        self._hearing = hearing
        self._departures = departures
        self._recorder = recorder
        # The rooms in which each session is.
        self._places: dict[str, set[str]] = {}
        # How many claims of each app's users there are, each in one room.
        self._claims: Counter[int] = Counter()

    def __len__(self) -> int:
        return len(self._places)

    def claims_of(self, app: int) -> int:
        return self._claims[app]

    def are_in(self, room: str, session: str) -> bool:
        """Whether one of them keeps its user in a room by way of this node."""
        return room in self._places.get(session, ())

    def open(self, key: str, who: Who, connection: int, status: Status | None, now: Moment) -> None:
        room, tag = self._rooms.open(key), tag_of(key, who.session)
        said = self._status_of(room, tag, who.user) if status is None else status
        room.members.open(tag, who, connection, said, now)
        self._departures.cancel(self._source(room, tag))
        self._say(room, who, now.unix)
        if who.account:
            # The other sessions may end before this one.
            for source, entry in [*room.roster.entries(who.user).items()]:
                room.take_over_about(source.tag, entry)

    def arrive(self, key: str, who: Who, now: Moment) -> None:
        """Somebody who comes from other nodes is about to open a line, when these have told all
        they know. They hear of it at once: this node may fall silent meanwhile."""
        room, tag = self._rooms.open(key), tag_of(key, who.session)
        member = room.members.get(tag)
        if member is not None and member.is_open:
            return
        if member is None:
            status = self._status_of(room, tag, who.user)
            room.members.rest(tag, who, status, now._replace(elapsed=ARRIVING))
        source = self._source(room, tag)
        self._departures.cancel(source)
        lasts = max(self._timing.grace_in(key), 2 * ARRIVAL_WAITS)
        self._departures.rest(source, now.elapsed + lasts)
        self._say(room, who, now.unix)

    def close(self, key: str, session: str, connection: int, now: Moment) -> None:
        room, tag = self._rooms.open(key), tag_of(key, session)
        if not room.members.close(tag, connection, self._closed_at(room, tag, now)):
            return
        member = room.members.get(tag)
        assert member is not None
        self._say(room, member.who, now.unix)
        if not member.is_open:
            until = member.left.elapsed + self._timing.grace_in(key)
            self._departures.rest(self._source(room, tag), until)

    def claim(self, key: str, who: Who, status: Status, ttl: float | None, now: Moment) -> None:
        """For one grace, or for so many seconds."""
        room, tag = self._rooms.open(key), tag_of(key, who.session)
        grace = self._timing.grace_in(key)
        # As if its last connection were to close when only a grace is left.
        left = now if ttl is None else Moment(now.elapsed + ttl - grace, now.unix + int(ttl))
        lasts = (grace if ttl is None else ttl) > 0
        if not (lasts and room.members.rest(tag, who, status, left)):
            return
        if ttl is not None:
            # Of claims of a user in the same room the newest holds, at whichever node.
            self._show(room, tag, who.about, now)
        source = self._source(room, tag)
        self._departures.cancel(source)
        self._departures.rest(source, left.elapsed + grace)
        self._say(room, who, now.unix)

    def adopt(self, stay: Stay, now: Moment) -> None:
        """Let a session go on here that was at a node that is no more."""
        room, tag = self._rooms.open(stay.room), tag_of(stay.room, stay.session)
        if room.members.get(tag) is not None:
            return
        resting, grace = stay.resting or 0.0, self._timing.grace_in(stay.room)
        left = Moment(now.elapsed - resting, left_second(stay, grace, now))
        if resting >= grace:
            self._recorder.touch(stay.room, stay.session)
            self._recorder.note_last_seen(stay.room, stay.user, left.unix)
            return
        who = Who(stay.session, stay.user, stay.account, json.loads(stay.about), stay.until)
        room.members.rest(tag, who, stay.status, left)
        member = room.members.get(tag)
        assert member is not None
        member.came = min(stay.came or stay.since, now.unix)
        self._say(room, who, min(stay.since, now.unix))
        self._departures.rest(self._source(room, tag), left.elapsed + grace)

    def set_status(
        self, key: str, session: str, connection: int, status: Status, now: Moment
    ) -> None:
        room = self._rooms.open(key)
        member = room.members.get(tag_of(key, session))
        if member is not None and connection in member.connections:
            member.connections[connection], member.said = status, now.unix
            self._say(room, member.who, now.unix)

    def set_all_online(self, room: Room, user: str, since: int, now: Moment) -> None:
        """All that was said on lines until a second, of which this node may have come to know late.
        What a backend said of its user is not theirs to say."""
        for tag, member in list(room.members.of_user(user).items()):
            if member.said <= since and not is_claim(tag):
                member.resting = "online"
                member.connections = dict.fromkeys(member.connections, "online")
                self._say(room, member.who, now.unix)

    def extend(self, key: str, session: str, until: int) -> None:
        member = self._rooms.open(key).members.get(tag_of(key, session))
        if member is not None:
            member.extend(until)
            self._recorder.touch(key, session)

    def describe(self, key: str, session: str, about: Mapping[str, Any], now: Moment) -> None:
        room, tag = self._rooms.open(key), tag_of(key, session)
        member = room.members.get(tag)
        if member is not None and member.about != about:
            self._show(room, tag, about, now)
            self._say(room, member.who, now.unix)

    def set_data(
        self, key: str, session: str, data: Mapping[str, Any], now: Moment
    ) -> None:
        """Show this of the user of an own account, on whichever of their sessions it was said."""
        room, tag = self._rooms.open(key), tag_of(key, session)
        member = room.members.get(tag)
        if member is None:
            return
        self.describe(key, session, without_nothing({**member.about, "data": data}), now)
        said = room.roster.entries(member.who.user)[self._source(room, tag)]
        room.take_over_about(tag, said)

    def end(self, room: Room, tag: str, at: int, now: Moment) -> bool:
        """Let a session go without a grace; False if it is not here."""
        if room.members.get(tag) is None:
            return False
        self._departures.add(
            self._source(room, tag), Departure(Why.ENDED, now.elapsed, at)
        )
        return True

    def gives_way_from(self, source: Source) -> float:
        """Another node must have had its line when it knew, or could know, that this one has none
        any more, at this moment: or each of two nodes might give way to a line that the other has
        lost meanwhile."""
        room = self._rooms.get(source.room)
        member = None if room is None else room.members.get(source.tag)
        if member is None or member.is_open or is_claim(source.tag):
            return -math.inf
        return member.left.elapsed

    def give_way(self, source: Source, now: Moment) -> bool:
        """A session has a line at another node, or a newer claim: what rests of it here goes, and
        nobody sees that. False if nothing does."""
        room = self._rooms.get(source.room)
        member = None if room is None else room.members.get(source.tag)
        if room is None or member is None or member.is_open:
            return False
        entry = room.views.get(source.node, {}).get(source.tag)
        if entry is None or not (entry.left is None or self._is_newer(source, entry, member)):
            return False
        if self._departures.is_leaving(source):
            # Or each of two nodes might give way to the other's line, which has closed.
            return False
        if self._departures.has_ended(self._source(room, source.tag)):
            return False
        self.release(room, source.tag, min(member.left.unix, now.unix))
        return True

    def _is_newer(self, source: Source, entry: Entry, member: Member) -> bool:
        """Whether it is a later claim; of two at once all nodes take the same."""
        later = (entry.order, source.node) > (member.order, self._node)
        return is_claim(source.tag) and later

    def overdue(self, source: Source, now: Moment) -> Departure:
        """The departure of somebody whose grace is over."""
        member = self._rooms.open(source.room).members.get(source.tag)
        assert member is not None
        return Departure(Why.GRACE, now.elapsed, min(member.left.unix, now.unix))

    def let_go(self, source: Source, departure: Departure) -> None:
        room = self._rooms.open(source.room)
        if room.members.get(source.tag) is not None:
            member = self.release(room, source.tag, departure.since)
            if departure.why is Why.ENDED:
                room.dispute(member.who.user)
            self._recorder.note_last_seen(room.key, member.who.user, departure.since)

    def release(self, room: Room, tag: str, since: int) -> Member:
        self._departures.forget(self._source(room, tag))
        member = room.members.release(tag)
        self._say(room, member.who, since)
        return member

    def touch_all(self) -> None:
        """All of them are to be written down."""
        for session, rooms in self._places.items():
            for room in rooms:
                self._recorder.touch(room, session)

    def _source(self, room: Room, tag: str) -> Source:
        return Source(self._node, room.key, tag)

    def _status_of(self, room: Room, tag: str, user: str) -> Status:
        """How a line begins that says nothing: a further one here is activity, else the session
        goes on as it was, wherever that is known."""
        member = room.members.get(tag)
        if member is not None and member.is_open:
            return "online"
        entries = {
            source: entry
            for source, entry in room.roster.entries(user).items()
            if source.tag == tag and source.room == room.key
        }
        return merged_status(counted(entries)) if entries else "online"

    def _closed_at(self, room: Room, tag: str, now: Moment) -> Moment:
        """When a line was closed that is found closed now. Of one that was closed while this
        process stood still so much of a grace is left as others still show whom it had."""
        member = room.members.get(tag)
        waking = self._hearing.is_waking
        if not waking or member is None or member.opened >= self._hearing.awake_since:
            return now
        grace = self._timing.grace_in(room.key)
        held = self._timing.still_held(grace, self._hearing.paused_for)
        return now._replace(elapsed=now.elapsed - (grace - held))

    def _show(self, room: Room, tag: str, about: Mapping[str, Any], now: Moment) -> None:
        """Let this be newer than all that others say of the user."""
        member = room.members.get(tag)
        assert member is not None
        entries = room.roster.entries(member.who.user).values()
        newest = max((entry.order for entry in entries), default=0)
        member.about, member.order = about, max(now.unix, newest + 1)

    def _say(self, room: Room, who: Who, since: int) -> None:
        session, tag = who.session, tag_of(room.key, who.session)
        if not room.say(tag, who.user, since):
            return
        self._recorder.touch(room.key, session)
        is_here = room.members.get(tag) is not None
        if is_claim(tag):
            self._claims[room.app] += is_here - self.are_in(room.key, session)
        if is_here:
            self._places.setdefault(session, set()).add(room.key)
        else:
            self._places[session].discard(room.key)
            if not self._places[session]:
                del self._places[session]
        self._rooms.touch(room)
