"""Who came into rooms and left them, and when: what is yet to be written of that.

All nodes follow this and one of them writes it. So they remember for a while what they saw: the one
that writes may die before it has, and another goes on.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from presence_server.presence.timing import CLOCKS_DIFFER

Place = tuple[str, str]


class Visit(NamedTuple):
    """One stay of a user in a room, by its key; `left` is None while it goes on.

    `account` is the number of an own account, 0 for users of apps.
    """

    room: str
    user: str
    account: int
    came: int
    left: int | None = None

    @property
    def place(self) -> Place:
        return self.room, self.user

    @property
    def key(self) -> tuple[str, str, int]:
        return self.room, self.user, self.came

    def not_after(self, now: int) -> "Visit":
        """With no second that is to come, but for what clocks may differ."""
        left = None if self.left is None else _not_after(self.left, now)
        return self._replace(came=_not_after(self.came, now), left=left)


class Visits:
    def __init__(self) -> None:
        self._going_on: dict[Place, Visit] = {}
        self._rooms: dict[str, set[str]] = {}
        # What is to be written, the newest state of each visit.
        self._news: dict[tuple[str, str, int], Visit] = {}

    def see(self, room: str, user: str, account: int, here: bool, since: int) -> None:
        """A user of a room is here or not, since a second."""
        going_on = self._going_on.get((room, user))
        if here and going_on is not None and going_on.account < account:
            # Whoever had the name before was deleted, and all that was kept of them.
            self._news.pop(going_on.key, None)
            going_on = None
        if here and going_on is None:
            self._begin(Visit(room, user, account, since))
        elif going_on is not None and not here:
            self._end(going_on, since)

    def see_all(
        self,
        room: str,
        here: Mapping[str, tuple[int, int]],
        left: Mapping[str, int],
        now: int,
    ) -> None:
        """These are in a room, by their accounts and seconds, and nobody else; `left` has those of
        whom it is known since when."""
        for user, (account, since) in here.items():
            self.see(room, user, account, True, since)
        for user in self._rooms.get(room, set()) - here.keys():
            self.see(room, user, 0, False, left.get(user, now))

    def go_on(self, written: Iterable[Visit], known_until: int | None) -> None:
        """Go on with what another has written as not yet ended, of which it is known up to a second
        that it was so."""
        by_place = {visit.place: visit for visit in written}
        ended = {visit.place: visit for visit in self._news.values() if visit.left is not None}
        for place, visit in by_place.items():
            seen = self._going_on.get(place)
            if place in ended:
                self._end_written(visit, ended[place])
            elif seen is None:
                self._end(visit, known_until or visit.came)
            else:
                self._news.pop(seen.key, None)
                self._going_on[place] = seen._replace(came=visit.came)
        for place, visit in self._going_on.items():
            if place not in by_place or place in ended:
                self._note(visit)

    def take(self) -> list[Visit]:
        """What is to be written, in the order in which it happened."""
        news, self._news = list(self._news.values()), {}
        return news

    def give_back(self, visits: Iterable[Visit]) -> None:
        """They could not be written."""
        later, self._news = self._news, {}
        for visit in (*visits, *later.values()):
            self._note(visit)

    def forget(self, before: int) -> None:
        """Whoever writes has surely written what ended before a second."""
        self._news = {
            key: visit
            for key, visit in self._news.items()
            if visit.left is not None and visit.left >= before
        }

    def forget_all_but(self, most: int) -> None:
        """Remember so many that have ended, the last ones, if nobody can write."""
        if len(self._news) > most:
            ended = [visit.key for visit in self._news.values() if visit.left is not None]
            for key in ended[:-most]:
                del self._news[key]

    def leave_out(self, rooms: Collection[str]) -> None:
        """The visits of these rooms are no longer kept."""
        for room in rooms:
            for user in self._rooms.pop(room, ()):
                del self._going_on[room, user]
        self._news = {key: visit for key, visit in self._news.items() if visit.room not in rooms}

    def recede(self, now: int) -> None:
        """What is to come has been said by a clock that was wrong."""
        self._going_on = {place: visit.not_after(now) for place, visit in self._going_on.items()}
        news = [visit.not_after(now) for visit in self._news.values()]
        self._news = {visit.key: visit for visit in news}

    def rooms(self) -> list[str]:
        """Where visits go on."""
        return list(self._rooms)

    def _begin(self, visit: Visit) -> None:
        self._going_on[visit.place] = visit
        self._rooms.setdefault(visit.room, set()).add(visit.user)
        self._note(visit)

    def _end(self, visit: Visit, since: int) -> None:
        if self._going_on.pop(visit.place, None) is not None:
            self._rooms[visit.room].discard(visit.user)
            if not self._rooms[visit.room]:
                del self._rooms[visit.room]
        self._note(visit._replace(left=max(since, visit.came)))

    def _end_written(self, visit: Visit, last: Visit) -> None:
        """Its end is among the news, of which this is the last end."""
        if last.left is not None and last.left < visit.came:
            # Whoever wrote it has a clock that is ahead of ours.
            del self._news[last.key]
            self._note(visit._replace(left=visit.came))

    def _note(self, visit: Visit) -> None:
        self._news.pop(visit.key, None)
        self._news[visit.key] = visit


def _not_after(second: int, now: int) -> int:
    return second if second <= now + CLOCKS_DIFFER else now
