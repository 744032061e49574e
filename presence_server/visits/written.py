"""Visits in the database: who was in which room from when until when. The SQL for it."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from presence_server.nodes import duty
from presence_server.nodes.duty import Term
from presence_server.presence.names import app_of
from presence_server.presence.records import OWN
from presence_server.presence.timing import CLOCKS_DIFFER
from presence_server.presence.visits import Visit
from presence_server.storage.database import Database, Row, Transaction, Value

_COLUMNS = "number, room, username, coalesce(account, 0), came, left_at"
_DAY = 24 * 60 * 60
_AT_ONCE = 1_000


class Kept(NamedTuple):
    """A visit as it is kept; numbers grow in the order of writing."""

    number: int
    visit: Visit


class Asked(NamedTuple):
    """Which visits: of a room by its key, that had not ended before the second `begin` and had
    begun by `end`, of one user or of all, after one that was given before."""

    room: str
    begin: int | None = None
    end: int | None = None
    user: str | None = None
    after: tuple[int, int] | None = None


async def find(
    db: Database, asked: Asked, limit: int, *, newest_first: bool = False
) -> list[Kept]:
    """In the order in which people came, unless the newest are wanted first."""
    conditions, values = ["room = $1"], list[Value]((asked.room,))
    for condition, value in (
        ("(left_at IS NULL OR left_at >= ${})", asked.begin),
        ("came <= ${}", asked.end),
        ("username = ${}", asked.user),
    ):
        if value is not None:
            values.append(value)
            conditions.append(condition.format(len(values)))
    if asked.after is not None:
        values += asked.after
        conditions.append(f"(came, number) > (${len(values) - 1}, ${len(values)})")
    order = "came DESC, number DESC" if newest_first else "came, number"
    rows = await db.read(
        f"SELECT {_COLUMNS} FROM visits WHERE {' AND '.join(conditions)}"
        f" ORDER BY {order} LIMIT {limit:d}",
        *values,
    )
    return list(map(_kept, rows))


async def batches(db: Database, asked: Asked) -> AsyncIterator[list[Visit]]:
    """All of them, however many, in the same order."""
    while found := await find(db, asked, _AT_ONCE):
        yield [kept.visit for kept in found]
        asked = asked._replace(after=(found[-1].visit.came, found[-1].number))


async def at(db: Database, second: int, rooms: str) -> list[Visit]:
    """Who was here at a second, in the rooms whose keys begin so."""
    rows = await db.read(
        f"SELECT {_COLUMNS} FROM visits WHERE substr(room, 1, $1) = $2"
        " AND came <= $3 AND (left_at IS NULL OR left_at > $3) ORDER BY room, username",
        len(rooms),
        rooms,
        second,
    )
    return [_kept(row).visit for row in rows]


async def going_on(db: Database) -> list[Visit]:
    rows = await db.read(f"SELECT {_COLUMNS} FROM visits WHERE left_at IS NULL")
    return [_kept(row).visit for row in rows]


async def write(db: Database, term: Term, visits: Iterable[Visit]) -> bool:
    """Write down who came and left; False, and nothing, if another node writes by now."""
    came = [visit for visit in visits if visit.left is None]
    left = [visit for visit in visits if visit.left is not None]

    async def work(transaction: Transaction) -> bool:
        if not await duty.holds(transaction.execute, term):
            return False
        await transaction.execute_many(
            "UPDATE visits SET left_at = $3"
            " WHERE room = $1 AND username = $2 AND left_at IS NULL AND came <= $3",
            [(visit.room, visit.user, visit.left) for visit in left],
        )
        # Those that nobody had written while they went on.
        for table, some in _by_owner(left).items():
            await transaction.execute_many(
                f"{_INSERT.format(*table)} AND NOT EXISTS (SELECT 1 FROM visits WHERE room = $1"
                " AND username = $3 AND (came = $4 OR (left_at > $4 AND came < $5)))",
                some,
            )
        for table, some in _by_owner(came).items():
            await transaction.execute_many(
                f"{_INSERT.format(*table)} ON CONFLICT DO NOTHING", some
            )
        return True

    return await db.write(work)


async def recede(db: Database, term: Term, now: int) -> None:
    """Take back to `now` what is yet to come by the database's clock: a clock was wrong."""
    set_back = ", ".join(
        f"{column} = CASE WHEN {column} > $2 THEN $1 ELSE {column} END"
        for column in ("came", "left_at")
    )

    async def work(transaction: Transaction) -> None:
        if not await duty.holds(transaction.execute, term):
            return
        # Asked for by itself: PostgreSQL would not use an index for what it does not know.
        clock = f"SELECT {db.clock} / 1000 + {CLOCKS_DIFFER}"
        ((limit,),) = await transaction.execute(clock)
        await transaction.execute(
            f"UPDATE visits SET {set_back} WHERE came > $2 OR left_at > $2", now, limit
        )

    await db.write(work)


async def forget(
    db: Database, days: Mapping[int, int], now: int, *, most: int | None = None
) -> list[int]:
    """Forget what is older than is to be kept, by app (0: own accounts); all where it is 0.

    In so many transactions at most, if that is given: those of which there may be more.
    """
    apps, done = list(days), 0
    while apps and done != most:
        which, values = _older(apps[0], days[apps[0]], now)
        # Some at a time, however many: all others who write wait meanwhile.
        if not await db.write(partial(_forget_some, which=which, values=values)):
            del apps[0]
        done += 1
    return apps


def _older(app: int, kept: int, now: int) -> tuple[str, list[Value]]:
    which, values = ("app_id = $1", [app]) if app else ("app_id IS NULL", [])
    if kept:
        which += f" AND left_at < ${len(values) + 1}"
        values.append(now - kept * _DAY)
    return which, list[Value](values)


async def forget_app(db: Database, app_id: int) -> None:
    """Forget all of an app."""
    await forget(db, {app_id: 0}, 0)


async def _forget_some(transaction: Transaction, *, which: str, values: Sequence[Value]) -> bool:
    """Whether there may be more."""
    some = f"SELECT number FROM visits WHERE {which} LIMIT {_AT_ONCE}"
    deleted = f"DELETE FROM visits WHERE number IN ({some}) RETURNING number"
    return len(await transaction.execute(deleted, *values)) == _AT_ONCE


async def any_own(db: Database) -> bool:
    """Whether there is any of an own account."""
    return bool(await db.read("SELECT 1 FROM visits WHERE room = $1 LIMIT 1", OWN))


# Into nothing when whoever was there has been deleted meanwhile.
_INSERT = (
    "INSERT INTO visits (room, {1}, username, came, left_at)"
    " SELECT $1, id, $3, $4, $5 FROM {0} WHERE id = $2"
)
_OF_APPS, _OF_ACCOUNTS = ("apps", "app_id"), ("users", "account")


def _by_owner(visits: Iterable[Visit]) -> dict[tuple[str, str], list[tuple[Value, ...]]]:
    found: dict[tuple[str, str], list[tuple[Value, ...]]] = {_OF_APPS: [], _OF_ACCOUNTS: []}
    for visit in visits:
        app = app_of(visit.room)
        table = _OF_APPS if app else _OF_ACCOUNTS
        owner = app or visit.account
        found[table].append((visit.room, owner, visit.user, visit.came, visit.left))
    return found


def _kept(row: Row) -> Kept:
    return Kept(row[0], Visit(*row[1:]))
