"""Sessions, one for each login on each device, and how they end: the SQL for both."""

import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial

from presence_server import endings
from presence_server.endings import Ending, Endings, Reason
from presence_server.presence.timing import CLOCKS_DIFFER
from presence_server.storage.database import Database, Read, Row, Transaction, Value
from presence_server.storage.places import places, with_places

DAY = 24 * 60 * 60
LONGEST = 90 * DAY
LONGEST_UNUSED = 14 * DAY
# A use is written down at most this often, for each costs a write.
TOUCH_EVERY = 5 * 60
# On more devices nobody is: the one used longest ago is logged out for the next.
MOST = 100
# Thousands may expire together after a long stop, or be in use, and others wait for their turn
# meanwhile.
_AT_ONCE = 1000

_COLUMNS = (
    "sessions.key, sessions.user_id, users.username, sessions.started_at, sessions.used_at,"
    " sessions.address, sessions.device, sessions.confirmed_at, users.administrator"
)

# Given the hash that a password was checked against, only while that is the password.
_BEGIN = """
INSERT INTO sessions (key, user_id, started_at, used_at, expires_at, address, device, confirmed_at)
    SELECT $1, id, $3, $3, $4, $5, $6, $8 FROM users
    WHERE id = $2 AND disabled_at IS NULL AND password_hash = coalesce($7, password_hash)
"""

# More than one only where there were more before there was a bound.
_SURPLUS = (
    "key IN (SELECT key FROM sessions WHERE user_id = $1 AND key <> $2"
    f" ORDER BY used_at DESC, key LIMIT {_AT_ONCE} OFFSET {MOST - 1})"
)


class NotAllowed(Exception):
    """No session may begin: the account is gone or disabled, or its password has changed."""


@dataclass(frozen=True, slots=True)
class Session:
    """`key` names the session in this server and its database; it lets nobody in.

    `confirmed_at` is when the password was last entered on this device, and `administrator` 1 for
    whoever runs the site.
    """

    key: str
    user_id: int
    username: str
    started_at: int
    used_at: int
    address: str
    device: str
    confirmed_at: int
    administrator: int

    def was_confirmed(self, now: int, within: int) -> bool:
        """Not by a clock that was ahead: for days that would let in whoever has the browser."""
        return now - within < self.confirmed_at <= now + CLOCKS_DIFFER


async def start(
    ends: Endings,
    user_id: int,
    address: str,
    device: str,
    now: int,
    *,
    password_hash: str | None = None,
) -> tuple[str, Session]:
    """Begin a session; the secret id that comes with it is kept nowhere but in the cookie.

    Given the hash that the password was checked against, it begins only if that is still the
    password: checking takes long enough for it to change. Raises NotAllowed.
    """
    secret = secrets.token_urlsafe(32)
    key = _key(secret)

    async def work(transaction: Transaction) -> list[Row]:
        await transaction.execute(
            _BEGIN,
            key,
            user_id,
            now,
            now + LONGEST_UNUSED,
            address,
            device,
            password_hash,
            0 if password_hash is None else now,
        )
        begun = await transaction.execute(
            f"SELECT {_COLUMNS} FROM sessions JOIN users ON users.id = sessions.user_id"
            " WHERE sessions.key = $1",
            key,
        )
        if begun:
            await _end(transaction, _SURPLUS, (user_id, key), now, Reason.ENDED)
        return begun

    rows = await ends.write(work)
    if not rows:
        raise NotAllowed
    return secret, Session(*rows[0])


async def find(db: Database, secret: str, now: int) -> Session | None:
    """The live session that a cookie's secret id opens."""
    return (await find_all(db, [secret], now)).get(secret)


async def find_all(db: Database, secrets: Collection[str], now: int) -> dict[str, Session]:
    """Those of many, by their secret ids."""
    opened = {_key(secret): secret for secret in secrets}
    rows = await db.read(
        f"SELECT {_COLUMNS} FROM sessions JOIN users ON users.id = sessions.user_id"
        f" WHERE sessions.key IN ({places(len(opened), after=1)}) AND sessions.expires_at > $1"
        " AND users.disabled_at IS NULL",
        now,
        *opened,
    )
    return {opened[session.key]: session for session in (Session(*row) for row in rows)}


async def of_user(db: Database, user_id: int) -> list[Session]:
    """The devices of a user, the one used last first; if they are too many, the first of them."""
    rows = await db.read(
        f"SELECT {_COLUMNS} FROM sessions JOIN users ON users.id = sessions.user_id"
        " WHERE sessions.user_id = $1 ORDER BY sessions.used_at DESC, sessions.key"
        f" LIMIT {MOST}",
        user_id,
    )
    return [Session(*row) for row in rows]


async def touch(db: Database, keys: Collection[str], now: int) -> None:
    """Note that these sessions were used; an open socket counts as use.

    Cheap to call again and again: what was noted within the last minutes is not written anew.
    """
    # Read first, for that waits for no turn.
    due = await _noted_before(db, keys, now - TOUCH_EVERY)
    for start in range(0, len(due), _AT_ONCE):
        await db.write(partial(_note_use, keys=due[start : start + _AT_ONCE], now=now))


async def _noted_before(db: Database, keys: Collection[str], second: int) -> list[str]:
    """Those of the keys whose use was not noted after a second."""
    found: list[str] = []
    for some, of_some in with_places(keys):
        rows = await db.read(
            f"SELECT key FROM sessions WHERE key IN ({of_some}) AND used_at <= ${len(some) + 1}",
            *some,
            second,
        )
        found += (key for (key,) in rows)
    return found


async def _note_use(transaction: Transaction, *, keys: Collection[str], now: int) -> None:
    await transaction.execute_many(
        "UPDATE sessions SET used_at = $2, expires_at ="
        " CASE WHEN started_at + $3 < $4 THEN started_at + $3 ELSE $4 END"
        " WHERE key = $1 AND used_at <= $5",
        [(key, now, LONGEST, now + LONGEST_UNUSED, now - TOUCH_EVERY) for key in keys],
    )


async def confirm(db: Database, key: str, now: int) -> None:
    """Note that the password was entered on the session's device."""

    async def work(transaction: Transaction) -> None:
        await transaction.execute(
            "UPDATE sessions SET confirmed_at = $2 WHERE key = $1", key, now
        )

    await db.write(work)


async def known(db: Database, keys: Collection[str]) -> set[str]:
    """Those of the keys whose sessions have not ended."""
    found: set[str] = set()
    for some, of_some in with_places(keys):
        rows = await db.read(f"SELECT key FROM sessions WHERE key IN ({of_some})", *some)
        found.update(key for (key,) in rows)
    return found


async def accounts_of(
    read: Read, keys: Collection[str], now: int
) -> dict[str, tuple[int, str]]:
    """The accounts, each with its name, of those of the keys whose sessions live.

    `read` is that of a database, or a transaction's `execute`.
    """
    found: dict[str, tuple[int, str]] = {}
    for some, of_some in with_places(keys):
        rows = await read(
            "SELECT sessions.key, users.id, users.username FROM sessions"
            " JOIN users ON users.id = sessions.user_id"
            f" WHERE sessions.key IN ({of_some}) AND sessions.expires_at > ${len(some) + 1}",
            *some,
            now,
        )
        found.update((key, (account, username)) for key, account, username in rows)
    return found


async def end(ends: Endings, key: str, now: int, reason: Reason = Reason.LOG_OUT) -> bool:
    """End a session; False if it had ended before."""

    async def work(transaction: Transaction) -> int:
        return await _end(transaction, "key = $1", (key,), now, reason)

    return await ends.write(work) > 0


async def end_all(
    ends: Endings, user_id: int, now: int, reason: Reason = Reason.ENDED, keep: str | None = None
) -> int:
    """End the sessions of a user, but for the one whose key is `keep`; how many there were."""

    async def work(transaction: Transaction) -> int:
        return await end_others(transaction, user_id, now, reason, keep)

    return await ends.write(work)


async def end_expired(ends: Endings, now: int) -> int:
    """End the sessions whose time is over."""

    async def work(transaction: Transaction) -> int:
        await endings.forget_old(transaction, now)
        which = f"key IN (SELECT key FROM sessions WHERE expires_at <= $1 LIMIT {_AT_ONCE})"
        return await _end(transaction, which, (now,), now, Reason.EXPIRED)

    ended = 0
    while some := await ends.write(work):
        ended += some
    return ended


async def end_others(
    transaction: Transaction, user_id: int, now: int, reason: Reason, keep: str | None
) -> int:
    """end_all() as a part of a larger transaction."""
    return await _end(
        transaction, "user_id = $1 AND key <> coalesce($2, '')", (user_id, keep), now, reason
    )


async def why_ended(db: Database, secret: str) -> str | None:
    """Why the session that a cookie's secret id opened has ended; None if that is long ago, or it
    has expired just now."""
    return await endings.why_ended(db, _key(secret))


async def _end(
    transaction: Transaction, which: str, values: tuple[Value, ...], now: int, reason: Reason
) -> int:
    rows = await transaction.execute(
        f"DELETE FROM sessions WHERE {which} RETURNING key, user_id,"
        " (SELECT username FROM users WHERE id = user_id)",
        *values,
    )
    ended = [
        Ending(session=key, account=user_id, username=username, reason=reason, ended_at=now)
        for key, user_id, username in rows
    ]
    await endings.record(transaction, ended)
    return len(ended)


def _key(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
