"""How far the backends of apps are told, in the database: the SQL for it.

Whatever the node writes that has the duty of telling holds only while it has it, and only for the
round in which it began: telling all anew begins another.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from presence_server.nodes import duty
from presence_server.nodes.duty import Term
from presence_server.presence.told import Change, Place, Said
from presence_server.storage.database import Database, Transaction

# So many answers of a receiver are kept.
_ANSWERS = 10


class State(NamedTuple):
    """How a receiver is told.

    `due`: so many people differ from what it has acknowledged, the first of them since the Unix
    second `due_since`. `off_at`: when it answered that it is no more. `answers`: the last ones, the
    newest first, each `{"at": second, "answer": words, "seconds": how long it took}`.
    """

    round: int = 0
    off_at: int | None = None
    due: int = 0
    due_since: int | None = None
    acknowledged_at: int | None = None
    answers: tuple[Mapping[str, Any], ...] = ()

    def with_answer(self, answer: Mapping[str, Any]) -> "State":
        return self._replace(answers=(answer, *self.answers)[:_ANSWERS])

    def behind(self, now: int) -> int:
        """For how many seconds something has been due."""
        return 0 if self.due_since is None else max(0, now - self.due_since)


class Turn(NamedTuple):
    """Who tells which app, and in which round."""

    term: Term
    app: int
    round: int


class Superseded(Exception):
    """Another node tells now, or all is to be told anew."""


async def states(db: Database) -> dict[int, State]:
    """By app; one whose backend has never been told is not there."""
    rows = await db.read(
        "SELECT app_id, round, off_at, due, due_since, acknowledged_at, answers FROM webhooks"
    )
    return {row[0]: State(*row[1:-1])._replace(answers=tuple(json.loads(row[-1]))) for row in rows}


async def state(db: Database, app: int) -> State:
    return (await states(db)).get(app, State())


async def said(db: Database, app: int) -> dict[Place, Said]:
    """What was said last of each user in a room."""
    rows = await db.read(
        "SELECT room, username, here, since, acknowledged FROM told WHERE app_id = $1", app
    )
    return {
        (room, user): Said(here == 1, since, acknowledged == 1)
        for room, user, here, since, acknowledged in rows
    }


async def write(
    db: Database,
    turn: Turn,
    state: State,
    *,
    acknowledged: Iterable[Change] = (),
    saying: Iterable[Change] = (),
) -> None:
    """Write down what was acknowledged, what will be said next, and how it stands.

    Nothing may be said that has not been written. Raises Superseded.
    """

    async def work(transaction: Transaction) -> bool:
        if not await _is_ours(transaction, turn):
            return False
        await _write_said(transaction, turn.app, acknowledged, 1)
        await _write_said(transaction, turn.app, saying, 0)
        await transaction.execute(
            "UPDATE webhooks SET off_at = $2, due = $3, due_since = $4, acknowledged_at = $5,"
            " answers = $6 WHERE app_id = $1",
            turn.app,
            state.off_at,
            state.due,
            state.due_since,
            state.acknowledged_at,
            json.dumps(state.answers),
        )
        return True

    if not await db.write(work):
        raise Superseded


async def begin(db: Database, term: Term, app: int) -> None:
    """Let there be a row for the app."""

    async def work(transaction: Transaction) -> None:
        if await duty.holds(transaction.execute, term):
            await _enter(transaction, app)

    await db.write(work)


async def forget_gone(db: Database, turn: Turn, before: int) -> None:
    """Forget those who are surely known to have gone before a second."""

    async def work(transaction: Transaction) -> None:
        await transaction.execute(
            "DELETE FROM told WHERE app_id = $1 AND here = 0 AND acknowledged = 1 AND since < $2",
            turn.app,
            before,
        )

    await db.write(work)


async def tell_anew(transaction: Transaction, app: int) -> None:
    """Say all again, also to one that was no more. Whoever was said to be here may have left while
    nobody could be told, and a message may be under way: so that is not forgotten but unsure."""
    await transaction.execute(
        "DELETE FROM told WHERE app_id = $1 AND here = 0 AND acknowledged = 1", app
    )
    await transaction.execute("UPDATE told SET acknowledged = 0 WHERE app_id = $1", app)
    await _enter(transaction, app)
    await transaction.execute(
        "UPDATE webhooks SET round = round + 1, off_at = NULL, due = 0, due_since = NULL"
        " WHERE app_id = $1",
        app,
    )


async def forget_all(transaction: Transaction, app: int) -> None:
    """Forget what was said: nobody is told any more."""
    await transaction.execute("DELETE FROM told WHERE app_id = $1", app)


async def _enter(transaction: Transaction, app: int) -> None:
    # The app may have been deleted meanwhile.
    await transaction.execute(
        "INSERT INTO webhooks (app_id, round, due, answers)"
        " SELECT id, 0, 0, '[]' FROM apps WHERE id = $1 ON CONFLICT (app_id) DO NOTHING",
        app,
    )


async def _is_ours(transaction: Transaction, turn: Turn) -> bool:
    rows = await transaction.execute("SELECT round FROM webhooks WHERE app_id = $1", turn.app)
    return rows == [(turn.round,)] and await duty.holds(transaction.execute, turn.term)


async def _write_said(
    transaction: Transaction, app: int, changes: Iterable[Change], acknowledged: int
) -> None:
    await transaction.execute_many(
        "INSERT INTO told (app_id, room, username, here, since, acknowledged)"
        " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (app_id, room, username) DO UPDATE"
        " SET here = excluded.here, since = excluded.since, acknowledged = excluded.acknowledged",
        [(app, c.room, c.user, int(c.here), c.since, acknowledged) for c in changes],
    )
