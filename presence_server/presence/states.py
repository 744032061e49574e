"""How users are, as observers are told of it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

# `busy` is never said by a page of itself: users choose it, or a backend says it of somebody.
Status = Literal["online", "busy", "away"]
State = Literal["online", "busy", "away", "offline", "deleted"]

PRECEDENCE: tuple[Status, ...] = ("online", "busy", "away")
NOTHING: Mapping[str, Any] = MappingProxyType({})


class Person(NamedTuple):
    """A user's newest state, and the versions of its last change and last coming or going.

    `about` is what is shown beside the status, and `about_version` that of its last change. Who is
    offline may have nobody told since when (`hides_since`), or it is not known here: then it is 0.
    `here` is the second in which the stay began of who is here.
    """

    status: State
    since: int
    version: int
    came: int
    about: Mapping[str, Any] = NOTHING
    about_version: int = 0
    hides_since: bool = False
    here: int = 0
