"""WebSocket frames as bytes, made once and shared by every socket that needs them."""

import struct
from collections.abc import Collection

from presence_server.presence.messages import (
    encode_alive,
    encode_changes,
    encode_degraded,
    encode_own,
    encode_snapshot,
    encode_tutorial,
)
from presence_server.presence.roster import Roster

# So many people at most are named to everybody in the moment when other nodes fall silent: each
# name is written to each socket.
MOST_OWN = 2_000

_FINAL_TEXT = 0x81
_FINAL_CLOSE = 0x88


class Forgotten(Exception):
    """The roster no longer knows all that changed, and the dialect has no snapshot."""


def text_frame(text: str) -> bytes:
    """One final, unmasked text frame, as a server sends it (RFC 6455, section 5.2).

    aiohttp documents no way to frame a message once for many sockets: `send_str` frames and awaits
    for each. Frames made here go to `request.transport`, which is documented; aiohttp writes each
    of its own frames (pings, close) in one synchronous step, so they never mix within a frame.
    """
    payload = text.encode()
    size = len(payload)
    if size < 126:
        return struct.pack("!BB", _FINAL_TEXT, size) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", _FINAL_TEXT, 126, size) + payload
    return struct.pack("!BBQ", _FINAL_TEXT, 127, size) + payload


def close_frame(code: int) -> bytes:
    return struct.pack("!BBH", _FINAL_CLOSE, 2, code)


class Frames:
    """The frames of one flush, by what a socket speaks and the version it has (None: nothing)."""

    def __init__(self, roster: Roster, name: str, heartbeat: float) -> None:
        self._roster = roster
        self._name = name
        self._heartbeat = heartbeat
        self._made: dict[tuple[bool, int | None], tuple[bytes, int]] = {}
        self._silence: bytes | None = None

    def update(self, tutorial: bool, version: int | None) -> tuple[bytes, int]:
        """What brings a socket up to date, with the version it has then.

        That version may be newer for frames made later in the same flush: people go on coming and
        going while a flush breathes.
        """
        key = (tutorial, version)
        if key not in self._made:
            encode = self._tutorial if tutorial else self._newest
            self._made[key] = encode(version), self._roster.version
        return self._made[key]

    def silence(self, own: Collection[str]) -> bytes:
        """That other nodes cannot be heard, and of whom this node knows all the same."""
        if self._silence is None:
            self._silence = text_frame(encode_degraded(True))
            if len(own) <= MOST_OWN:
                self._silence += text_frame(encode_own(own))
        return self._silence

    def alive(self, version: int) -> bytes:
        return text_frame(encode_alive(self._cursor(version)))

    def _newest(self, version: int | None) -> bytes:
        changes = None if version is None else self._roster.changes_since(version)
        cursor = self._cursor(self._roster.version)
        if changes is None:
            return text_frame(encode_snapshot(cursor, self._heartbeat, self._roster.here))
        return text_frame(encode_changes(cursor, changes))

    def _tutorial(self, version: int | None) -> bytes:
        if version is None:
            return b"".join(text_frame(encode_tutorial(name, True)) for name in self._roster.here)
        changes = self._roster.changes_since(version)
        if changes is None:
            raise Forgotten
        # Away counts as here in this dialect: only coming and going is told.
        return b"".join(
            text_frame(encode_tutorial(name, person.status in ("online", "away")))
            for name, person in changes
            if person.came > version
        )

    def _cursor(self, version: int) -> str:
        return f"{self._name}.{version}"


def read_cursor(cursor: str, name: str) -> int | None:
    """The version of a cursor of this node; None if it is another's, or no cursor at all."""
    node, _, version = cursor.partition(".")
    if node != name or not (version.isascii() and version.isdigit() and len(version) < 16):
        return None
    return int(version)
