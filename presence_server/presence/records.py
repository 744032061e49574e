"""What a node has written down of itself, and what it reads of others: what outlives a process.

The clocks of two nodes, or of one before and after a restart, need not agree: so what is written
down has its seconds by the clock of the database, which all share.
"""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from presence_server.presence.states import Status

# The room of this server's own accounts. A room of an app is "APPID/NAME".
OWN = ""


class Stay(NamedTuple):
    """A session in a room of one node.

    `account` is the number of an own account, which only grows, and 0 for users of apps. `status`
    is that of the session's lines, whatever was chosen. `about` is JSON text. `resting` is for how
    many seconds no line has been open, None while one is: a grace goes on where it stood. Less than
    nothing: for so long it is still presumed that one is. After the Unix second `until` nobody may
    take the stay over: a token or a claim has ended. `came` is when the user came; 0: in `since`.
    `unseen` is for how many seconds nobody has seen an open line, where `resting` leaves out time
    in which no node ran; None: as many.
    """

    room: str
    session: str
    user: str
    account: int
    status: Status
    since: int
    about: str = "{}"
    resting: float | None = None
    until: int | None = None
    came: int = 0
    unseen: float | None = None

    def by_clock(self, ahead: int) -> "Stay":
        """The same by a clock that is ahead by so many seconds."""
        return self._replace(since=self.since + ahead, came=self.came and self.came + ahead)


class Chosen(NamedTuple):
    """What a user chose, for all rooms of an app (0: the own accounts).

    Without a status and text it says that a choice has ended. Of two the one with the greater
    `(account, at)` holds. `until` is a Unix second, None: until changed. `seen_text` is what others
    still read of somebody who is invisible, until `seen_until`. `since` is since when the status
    holds; 0: since it was chosen.
    """

    app: int
    user: str
    account: int
    status: str | None
    text: str
    until: int | None
    at: int
    seen_text: str = ""
    seen_until: int | None = None
    since: int = 0

    def by_clock(self, ahead: int) -> "Chosen":
        """The same by a clock that is ahead by so many seconds."""
        return self._replace(since=self.since and self.since + ahead)


class Record(NamedTuple):
    """What changed since the last record.

    `gone` names stays by (room, session); `last_seen` is of own accounts, by user name.
    """

    here: list[Stay]
    gone: set[tuple[str, str]]
    last_seen: dict[str, int]
    choices: list[Chosen]


class Changes(NamedTuple):
    """What a node changed of what it had written down; `gone` names stays by (room, session)."""

    here: Sequence[Stay]
    gone: Collection[tuple[str, str]]


class Notes(NamedTuple):
    """What is read of other nodes.

    `counters` has each node that has not stopped properly; a node adds one with each write, in
    the same transaction as its changes, and writes at least every half second. So once a counter
    has moved by two, all that its node knew before is in what has been read. `stays` has, by node,
    all that each wrote down of which it was not known before; None while nothing is read, for the
    nodes can be heard. `changes` has, of others, what they wrote since the counter up to which that
    was known. Nodes in neither have changed nothing. `others_could_write`: as far as this node
    could itself; otherwise it says nothing of a node that it has not written. `stopped` has, by
    node, all that those wrote down that have stopped properly, if anything of it has not been read
    before. Of the `unread` no stays were read, for these nodes could be heard. `clock` is to be
    added to its seconds, which are by the clock of the database. `ages` has for how many seconds
    each has not written; one that is not in it has just done so.
    """

    counters: Mapping[str, int]
    stays: Mapping[str, Sequence[Stay]] | None
    choices: Sequence[Chosen]
    others_could_write: bool = True
    stopped: Mapping[str, Sequence[Stay]] = MappingProxyType({})
    unread: Collection[str] = ()
    changes: Mapping[str, Changes] = MappingProxyType({})
    clock: int = 0
    ages: Mapping[str, float] = MappingProxyType({})
