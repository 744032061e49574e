"""Links that let somebody in: to a new password of their own, or to an account. Kept as hashes."""

import hashlib
import secrets
from dataclasses import dataclass

from presence_server.accounts import users
from presence_server.endings import Endings
from presence_server.presence.timing import CLOCKS_DIFFER
from presence_server.storage.database import Database, TakenBack, Transaction, Writer
from presence_server.storage.engine import T, Work

DAY = 24 * 60 * 60
RESET_HOLDS = DAY
# An account that somebody else has made waits for its owner.
FIRST_HOLDS = 7 * DAY
MOST_DAYS, MOST_USES = 90, 1000

_LIVE = "expires_at > $2 AND used < uses"


class LinkOver(TakenBack):
    """The link was used, is too old, or never was one."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """`key` names it; it opens nothing."""

    key: str
    made_by: str
    made_at: int
    expires_at: int
    used: int
    uses: int


def new() -> tuple[str, str]:
    """What stands in a new link, and the key under which it is kept."""
    token = secrets.token_urlsafe(24)
    return token, _key(token)


async def reset(db: Writer, user_id: int, made_by: str, now: int, holds: int) -> str:
    """What stands in a link that sets the user's password, once; former ones do no more."""
    token, key = new()

    async def work(transaction: Transaction) -> None:
        await transaction.execute("DELETE FROM links WHERE user_id = $1", user_id)
        await insert_resets(transaction, [(key, user_id)], made_by, now, holds)

    await db.write(work)
    return token


async def first(
    db: Writer, username: str, made_by: str, now: int, *, administrator: bool
) -> tuple[users.User, str]:
    """Make an account without a password, and what stands in the link that sets the first one.

    Raises UsernameTaken.
    """
    token, key = new()

    async def work(transaction: Transaction) -> users.User:
        user = await users.insert(
            transaction, username, users.NO_PASSWORD, now, administrator=administrator
        )
        await insert_resets(transaction, [(key, user.id)], made_by, now, FIRST_HOLDS)
        return user

    return await db.write(work), token


async def insert_resets(
    transaction: Transaction, keys: list[tuple[str, int]], made_by: str, now: int, holds: int
) -> None:
    """Links for many, as a part of a larger transaction: keys, each with its account."""
    await transaction.execute_many(
        "INSERT INTO links (key, user_id, made_by, made_at, expires_at, used, uses)"
        " VALUES ($1, $2, $3, $4, $5, 0, 1)",
        [(key, user_id, made_by, now, now + holds) for key, user_id in keys],
    )


async def invite(db: Writer, made_by: str, now: int, holds: int, uses: int) -> str:
    """What stands in a link with which so many may make themselves an account."""
    token, key = new()

    async def work(transaction: Transaction) -> None:
        await transaction.execute(
            "INSERT INTO links (key, made_by, made_at, expires_at, used, uses)"
            " VALUES ($1, $2, $3, $4, 0, $5)",
            key,
            made_by,
            now,
            now + holds,
            uses,
        )

    await db.write(work)
    return token


async def invitations(db: Database, now: int) -> list[Invitation]:
    """Those that still let somebody in, the newest first."""
    rows = await db.read(
        "SELECT key, made_by, made_at, expires_at, used, uses FROM links"
        f" WHERE user_id IS NULL AND made_at <= $1 AND {_LIVE} ORDER BY made_at DESC, key",
        now + CLOCKS_DIFFER,
        now,
    )
    return [Invitation(*row) for row in rows]


async def end_invitation(db: Writer, key: str) -> None:
    async def work(transaction: Transaction) -> None:
        await transaction.execute("DELETE FROM links WHERE key = $1 AND user_id IS NULL", key)

    await db.write(work)


async def is_invitation(db: Database, token: str, now: int) -> bool:
    rows = await db.read(
        f"SELECT 1 FROM links WHERE key = $1 AND {_LIVE} AND user_id IS NULL", _key(token), now
    )
    return bool(rows)


async def user_of(db: Database, token: str, now: int) -> users.User | None:
    """Whose password the link sets."""
    rows = await db.read(
        f"SELECT user_id FROM links WHERE key = $1 AND {_LIVE} AND user_id IS NOT NULL",
        _key(token),
        now,
    )
    user = await users.by_id(db, rows[0][0]) if rows else None
    return None if user is None or user.disabled else user


class Using(Endings):
    """What is done with a link: each transaction uses it once, or raises LinkOver and does nothing.

    The link holds when it is used, however long ago its page was opened.
    """

    def __init__(self, ends: Endings, token: str, now: int) -> None:
        super().__init__(ends.database)
        self._ends, self._key, self._now = ends, _key(token), now

    async def write(self, work: Work[T], /) -> T:
        async def used(transaction: Transaction) -> T:
            if not await transaction.execute(
                "UPDATE links SET used = used + 1"
                f" WHERE key = $1 AND {_LIVE} AND (user_id IS NULL OR user_id IN"
                " (SELECT id FROM users WHERE disabled_at IS NULL)) RETURNING key",
                self._key,
                self._now,
            ):
                raise LinkOver
            return await work(transaction)

        return await self._ends.write(used)


async def forget_old(db: Database, now: int) -> None:
    async def work(transaction: Transaction) -> None:
        await transaction.execute("DELETE FROM links WHERE expires_at <= $1 OR used >= uses", now)

    await db.write(work)


def _key(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
