"""What goes between nodes: letters."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from presence_server.presence.choices import Choice
from presence_server.presence.states import NOTHING, Status

# A letter stays small, so that a relay's buffers hold many; what is more takes several letters.
LONGEST_LETTER = 64 * 1024


class Said(NamedTuple):
    """What a node says of one session.

    `resting` is for how many seconds no line is open, and `left` the second in which the last was
    closed; None and 0 while one is open. `came` is when the user came; 0: in `since`.
    """

    user: str
    account: int
    status: Status
    since: int
    resting: float | None = None
    left: int = 0
    order: int = 0
    about: Mapping[str, Any] = NOTHING
    came: int = 0


# By room and tag; who is gone since which second.
States = dict[str, dict[str, Said | int]]
# By app and user.
ChosenByApp = dict[int, dict[str, Choice]]


class People(NamedTuple):
    """States of sessions, and choices of users."""

    states: States
    choices: ChosenByApp


class Beat(NamedTuple):
    """The node lives. `sequence` is that of its newest batch, `mark` the number of the beat.

    `heard` holds the newest marks of other nodes that were heard: whatever this node knew by then
    has been said before. It `asks` for its own mark to be confirmed. `unix` is the sender's clock.
    For so many seconds there has been a `crowd` at its door; None: nobody waits there.
    """

    node: str
    sequence: int
    mark: int
    unix: int
    asks: bool
    heard: dict[str, int]
    crowd: float | None = None


class Batch(NamedTuple):
    """The newest state of those of the node's sessions that changed, and new choices.

    Who is gone in it was let go when all whom the node knew had confirmed its own `mark`. `unix` is
    the sender's clock.
    """

    node: str
    sequence: int
    mark: int
    unix: int
    people: People


class Ask(NamedTuple):
    """The node wants to hear everything the reader has of its own.

    Of some nodes it has `known` all up to the batch of a number: the rest of theirs will do.
    `anew`: it has just subscribed, and has not heard what it was asked before.
    """

    node: str
    known: Mapping[str, int] = MappingProxyType({})
    anew: bool = False


class Part(NamedTuple):
    """One of the parts of all of the node's sessions as of `sequence`, in their order.

    The parts of one answer share its number, and batches may come between them; the last says how
    many `parts` there are, the others 0. `unix` is the sender's clock. In `heard` it has the newest
    marks of other nodes, by which these tell an answer from one that was long on its way. An answer
    holds only what has changed `after` the batch of a number, or, if that is None, all.
    """

    node: str
    sequence: int
    number: int
    part: int
    parts: int
    unix: int
    people: People
    heard: Mapping[str, int] = MappingProxyType({})
    after: int | None = None


class Goodbye(NamedTuple):
    """The node stops, and its last line has been closed; or it is no more, as another says that
    knows for sure."""

    node: str


class Ended(NamedTuple):
    """Sessions have ended: it is worth looking into the database now."""

    node: str


class Words(NamedTuple):
    """A user of an app said something of themself for a room, and any node may have the line."""

    node: str
    room: str
    user: str
    words: dict[str, Any]


Letter = Beat | Batch | Ask | Part | Goodbye | Ended | Words
