"""What nodes wrote down of who is here, so that it outlives them: the SQL for it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from presence_server.storage.database import Database, Transaction
from presence_server.presence.roster import Status


@dataclass(frozen=True, slots=True)
class WasHere:
    """A session that was here, and when that was last known."""

    key: str
    username: str
    status: Status
    since: int
    noted_at: int


async def write(
    db: Database,
    node: str,
    here: Mapping[str, tuple[Status, int]],
    gone: Collection[str],
    now: int,
) -> None:
    """Write down which sessions are on a node, with their status and since when, and which not."""

    async def work(transaction: Transaction) -> None:
        await transaction.execute_many(
            "DELETE FROM here WHERE session_key = $1 AND node = $2", [(key, node) for key in gone]
        )
        # A session that has ended meanwhile is passed over.
        await transaction.execute_many(
            "INSERT INTO here (session_key, node, status, since, noted_at)"
            " SELECT key, $2, $3, $4, $5 FROM sessions WHERE key = $1"
            " ON CONFLICT (session_key, node) DO UPDATE"
            " SET status = excluded.status, since = excluded.since, noted_at = excluded.noted_at",
            [(key, node, status, since, now) for key, (status, since) in here.items()],
        )

    if here or gone:
        await db.write(work)


async def who_was_here(db: Database) -> list[WasHere]:
    """The sessions that some node wrote down as here, each once, as noted last."""
    rows = await db.read(
        "SELECT here.session_key, users.username, here.status, here.since, here.noted_at FROM here"
        " JOIN sessions ON sessions.key = here.session_key"
        " JOIN users ON users.id = sessions.user_id"
        " ORDER BY here.noted_at"
    )
    return list(
        {
            key: WasHere(key, username, _status(status), since, noted_at)
            for key, username, status, since, noted_at in rows
        }.values()
    )


async def elsewhere(db: Database, node: str, since: int) -> dict[str, tuple[Status, int]]:
    """The users whom other nodes wrote down as here at `since` or later: status and since when."""
    rows = await db.read(
        "SELECT users.username, here.status, here.since FROM here"
        " JOIN sessions ON sessions.key = here.session_key"
        " JOIN users ON users.id = sessions.user_id"
        " WHERE here.node <> $1 AND here.noted_at >= $2"
        # Of several devices an online one counts.
        " ORDER BY here.status",
        node,
        since,
    )
    return {username: (_status(status), here_since) for username, status, here_since in rows}


async def sessions_elsewhere(db: Database, node: str, user_id: int) -> set[str]:
    """The sessions of a user that other nodes wrote down as here."""
    rows = await db.read(
        "SELECT here.session_key FROM here JOIN sessions ON sessions.key = here.session_key"
        " WHERE sessions.user_id = $1 AND here.node <> $2",
        user_id,
        node,
    )
    return {key for (key,) in rows}


async def forget_all_but(db: Database, nodes: Collection[str]) -> None:
    """Forget what other nodes than these wrote down."""

    async def work(transaction: Transaction) -> None:
        for (node,) in await transaction.execute("SELECT DISTINCT node FROM here"):
            if node not in nodes:
                await transaction.execute("DELETE FROM here WHERE node = $1", node)

    await db.write(work)


async def forget(db: Database, nodes: Collection[str]) -> None:
    """Forget what these nodes wrote down."""

    async def work(transaction: Transaction) -> None:
        await transaction.execute_many(
            "DELETE FROM here WHERE node = $1", [(node,) for node in nodes]
        )

    await db.write(work)


def _status(text: str) -> Status:
    # A newer version may share the database: whoever has a status of its making is here all the
    # same.
    return "away" if text == "away" else "online"
