"""What a node has to write down: what changed, once."""

import json

from presence_server.presence.choices import Choices
from presence_server.presence.moment import Moment
from presence_server.presence.names import app_of, tag_of
from presence_server.presence.records import OWN, Chosen, Record, Stay
from presence_server.presence.rooms import Rooms


class Recorder:
    def __init__(self, rooms: Rooms, choices: Choices) -> None:
        self._rooms = rooms
        self._choices = choices
        self._touched: set[tuple[str, str]] = set()
        self._chosen: set[tuple[int, str]] = set()
        self._last_seen: dict[str, int] = {}

    def touch(self, room: str, session: str) -> None:
        """A session is in another way than before, or no longer, in a room."""
        self._touched.add((room, session))

    def touch_choice(self, app: int, user: str) -> None:
        self._chosen.add((app, user))

    def note_last_seen(self, room: str, user: str, second: int) -> None:
        """Somebody left; who is invisible has not been seen since that was chosen."""
        choice = self._choices.holding(app_of(room), user)
        if room == OWN and (choice is None or not choice.hides):
            self._last_seen[user] = max(second, self._last_seen.get(user, 0))

    def take(self, now: Moment) -> Record:
        """What was touched since the last record, as it is now."""
        stays, gone = [], set()
        self._touched |= self._rooms.take_followed()
        for room, session in self._touched:
            stay = self._stay(room, session, now)
            if stay is None:
                gone.add((room, session))
            else:
                stays.append(stay)
        chosen = [found for key in self._chosen if (found := self._choice(*key)) is not None]
        last_seen, self._last_seen = self._last_seen, {}
        self._touched, self._chosen = set(), set()
        return Record(stays, gone, last_seen, chosen)

    def _stay(self, room: str, session: str, now: Moment) -> Stay | None:
        found, tag = self._rooms.get(room), tag_of(room, session)
        member = None if found is None else found.members.get(tag)
        said = None if found is None else found.said(tag)
        if member is None or said is None:
            return None
        who = member.who
        return Stay(
            room,
            session,
            who.user,
            who.account,
            member.status,
            said.since,
            json.dumps(dict(member.about)) if member.about else "{}",
            None if member.is_open or member.is_arriving else now.elapsed - member.left.elapsed,
            who.until,
            said.came,
        )

    def _choice(self, app: int, user: str) -> Chosen | None:
        choice = self._choices.newest(app, user)
        if choice is None:
            return None
        return Chosen(
            app,
            user,
            choice.account,
            choice.status,
            choice.text,
            choice.until,
            choice.at,
            choice.seen_text,
            choice.seen_until,
            choice.since,
        )
