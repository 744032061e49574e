"""Which rooms a token opens, and what may be done there. Pure."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Self

MOST_PATTERNS = 32

_ROOM = re.compile(r"[A-Za-z0-9_=@.,;:-]{1,128}")
_PATTERN = re.compile(r"(?=.{1,128}\Z)[A-Za-z0-9_=@.,;:-]*\*?")


class Permission(StrEnum):
    JOIN = "join"
    WATCH = "watch"
    APPEAR = "appear"

    @property
    def sees(self) -> bool:
        return self is not Permission.APPEAR

    @property
    def is_seen(self) -> bool:
        return self is not Permission.WATCH


class Permissions:
    """What a token says about rooms: an exact name beats the longest pattern that fits."""

    def __init__(self, rooms: Mapping[str, Permission]) -> None:
        self.rooms = dict(rooms)
        prefixes = [pattern[:-1] for pattern in rooms if pattern.endswith("*")]
        self._longest_first = sorted(prefixes, key=len, reverse=True)

    def of(self, room: str) -> Permission | None:
        if room in self.rooms:
            return self.rooms[room]
        for prefix in self._longest_first:
            if room.startswith(prefix):
                return self.rooms[f"{prefix}*"]
        return None

    @classmethod
    def read(cls, rooms: object) -> Self:
        """The claim `rooms`. Raises ValueError, whose text is the rest of a sentence."""
        if not isinstance(rooms, dict):
            raise ValueError("no object of rooms")
        if len(rooms) > MOST_PATTERNS:
            raise ValueError(f"more than {MOST_PATTERNS} rooms")
        return cls({_pattern(room): _permission(word) for room, word in rooms.items()})


def is_room(name: str) -> bool:
    return _ROOM.fullmatch(name) is not None


def is_pattern(text: str) -> bool:
    return _PATTERN.fullmatch(text) is not None


def _pattern(text: str) -> str:
    if not is_pattern(text):
        raise ValueError("a name that is no room and no pattern with its * at the end")
    return text


def _permission(word: object) -> Permission:
    try:
        return Permission(word)  # type: ignore[arg-type]  # whatever it is, it may not be one
    except ValueError:
        raise ValueError("a permission other than join, watch and appear") from None
