"""The open lines of apps' users at this node, and what is done over each."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from presence_server.apps.known import KnownApps
from presence_server.apps.line import Line
from presence_server.apps.permissions import Permission
from presence_server.apps.rooms import AppRooms
from presence_server.apps.tokens import Token, TokenRefused
from presence_server.live.farewells import (
    FULL,
    LEFT,
    NOT_ALLOWED,
    REFUSALS,
    REVOKED,
    TOKEN_EXPIRED,
    TOKEN_INVALID,
    Farewell,
)
from presence_server.live.hub import Hub
from presence_server.presence.client_messages import (
    ClientMessage,
    DataMessage,
    LeaveMessage,
    StatusMessage,
    TokenMessage,
    WatchMessage,
)
from presence_server.presence.members import Who
from presence_server.presence.merging import without_nothing
from presence_server.presence.states import Status

# Seconds before its end in which a line is told that its token ends.
_WARNING = 60
_LOOK_AGAIN = 0.1
# A page says that it leaves, and its socket closes, in whichever order.
_CLOSES_WITHIN = 5.0


class Lines:
    def __init__(self, apps: KnownApps, rooms: AppRooms, hub: Hub) -> None:
        self._apps = apps
        self._rooms = rooms
        self._hub = hub
        # Of each user in the order in which their tokens came.
        self._lines: defaultdict[tuple[int, str], dict[Line, None]] = defaultdict(dict)
        # Until when a line of theirs that closes does so for good, by app, user and room.
        self._leaving: dict[tuple[int, str, str], float] = {}
        # Until when it may still be said that one of theirs which closed did so for good.
        self._closed: dict[tuple[int, str, str], float] = {}

    def __iter__(self) -> Iterator[Line]:
        return iter([line for lines in self._lines.values() for line in lines])

    def of_user(self, app: int, user: str, room: str | None = None) -> list[Line]:
        """A user's lines to one room, or to all."""
        lines = self._lines.get((app, user), ())
        return [line for line in lines if room in (None, line.room)]

    # Their life

    def who_by(self, line: Line) -> Who:
        """Who is here by it, with what its token says of them."""
        about = without_nothing(self._introduced(line, line.token))
        return Who(line.session, line.user, about=about, until=int(line.token.expires_at))

    def open(self, line: Line, cursor: str | None, status: Status | None) -> None:
        self._put_last(line)
        # It may stand in the place of that one, which nobody speaks for any more.
        self._closed.pop((line.app, line.user, line.room), None)
        self._rooms.observe(line.observer, cursor)
        permission, over = line.permission, self._refusal(line)
        if permission is None or over is not None:
            # It was so while the upgrade was under way.
            self.dismiss(line, over or REVOKED)
            return
        if permission.is_seen:
            self._appear(line, status)
        self._plan(line)

    def close(self, line: Line) -> None:
        """Its connection is gone; its user stays for a grace."""
        self._forget(line)
        whose = line.app, line.user, line.room
        if self._leaving.pop(whose, 0.0) > time.monotonic():
            self._vanish(line)
        elif line.connection:
            self._note_closed(whose)
            self._disappear(line)
        self._rooms.stop_observing(line.observer)

    def dismiss(self, line: Line, farewell: Farewell) -> None:
        self._hub.dismiss(line.observer, farewell)

    def leave(self, line: Line) -> None:
        """Its user goes from the room, as far as that is for this line to say."""
        self._vanish(line)
        self.dismiss(line, LEFT)

    def leave_with_closed(self, app: int, user: str, room: str) -> bool:
        """Whether a line closed just now of which nobody has said yet that it did so for good."""
        return self._closed.pop((app, user, room), 0.0) > time.monotonic()

    def leave_with_next(self, app: int, user: str, room: str) -> None:
        """A line closes for good; which one shows when it does."""
        now = time.monotonic()
        waiting = {who: until for who, until in self._leaving.items() if until > now}
        self._leaving = waiting | {(app, user, room): now + _CLOSES_WITHIN}

    # What comes over them

    def hear(self, line: Line, message: ClientMessage) -> None:
        match message:
            case TokenMessage(text):
                self._renew(line, text)
            case WatchMessage() if line.permission is not None and line.permission.sees:
                self._hub.watch(line.observer, message.users, message.cursor)
            case StatusMessage() if self._may_say(line, message):
                self.say_status(line, message)
            case DataMessage(data) if line.connection:
                self.describe(line, data=data)
            case LeaveMessage():
                self.leave(line)
            case _:
                self.dismiss(line, NOT_ALLOWED)

    def say_status(self, line: Line, message: StatusMessage) -> None:
        status = message.status
        if message.whole_user:
            self._rooms.choose(line.app, line.user, message)
        elif status != "invisible":
            self._rooms.set_status(line.key, line.session, line.connection, status)

    def describe(self, line: Line, **changed: Any) -> None:
        self._rooms.describe(line.key, line.session, line.user, changed)

    def _may_say(self, line: Line, message: StatusMessage) -> bool:
        allowed = message.status != "invisible" or line.token.may_be_invisible
        return bool(line.connection) and allowed

    def _renew(self, line: Line, text: str) -> None:
        try:
            token = self._apps.token(text, time.time())
        except TokenRefused as refused:
            self.dismiss(line, REFUSALS[refused.reason])
            return
        if (token.app, token.user) != (line.app, line.user):
            self.dismiss(line, TOKEN_INVALID)
            return
        if self._apps.is_revoked(token, line.room):
            self.dismiss(line, REVOKED)
            return
        before, line.token = line.permission, token
        self._put_last(line)
        self._allow(line, before)

    def _allow(self, line: Line, before: Permission | None) -> None:
        permission = line.permission
        if permission is None:
            self._vanish(line)
            self.dismiss(line, NOT_ALLOWED)
            return
        if before is None or before.sees != permission.sees:
            self._rooms.observe_instead(line.observer, line.key if permission.sees else None)
        if permission.is_seen:
            self._appear(line, None)
        elif line.connection:
            self._vanish(line)
        self._plan(line)

    # What ends them

    def revoke(self, app: int, user: str, room: str | None, issued_before: int) -> None:
        """Nothing that was issued up to then keeps a user here; with what is newer they stay."""
        lines_stay = set()
        for line in self.of_user(app, user, room):
            if line.token.issued_at <= issued_before:
                self.dismiss(line, REVOKED)
            else:
                lines_stay.add(line.key)
        self._rooms.end_user(app, user, room, lines_stay)

    def heed_apps(self) -> None:
        """Apps or their keys have changed: whoever came by one that is gone has to go."""
        for line in self:
            farewell = self._refusal(line)
            if farewell is not None:
                self.dismiss(line, farewell)
        apps = self._apps.all()
        self._rooms.end_apps_but({app.id for app in apps})
        graces = {app.id: app.settings.grace for app in apps if app.settings.grace is not None}
        self._rooms.set_graces(graces)

    # How

    def _refusal(self, line: Line) -> Farewell | None:
        if self._apps.get(line.app) is None or self._apps.is_revoked(line.token, line.room):
            return REVOKED
        if not self._apps.has_key(line.token):
            # With a token of the new key it will be as if it had never been away.
            return TOKEN_INVALID
        return None

    def _appear(self, line: Line, status: Status | None) -> None:
        if not line.connection:
            if self._rooms.refusal(line.app, line.user, line.room) is not None:
                self.dismiss(line, FULL)
                return
            line.connection = self._rooms.appear(line.key, self.who_by(line), status)
        else:
            self._rooms.extend(line.key, line.session, int(line.token.expires_at))
        # Of a user's tokens the one issued last says what is shown; of the same second, that came.
        lines = self.of_user(line.app, line.user)
        newest = max(reversed(lines), key=lambda other: other.token.issued_at).token
        for other in lines:
            if other.connection:
                self.describe(other, **self._introduced(other, newest))

    def _introduced(self, line: Line, token: Token) -> Mapping[str, Any]:
        return self._rooms.introduced(line.key, line.user, token.info, token.issued_at)

    def _disappear(self, line: Line) -> None:
        if line.connection:
            connection, line.connection = line.connection, 0
            self._rooms.disappear(line.key, line.session, connection)

    def _vanish(self, line: Line) -> None:
        """Its user is no longer seen by this line, without a grace."""
        self._disappear(line)
        if not any(other.connection for other in self.of_user(line.app, line.user, line.room)):
            self._rooms.leave(line.key, line.session)

    def _note_closed(self, whose: tuple[int, str, str]) -> None:
        now = time.monotonic()
        self._closed.pop(whose, None)
        self._closed[whose] = now + _CLOSES_WITHIN
        # Those that closed first come first.
        while self._closed[first := next(iter(self._closed))] <= now:
            del self._closed[first]

    def _put_last(self, line: Line) -> None:
        lines = self._lines[line.app, line.user]
        lines.pop(line, None)
        lines[line] = None

    def _forget(self, line: Line) -> None:
        if line.timer is not None:
            line.timer.cancel()
        lines = self._lines[line.app, line.user]
        lines.pop(line, None)
        if not lines:
            del self._lines[line.app, line.user]

    def _plan(self, line: Line) -> None:
        """See to the end of its token: a word before it, and then the end of the line."""
        ends_at = line.token.ends_at(time.time())
        self._at(line, ends_at - _WARNING, self._warn, line, ends_at)

    def _warn(self, line: Line, ends_at: float) -> None:
        if not line.observer.greeted:
            # The first message says who is here.
            self._at(line, time.time() + _LOOK_AGAIN, self._warn, line, ends_at)
            return
        seconds = max(0, round(ends_at - time.time()))
        self._hub.say(line.observer, line.observer.dialect.expiring(seconds))
        self._at(line, ends_at, self.dismiss, line, TOKEN_EXPIRED)

    def _at(self, line: Line, second: float, act: Callable[..., None], *values: Any) -> None:
        if line.timer is not None:
            line.timer.cancel()
        wait = max(0.0, second - time.time())
        line.timer = asyncio.get_running_loop().call_later(wait, act, *values)
