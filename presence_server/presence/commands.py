"""What a node wants done by whoever drives it, in the order in which it is to be done."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Send(NamedTuple):
    """A letter for one node, or for all."""

    text: str
    to: str | None


class Tell(NamedTuple):
    """Something changed in these rooms, by their keys: observers are to be told."""

    rooms: frozenset[str]


class TellChoice(NamedTuple):
    """A user has chosen something, or it is over: their own lines are to be told."""

    app: int
    user: str


class TickSoon(NamedTuple):
    """There is something to say to other nodes: after a moment in which more may come."""


class Resubscribe(NamedTuple):
    """The relay brings nothing: make new connections."""


class ReadEndings(NamedTuple):
    """Sessions have ended: have them read now."""


class Hear(NamedTuple):
    """A user said something for a room at another node: this one may have the line."""

    room: str
    user: str
    words: Mapping[str, Any]


class Breathe(NamedTuple):
    """This process stood still: let everything be seen to that came in meanwhile, closed sockets
    first of all, and say so by Node.woke()."""


Command = Send | Tell | TellChoice | TickSoon | Resubscribe | ReadEndings | Hear | Breathe
