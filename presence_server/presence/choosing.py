"""What users choose, and what follows from it in the rooms in which they are."""

from collections.abc import Iterable, Mapping
from typing import get_args

from presence_server.presence.choices import Choice, Choices, ChosenStatus
from presence_server.presence.cursors import Cursors
from presence_server.presence.letters import ChosenByApp
from presence_server.presence.moment import Moment
from presence_server.presence.outbox import Outbox
from presence_server.presence.own_sessions import OwnSessions
from presence_server.presence.recorder import Recorder
from presence_server.presence.records import OWN, Chosen
from presence_server.presence.rooms import Rooms

# A newer version may share the database: what only that knows is no choice here.
_CHOSEN: Mapping[str, ChosenStatus] = {status: status for status in get_args(ChosenStatus)}


class Choosing:
    def __init__(
        self,
        choices: Choices,
        rooms: Rooms,
        own: OwnSessions,
        cursors: Cursors,
        outbox: Outbox,
        recorder: Recorder,
    ) -> None:
        self._choices = choices
        self._rooms = rooms
        self._own = own
        self._cursors = cursors
        self._outbox = outbox
        self._recorder = recorder
        self._changed: list[tuple[int, str]] = []

    def take_changed(self) -> list[tuple[int, str]]:
        """By app and user, whose choice has become another."""
        changed, self._changed = self._changed, []
        return changed

    def choose(
        self,
        app: int,
        user: str,
        chosen: ChosenStatus | None,
        now: Moment,
        ahead: int,
        *,
        text: str,
        until: int | None,
        account: int,
    ) -> None:
        """A user chooses at this node, which tells the others. The clock of one is `ahead` by so
        many seconds: what was chosen there without our knowledge is not later for that."""
        known, before = self._choices.newest(app, user), self._choices.holding(app, user)
        account = account if known is None else max(account, known.account)
        at = self._choices.next_at(app, user, now.unix + ahead)
        seen = before.left_behind if before is not None and chosen == "invisible" else ("", None)
        since = self._since(app, user, chosen, now)
        choice = Choice(account, at, chosen, text, until, *seen, since)
        self._put(app, user, choice, now)
        self._outbox.note_choice(app, user, choice)
        self._recorder.touch_choice(app, user)

    def hear(
        self, chosen: ChosenByApp, clock: int | None, now: Moment, *, was_asked: bool
    ) -> None:
        """Another node says what was chosen; its clock is so many seconds behind, if that is known.
        If it `was_asked`, others may not have heard it, and it may not have been written down.
        """
        for app, choices in chosen.items():
            for user, choice in choices.items():
                dated = choice.since > 0 and clock is not None
                since = (choice.since or choice.at // 1000) + (clock or 0)
                said = choice._replace(since=since, is_dated=dated)
                if self._put(app, user, said, now) and was_asked:
                    self._outbox.note_choice(app, user, said)
                    self._recorder.touch_choice(app, user)

    def heed(self, written: Iterable[Chosen], clock: int, now: Moment) -> None:
        """Take in what was written down; so many seconds are to be added to since when it holds."""
        for chosen in written:
            choice = Choice(
                chosen.account,
                chosen.at,
                _CHOSEN.get(chosen.status or ""),
                chosen.text,
                chosen.until,
                chosen.seen_text,
                chosen.seen_until,
                chosen.since and chosen.since + clock,
                is_dated=chosen.since > 0,
            )
            self._put(chosen.app, chosen.user, choice, now)

    def forget(self, user: str, account: int, now: Moment) -> None:
        """An own account was deleted: what it chose is no choice of whoever has the name next."""
        known = self._choices.holding(0, user)
        if known is not None and known.account <= account:
            self._put(0, user, Choice(known.account, known.at + 1), now)

    def end_due(self, now: Moment) -> None:
        """End those whose time is over."""
        for app, user in self._choices.end_due(now.unix):
            self._cursors.note_conclusion(now)
            # Wherever they are shown their end goes with it, which is a change.
            self._settle(app, user, now.unix, disputed=False)

    def _since(self, app: int, user: str, chosen: ChosenStatus | None, now: Moment) -> int:
        """Since when a user is as they choose: who is so already goes on being so."""
        rooms = self._rooms.of_user(app, user)
        shown = [here for room in rooms if (here := room.roster.here.get(user)) is not None]
        is_so = bool(shown) and all(person.status == chosen for person in shown)
        return min(person.since for person in shown) if is_so else now.unix

    def _put(self, app: int, user: str, choice: Choice, now: Moment) -> bool:
        """Whether it is news."""
        since = min(choice.since or choice.at // 1000, now.unix)
        if choice.hides and app == 0 and user in self._rooms.own.roster.here:
            self._recorder.note_last_seen(OWN, user, since)
        if self._choices.date(app, user, choice, now.unix):
            self._outbox.note_chosen(app, user, now)
            self._show(app, user, since, disputed=False)
        hid = self._hides(app, user)
        if not self._choices.put(app, user, choice, now.unix):
            return False
        self._outbox.note_chosen(app, user, now)
        if choice.status is None and not choice.text:
            for room in self._rooms.of_user(app, user):
                self._own.set_all_online(room, user, since, now)
        self._settle(app, user, since, disputed=not (hid and self._hides(app, user)))
        return True

    def _settle(self, app: int, user: str, since: int, *, disputed: bool) -> None:
        self._changed.append((app, user))
        self._show(app, user, since, disputed=disputed)

    def _show(self, app: int, user: str, since: int, *, disputed: bool) -> None:
        for room in self._rooms.of_user(app, user):
            room.settle(user, since, disputed=disputed)
            self._rooms.touch(room)

    def _hides(self, app: int, user: str) -> bool:
        choice = self._choices.holding(app, user)
        return choice is not None and choice.hides
