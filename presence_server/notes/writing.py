"""Writing down what a node knows, and forgetting it: the SQL for it."""

import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from presence_server.accounts import users
from presence_server.notes.written import CHOICE, STAY, clock_behind
from presence_server.presence.records import OWN, Record, Stay
from presence_server.storage.database import Database, Transaction

# Who has gone is told apart from who never was for so many writes: half a minute.
_TRACED = 60

# When a node last had each of the own accounts that it wrote down. Whoever was invisible was seen
# last before that, as was noted then.
_SEEN = """
SELECT u.username, MAX(COALESCE(h.left_at, n.wrote_at)) / 1000 FROM here h
    JOIN nodes n ON n.name = h.node JOIN users u ON u.id = h.account
    WHERE h.node = $1 AND h.room = $2 AND NOT EXISTS (
        SELECT 1 FROM choices c WHERE c.app = 0 AND c.account = h.account
        AND c.status = 'invisible' AND (c.held_until IS NULL
        OR 1000 * c.held_until > COALESCE(h.left_at, n.wrote_at)))
    GROUP BY u.username
"""


class Change(NamedTuple):
    """A node's next write. `heeded` is the last ending that the record has in it; `counter` is
    greater than any with which it has written, and becomes the next in numbered(). `taken_at` is
    when each stay of the record was taken from the roster, by time.monotonic()."""

    node: str
    counter: int
    heeded: int
    record: Record
    taken_at: Mapping[tuple[str, str], float]
    stopped: bool = False


async def write(db: Database, change: Change, *, anew: bool) -> bool:
    """Write what changed, or `anew` all of it; False, and nothing, if the node has been forgotten.
    """

    async def work(transaction: Transaction) -> bool:
        counted = await numbered(transaction, change)
        if anew:
            await delete(transaction, [counted.node])
            await enter(db, transaction, counted)
        elif not await _sign(db, transaction, counted):
            return False
        await _write_stays(db, transaction, counted)
        await _write_choices(db, transaction, counted)
        await users.note_last_seen(transaction, counted.record.last_seen, int(time.time()))
        return True

    return await db.write(work)


async def numbered(transaction: Transaction, change: Change) -> Change:
    """With the counter that follows the one in the database. Readers conclude from two more that a
    write began since: an attempt that failed must not count."""
    rows = await transaction.execute("SELECT counter FROM nodes WHERE name = $1", change.node)
    return change._replace(counter=rows[0][0] + 1) if rows else change


async def write_signs(db: Database, speaking: Mapping[str, float]) -> None:
    """Write when nodes spoke last, by the seconds since then, that could not write it: one that
    starts later has not heard them."""
    counted_at = time.monotonic()

    async def work(transaction: Transaction) -> None:
        # A sign that had to wait, here or for its rows, is no later than it was.
        ((now,),) = await transaction.execute(f"SELECT {db.clock}")
        waited = time.monotonic() - counted_at
        await transaction.execute_many(
            "UPDATE nodes SET wrote_at = $2 WHERE name = $1 AND stopped = 0 AND wrote_at < $2",
            [
                (name, now - round(1000 * (seconds + waited)))
                for name, seconds in sorted(speaking.items())
            ],
        )

    # Not with the node's own row: of two that write each other's one would have to give way.
    await db.write(work)


async def forget(db: Database, names: Collection[str]) -> None:
    """Forget nodes with all that they wrote down of who is here, but for when that was: of whom
    they had, nobody else writes down when they were last seen."""

    async def work(transaction: Transaction) -> None:
        for name in names:
            seen: dict[str, int] = dict(await transaction.execute(_SEEN, name, OWN))
            await users.note_last_seen(transaction, seen, int(time.time()))
        await delete(transaction, names)

    await db.write(work)


async def delete(transaction: Transaction, names: Collection[str]) -> None:
    """forget() as a part of a larger transaction."""
    for table, column in (("here", "node"), ("gone", "node"), ("nodes", "name")):
        await transaction.execute_many(
            f"DELETE FROM {table} WHERE {column} = $1", [(name,) for name in names]
        )


async def enter(db: Database, transaction: Transaction, change: Change) -> None:
    """Write the node's own row, also if there is none yet, and say that others have changed."""
    await transaction.execute(
        "INSERT INTO nodes (name, counter, changed, traced_from, heeded, stopped, wrote_at)"
        f" VALUES ($1, $2, $2, $2, $3, $4, {db.clock}) ON CONFLICT (name) DO UPDATE"
        " SET counter = excluded.counter, changed = excluded.changed, heeded = excluded.heeded,"
        " stopped = excluded.stopped, wrote_at = excluded.wrote_at",
        change.node,
        change.counter,
        change.heeded,
        int(change.stopped),
    )


async def _sign(db: Database, transaction: Transaction, change: Change) -> bool:
    """Note the write in the node's own row; False if there is none."""
    changed = bool(change.record.here or change.record.gone or change.record.choices)
    rows = await transaction.execute(
        "UPDATE nodes SET counter = $2, heeded = $3, stopped = $4,"
        f" changed = coalesce($5, changed), wrote_at = {db.clock},"
        " traced_from = CASE WHEN traced_from < $6 THEN $6 ELSE traced_from END"
        " WHERE name = $1 RETURNING name",
        change.node,
        change.counter,
        change.heeded,
        int(change.stopped),
        change.counter if changed else None,
        change.counter - _TRACED,
    )
    return bool(rows)


async def _write_stays(db: Database, transaction: Transaction, change: Change) -> None:
    await transaction.execute_many(
        "DELETE FROM here WHERE node = $1 AND room = $2 AND session = $3",
        [(change.node, room, session) for room, session in change.record.gone],
    )
    await transaction.execute_many(
        "INSERT INTO gone (node, counter, room, session) VALUES ($1, $2, $3, $4)",
        [(change.node, change.counter, room, session) for room, session in change.record.gone],
    )
    await transaction.execute(
        "DELETE FROM gone WHERE node = $1 AND counter <= $2",
        change.node,
        change.counter - _TRACED,
    )
    await insert(db, transaction, change, _up_to_now(change))


async def insert(
    db: Database, transaction: Transaction, change: Change, stays: Iterable[Stay]
) -> None:
    """Write down stays in the place of what the node had written of them."""
    stays = list(stays)
    clock = await clock_behind(transaction.execute, db.clock) if stays else 0
    stays = [stay.by_clock(-clock) for stay in stays] if clock else stays
    await transaction.execute_many(
        f"INSERT INTO here (node, {STAY}, left_at, held_until, came, counter)"
        f" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, {db.clock} - $9, $10, $11, $12)"
        " ON CONFLICT (node, room, session) DO UPDATE SET username = excluded.username,"
        " account = excluded.account, status = excluded.status, since = excluded.since,"
        " about = excluded.about, left_at = excluded.left_at, held_until = excluded.held_until,"
        " came = excluded.came, counter = excluded.counter",
        [
            (
                change.node,
                *stay[:7],
                _milliseconds(stay.resting),
                stay.until,
                stay.came,
                change.counter,
            )
            for stay in stays
        ],
    )


async def _write_choices(db: Database, transaction: Transaction, change: Change) -> None:
    if not change.record.choices:
        return
    clock = await clock_behind(transaction.execute, db.clock)
    # Who has the same name later is somebody else: a later account comes before a later choice.
    await transaction.execute_many(
        f"INSERT INTO choices ({CHOICE}, node, counter)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
        " ON CONFLICT (app, username) DO UPDATE SET account = excluded.account,"
        " status = excluded.status, text = excluded.text, held_until = excluded.held_until,"
        " chosen_at = excluded.chosen_at, seen_text = excluded.seen_text,"
        " seen_until = excluded.seen_until, since = excluded.since,"
        " node = excluded.node, counter = excluded.counter"
        " WHERE excluded.account > choices.account OR (excluded.account = choices.account"
        " AND excluded.chosen_at > choices.chosen_at)",
        [
            (*choice.by_clock(-clock), change.node, change.counter)
            for choice in change.record.choices
        ],
    )
    # Of an app that was deleted, and of which the node has not heard that yet.
    await transaction.execute_many(
        "DELETE FROM choices WHERE app = $1 AND NOT EXISTS (SELECT 1 FROM apps WHERE id = $1)",
        [(app,) for app in {choice.app for choice in change.record.choices} - {0}],
    )


def _up_to_now(change: Change) -> Iterator[Stay]:
    now = time.monotonic()
    for stay in change.record.here:
        if stay.resting is None:
            yield stay
        else:
            waited = now - change.taken_at[stay.room, stay.session]
            yield stay._replace(resting=stay.resting + waited)


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(1000 * seconds)
