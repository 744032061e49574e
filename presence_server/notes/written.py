"""What nodes have written down, for whoever cannot hear them: the rows, and reading them.

All times of it are by the database's own clock: that of one node is never compared with another's.
"""

import time
from collections.abc import Collection
from typing import NamedTuple

from presence_server.presence.moment import seconds_behind
from presence_server.presence.records import OWN, Changes, Chosen, Stay
from presence_server.presence.states import PRECEDENCE
from presence_server.storage.database import Database, Read, Row
from presence_server.storage.places import places

STAY = "room, session, username, account, status, since, about"
CHOICE = (
    "app, username, account, status, text, held_until, chosen_at, seen_text, seen_until, since"
)
# Where a row has when the last line closed.
_LEFT = STAY.count(",") + 1


class Written(NamedTuple):
    """What a node's own row says; `age` is for how many seconds it has not written.

    What changed behind the counter `traced_from` can be read by itself; None: nothing can.
    """

    counter: int
    changed: int
    stopped: bool
    traced_from: int | None
    age: float


async def clock_behind(read: Read, clock: str) -> int:
    """Seconds to add to what the clock of the database says."""
    before = time.time()
    ((milliseconds,),) = await read(f"SELECT {clock}")
    return seconds_behind(milliseconds / 1000, before, time.time())


async def nodes(db: Database, but: str) -> dict[str, Written]:
    """All nodes but one, also those that stopped or died."""
    # Whoever wrote before the clock was set back has not written in times to come.
    rows = await db.read(
        f"SELECT name, counter, changed, stopped, traced_from, {db.clock} - wrote_at FROM nodes"
        " WHERE name <> $1",
        but,
    )
    return {
        name: Written(counter, changed, stopped == 1, traced_from, max(0, milliseconds) / 1000)
        for name, counter, changed, stopped, traced_from, milliseconds in rows
    }


async def stays_of(db: Database, node: str, after: int = -1) -> list[Stay]:
    """What a node has written down since a value of its counter."""
    rows = await db.read(
        f"SELECT {STAY}, {db.clock} - left_at, held_until, came FROM here"
        " WHERE node = $1 AND counter > $2",
        node,
        after,
    )
    # Not by way of a stay with other fields: they may be tens of thousands.
    return [stay_in((*row[:_LEFT], _seconds(row[_LEFT]), *row[_LEFT + 1 :])) for row in rows]


async def changes_of(db: Database, node: str, after: int) -> Changes:
    """What a node has changed since a value of its counter that is traced."""
    # In this order: who went and came back meanwhile is found, whatever is written in between.
    gone = await db.read(
        "SELECT room, session FROM gone WHERE node = $1 AND counter > $2", node, after
    )
    here = await stays_of(db, node, after)
    back = {(stay.room, stay.session) for stay in here}
    return Changes(here, {(room, session) for room, session in gone} - back)


def stay_in(row: Row) -> Stay:
    """From the columns of STAY, one for `resting`, held_until and came."""
    stay = Stay(*row)
    # A newer version may share the database: whoever has a status of its making is here all the
    # same.
    return stay if stay.status in PRECEDENCE else stay._replace(status="online")


async def choices(db: Database) -> list[Chosen]:
    """All choices, also those that have been ended."""
    return [Chosen(*row) for row in await db.read(f"SELECT {CHOICE} FROM choices")]


async def choices_of(db: Database, node: str, after: int) -> list[Chosen]:
    """What a node has written of choices since a value of its counter."""
    rows = await db.read(
        f"SELECT {CHOICE} FROM choices WHERE node = $1 AND counter > $2", node, after
    )
    return [Chosen(*row) for row in rows]


async def here_by_session(db: Database, keys: Collection[str]) -> set[str]:
    """Those of some sessions of own accounts that any node has written down as here."""
    if not keys:
        return set()
    # By way of the nodes, which are few: so the primary key is of use.
    rows = await db.read(
        "SELECT here.session FROM nodes JOIN here ON here.node = nodes.name"
        f" WHERE here.room = $1 AND here.session IN ({places(len(keys), after=1)})",
        OWN,
        *keys,
    )
    return {key for (key,) in rows}


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
