"""The rooms of apps at this node: who is there, and what is done with a user in one of them."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from heapq import nsmallest
from itertools import islice
from typing import Any

from presence_server.live.clock import moment
from presence_server.live.observer import Observer
from presence_server.live.service import PresenceService
from presence_server.presence.choices import Choice, words_of
from presence_server.presence.client_messages import StatusMessage
from presence_server.presence.commands import Command
from presence_server.presence.members import Who
from presence_server.presence.merging import ISSUED, newest_about, without_nothing
from presence_server.presence.moment import Moment
from presence_server.presence.names import CLAIM, LOBBY, key_of, name_of
from presence_server.presence.records import OWN
from presence_server.presence.room import Room
from presence_server.presence.roster import Roster
from presence_server.presence.states import NOTHING, Person, Status

# In so many rooms a user may be seen at once.
_MOST_ROOMS = 50
# What stands beside a status and is nothing that lines say: it belongs to a choice.
_OF_CHOICES = ("text", "until")


def claim_of(app: int, user: str) -> str:
    """What keeps a user here who needs no line for it: as good as another session."""
    return f"{app}{CLAIM}{user}"


class _Blind:
    """What an observer is told of who may not see the room."""

    key = "blind"
    roster = Roster()
    own: Collection[str] = ()

    def choice_of(self, user: str) -> Choice | None:
        return None

    def cursor(self, version: int) -> str:
        return "blind"

    def resume(self, cursor: str, now: Moment) -> int | None:
        return None

    def is_of_elsewhere(self, cursor: str) -> bool:
        return False


BLIND = _Blind()


class AppRooms:
    def __init__(self, presence: PresenceService, most_people: int) -> None:
        self._presence = presence
        self._most_people = most_people
        self._node = presence.node

    # Questions

    @property
    def degraded(self) -> bool:
        return self._presence.degraded

    def get(self, app: int, name: str) -> Room:
        return self._node.rooms.open(key_of(app, name))

    def cursor(self, room: Room) -> str:
        return room.cursor(room.roster.version)

    def counts(
        self, app: int, limit: int | None = None, prefix: str = "", after: str | None = None
    ) -> dict[str, int]:
        """How many people are in the first of an app's rooms that have any, by their names."""
        before = len(key_of(app, ""))
        behind = "" if after is None else key_of(app, after)
        found = self._node.rooms.beginning(key_of(app, prefix), behind)
        occupied = (room for room in found if room.roster.here)
        return {room.key[before:]: len(room.roster.here) for room in islice(occupied, limit)}

    def largest(self, limit: int) -> tuple[list[tuple[int, str, int]], int]:
        """The rooms of apps with most people, each with its app and how many; and how many rooms
        have any."""
        rooms = self._node.rooms
        occupied = [room for room in rooms if room.key != OWN and room.roster.here]
        first = nsmallest(limit, occupied, key=lambda room: (-len(room.roster.here), room.key))
        named = [(room.app, name_of(room.key), len(room.roster.here)) for room in first]
        return named, len(occupied)

    def people(self, app: int) -> int:
        """How many are in any room of an app."""
        lobby = self._node.rooms.get(key_of(app, LOBBY))
        return 0 if lobby is None else len(lobby.roster.here)

    def placed(self, app: int) -> int:
        """How many are here by what its backend said to this node, in each of their rooms."""
        return self._node.own.claims_of(app)

    def is_placed(self, app: int, room: str, user: str) -> bool:
        return self._node.own.are_in(key_of(app, room), claim_of(app, user))

    def refusal(self, app: int, user: str, room: str) -> str | None:
        """Why a user can be in no further room, or not in this one; None: they can."""
        here = self.get(app, room).roster.here
        if user in here:
            return None
        if len(here) >= self._most_people:
            return "The room is full."
        if len(self.of_user(app, user)) >= _MOST_ROOMS:
            return f"The user is in {_MOST_ROOMS} rooms."
        return None

    def of_user(self, app: int, user: str) -> list[str]:
        """The rooms in which others see a user; the lobby only if it is the only one."""
        lobby = self.get(app, LOBBY).roster
        return _rooms_in(lobby, user, len(key_of(app, ""))) if user in lobby.here else []

    def is_invisible(self, app: int, user: str) -> bool:
        """Whether a user has chosen to be."""
        choice = self._node.choices.holding(app, user)
        return choice is not None and choice.hides

    def whereabouts(self, app: int, users: Iterable[str]) -> dict[str, dict[str, Any]]:
        """How users are in the app as a whole, as others see them."""
        lobby, now, before = self.get(app, LOBBY).roster, int(time.time()), len(key_of(app, ""))
        here, choice_of = lobby.here, self._node.choices.reader(app)
        return {
            user: _whereabouts(lobby, person, user, now, before)
            if (person := here.get(user)) is not None
            else _gone(lobby, user, choice_of(user))
            for user in users
        }

    # Lines

    def observe(self, observer: Observer, cursor: str | None) -> None:
        """Tell an observer of its room."""
        if observer.room is not BLIND:
            observer.enter(self._node.watch(observer.room.key))
            if cursor:
                observer.resume(cursor, moment())
        self._presence.hub.add(observer)

    def observe_instead(self, observer: Observer, key: str | None) -> None:
        """Tell it of this room from now on; of none if there is no key."""
        before = observer.room
        observer.enter(BLIND if key is None else self._node.watch(key))
        self._presence.hub.move(observer, before)
        self._unwatch(before.key)

    def stop_observing(self, observer: Observer) -> None:
        self._presence.hub.remove(observer)
        self._unwatch(observer.room.key)

    def appear(self, key: str, who: Who, status: Status | None) -> int:
        """Let a user be seen by one more line: its number."""
        return self._presence.appear(key, who, status)

    def extend(self, key: str, session: str, until: int) -> None:
        """A user's token holds until then."""
        self._do(lambda now: self._node.extend(key, session, until))

    def disappear(self, key: str, session: str, connection: int) -> None:
        """One of a user's lines is gone; without any the user stays for a grace."""
        self._do(lambda now: self._node.close(key, session, connection, now))

    # Users

    def leave(self, key: str, session: str) -> None:
        self._presence.leave(key, session)

    def set_status(self, key: str, session: str, connection: int, status: Status) -> None:
        self._presence.say_status(key, session, connection, status)

    def choose(self, app: int, user: str, said: StatusMessage, *, keep: bool = False) -> None:
        """What a user says of themself holds in all rooms of the app.

        With `keep` it is only words: the status that was chosen before goes on.
        """
        before = self._node.choices.holding(app, user) if keep else None
        status = before.status if before else said.status
        text, until = said.text or "", said.until
        self._do(lambda now: self._node.choose(app, user, status, now, text=text, until=until))

    def pass_on(self, app: int, room: str, user: str, words: Mapping[str, Any]) -> None:
        """Let other nodes hear what a user said, whose line may be there."""
        self._do(lambda now: self._node.say_words(key_of(app, room), user, words, now))

    def describe(self, key: str, session: str, user: str, changed: Mapping[str, Any]) -> None:
        """Show something else beside a status: what is empty is taken away."""
        about = without_nothing({**self._shown(key, user), **changed})
        self._do(lambda now: self._node.describe(key, session, about, now))

    def introduced(
        self, key: str, user: str, info: object, issued_at: float
    ) -> Mapping[str, Any]:
        """What is to be shown of a user who comes with a token: of their tokens the one that was
        issued last says it, at whichever node."""
        shown = self._shown(key, user)
        if shown.get(ISSUED, 0) > issued_at:
            return shown
        return {**shown, "info": info, ISSUED: issued_at}

    def place(
        self, app: int, room: str, user: str, status: Status, ttl: int, about: Mapping[str, Any]
    ) -> None:
        """Let a user be here for a while who has no line."""
        key = key_of(app, room)
        said_at = {ISSUED: int(time.time())} if "info" in about else {}
        shown = without_nothing({**self._shown(key, user), **about, **said_at})
        who = Who(claim_of(app, user), user, about=shown)
        self._do(lambda now: self._node.claim(key, who, now, status=status, ttl=ttl))

    def end_user(
        self, app: int, user: str, room: str | None = None, lines_stay: Collection[str] = ()
    ) -> None:
        """Send a user from a room, or from all; their lines stay in some rooms, by their keys."""
        key = None if room is None else key_of(app, room)
        self._do(
            lambda now: self._node.end_user(app, user, now, room=key, lines_stay=lines_stay)
        )

    def set_graces(self, of_apps: Mapping[int, float]) -> None:
        self._node.timing.set_graces(of_apps)

    def end_apps_but(self, apps: Collection[int]) -> None:
        """Let everybody go who belongs to another app."""
        for room in self._node.rooms:
            if room.app and room.app not in apps:
                for user in {*room.members.users, *room.roster.here}:
                    self.end_user(room.app, user)

    def _shown(self, key: str, user: str) -> Mapping[str, Any]:
        """What lines and claims say of a user, whether others see it or not."""
        entries = self._node.rooms.open(key).roster.entries(user).values()
        return newest_about(entries) if entries else NOTHING

    def _unwatch(self, key: str) -> None:
        if key != BLIND.key:
            self._node.unwatch(key)

    def _do(self, act: Callable[[Moment], list[Command]]) -> None:
        self._presence.carry_out(act(moment()))


def _whereabouts(
    lobby: Roster, person: Person, user: str, now: int, before: int
) -> dict[str, Any]:
    found = {"status": person.status, "since": person.since, "last_seen": now}
    words = {name: person.about[name] for name in _OF_CHOICES if name in person.about}
    return {**found, **words, "rooms": _rooms_in(lobby, user, before)}


def _gone(lobby: Roster, user: str, choice: Choice | None) -> dict[str, Any]:
    left = lobby.left(user)
    words = {} if choice is None else words_of(*choice.left_behind)
    return {"status": "offline", "since": left, "last_seen": left, **words, "rooms": []}


def _rooms_in(lobby: Roster, user: str, before: int) -> list[str]:
    # Of whom is shown in the lobby, each room of theirs shows them.
    names = {source.room[before:] for source in lobby.entries(user)}
    return sorted(names - {LOBBY}) or sorted(names)
