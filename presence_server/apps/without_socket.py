"""What users say who have no socket to say it over, done where their line is."""

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from presence_server.apps.line import Line
from presence_server.apps.lines import Lines
from presence_server.apps.rooms import AppRooms
from presence_server.apps.saying import Said, read_said, words_of
from presence_server.apps.tokens import Token
from presence_server.live.wire import EventStreamWire
from presence_server.presence.names import app_of, key_of, name_of, session_of
from presence_server.presence.objects import MessageError

log = logging.getLogger(__name__)


class WithoutSocket:
    def __init__(self, rooms: AppRooms, lines: Lines) -> None:
        self._rooms = rooms
        self._lines = lines

    def say(self, token: Token, room: str, said: Said) -> bool:
        """Take in what a user said for a room; False when the line it is for cannot be reached."""
        if said.choice is not None:
            self._rooms.choose(token.app, token.user, said.choice, keep=said.keeps_status)
        words = words_of(said)
        if not words:
            return True
        found, left = self._say_here(token.app, token.user, room, said)
        if left:
            # It was that line, and none at another node.
            del words["leave"]
        if not words or found and (said.line is not None or words.keys() == {"data"}):
            return True
        if self._rooms.degraded and not found:
            return False
        self._rooms.pass_on(token.app, room, token.user, words)
        return True

    def hear(self, key: str, user: str, words: Mapping[str, Any]) -> None:
        """Another node was told what may be for a line here."""
        try:
            said = read_said(words, int(time.time()))
        except MessageError as error:
            log.debug("words that another node passed on cannot be: %s", error)
            return
        self._say_here(app_of(key), user, name_of(key), said)

    def _say_here(self, app: int, user: str, room: str, said: Said) -> tuple[bool, bool]:
        """Whether there was a line here that it is for; and whether one is known that left."""
        lines = [line for line in self._lines.of_user(app, user, room) if line.connection]
        meant = _meant(lines, said.line)
        for line in meant:
            if said.status is not None:
                self._lines.say_status(line, said.status)
        if lines and said.data is not None:
            self._lines.describe(lines[0], data=said.data.data)
        left = said.leave and self._leave_unheard(app, user, room, lines, said.line)
        return bool(meant), left

    def _leave_unheard(
        self, app: int, user: str, room: str, lines: Sequence[Line], name: str | None
    ) -> bool:
        """Whether it is known which line left: never more than one does, and none that stays."""
        if lines and name is not None:
            named = _meant(lines, name)
            for line in named:
                self._lines.leave(line)
            return bool(named)
        # The line may have been quicker to close.
        closed = self._lines.leave_with_closed(app, user, room)
        if not lines:
            self._rooms.leave(key_of(app, room), session_of(app, user))
        elif not closed and len(lines) == 1:
            self._lines.leave(lines[0])
            return True
        elif not closed:
            self._lines.leave_with_next(app, user, room)
        # One that is named may still be open at another node.
        return closed and name is None


def _meant(lines: Sequence[Line], name: str | None) -> Sequence[Line]:
    """Whose client spoke: the one that is named, or those that cannot speak for themselves."""
    if name is not None:
        return [line for line in lines if line.name == name]
    return list(filter(_is_stream, lines)) or lines


def _is_stream(line: Line) -> bool:
    return isinstance(line.observer.wire, EventStreamWire)
