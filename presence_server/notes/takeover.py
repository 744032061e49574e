"""Taking over whom a node left behind that stopped or died: once and for all, in one move.

A grace goes on where it stood. Time in which no node ran does not count as absence; where others
ran, they have seen who did not come back.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from presence_server.accounts import sessions
from presence_server.notes import writing, written
from presence_server.presence.names import is_claim, tag_of
from presence_server.presence.records import OWN, Stay
from presence_server.storage.database import Database, Read, Transaction


class Left(NamedTuple):
    """What nodes have left behind, by their names.

    One that died is presumed to live until its `lease`, in seconds, is over; if it has `surely`
    ended, no longer than until now. `others` says whether any node has gone on meanwhile.
    """

    nodes: Collection[str]
    lease: float
    others: bool
    surely: bool = False


class _Node(NamedTuple):
    """A node that is no more, for `dead` seconds; the other times are Unix milliseconds."""

    name: str
    heeded: int
    stopped: bool
    wrote_at: int
    dead: float


# The number of the last revocation by app, user, and room or None for all of them: there may be
# thousands, and as many stays.
_Revoked = Mapping[tuple[str, str, str | None], int]


async def take_over(db: Database, heir: writing.Change, left: Left) -> list[Stay]:
    """Write down as the heir's what others left; what it is, each session of a room once."""

    async def work(transaction: Transaction) -> list[Stay]:
        stays = await left_behind(transaction.execute, db.clock, left)
        counted = await writing.numbered(transaction, heir)
        await writing.delete(transaction, left.nodes)
        await writing.enter(db, transaction, counted)
        await writing.insert(db, transaction, counted, stays)
        return stays

    return await db.write(work)


async def left_behind(read: Read, clock: str, left: Left) -> list[Stay]:
    """What take_over() takes over; for reading it only."""
    revoked = await _revoked(read)
    found: dict[tuple[str, str], Stay] = {}
    for node in await _nodes(read, clock, left):
        for stay in await _stays(read, node, left):
            known = found.get((stay.room, stay.session))
            if not _is_revoked(stay, node, revoked) and (known is None or _is_newer(stay, known)):
                found[stay.room, stay.session] = stay
    ((now,),) = await read(f"SELECT {clock} / 1000")
    behind = await written.clock_behind(read, clock)
    living = await _living(read, found.values(), now)
    return [stay.by_clock(behind) for stay in living] if behind else living


async def _nodes(read: Read, clock: str, left: Left) -> list[_Node]:
    rows = await read(f"SELECT name, heeded, stopped, wrote_at, {clock} - wrote_at FROM nodes")
    return [
        _Node(name, heeded, stopped == 1, wrote_at, max(0, dead) / 1000)
        for name, heeded, stopped, wrote_at, dead in rows
        if name in left.nodes
    ]


async def _stays(read: Read, node: _Node, left: Left) -> list[Stay]:
    rows = await read(
        f"SELECT {written.STAY}, left_at, held_until, came FROM here WHERE node = $1", node.name
    )
    # Until then `resting` is when the last line closed.
    stays = [written.stay_in(row) for row in rows]
    return [
        stay._replace(resting=_resting(stay, node, left), unseen=_unseen(stay, node))
        for stay in stays
    ]


def _resting(stay: Stay, node: _Node, left: Left) -> float:
    if stay.resting is not None:
        # A claim ends when its backend said, whether or not any node runs.
        counts = left.others or is_claim(tag_of(stay.room, stay.session))
        return _unseen(stay, node) - (0.0 if counts else node.dead)
    absent = node.dead if node.stopped else node.dead - left.lease
    if left.surely:
        # When it ended is not known: whoever was there had perhaps a line open just now.
        absent = max(0.0, absent)
    return absent if left.others else min(absent, 0.0)


def _unseen(stay: Stay, node: _Node) -> float:
    # A line that was open when the node wrote last may have been closed since.
    at_last = 0.0 if stay.resting is None else (node.wrote_at - stay.resting) / 1000
    return at_last + node.dead


async def _revoked(read: Read) -> _Revoked:
    rows = await read(
        "SELECT app, username, room, max(number) FROM endings WHERE app <> 0"
        " GROUP BY app, username, room"
    )
    return {(str(app), username, room): number for app, username, room, number in rows}


def _is_revoked(stay: Stay, node: _Node, revoked: _Revoked) -> bool:
    """Whether it was ended, and its node did not come to know."""
    app, _, room = stay.room.partition("/")
    return any(revoked.get((app, stay.user, of), 0) > node.heeded for of in (room, None))


def _is_newer(stay: Stay, known: Stay) -> bool:
    return (stay.resting or 0.0) < (known.resting or 0.0)


async def _living(read: Read, stays: Iterable[Stay], now: int) -> list[Stay]:
    """Without those whose session, token or claim has ended; under the names of their accounts."""
    found = [stay for stay in stays if stay.until is None or stay.until > now]
    own = [stay.session for stay in found if stay.room == OWN]
    accounts = await sessions.accounts_of(read, own, now)
    return [
        stay._replace(account=accounts[stay.session][0], user=accounts[stay.session][1])
        if stay.session in accounts
        else stay
        for stay in found
        if stay.room != OWN or stay.session in accounts
    ]
