"""Accounts: the SQL for users."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from presence_server import endings
from presence_server.accounts import profiles
from presence_server.accounts.names import BEHIND_ALL, fold, is_text
from presence_server.accounts.sessions import end_others
from presence_server.endings import Ending, Endings, Reason
from presence_server.presence.timing import CLOCKS_DIFFER
from presence_server.storage.database import Database, Row, TakenBack, Transaction, Writer

# These sort before and after every character that a name may have.
_FIRST, _LAST = "\x01", "\x7f"
COLUMNS = (
    "id, username, created_at, disabled_at, last_seen, administrator, name, hides_last_seen,"
    " shows_devices"
)
# The hash of an account whose password nobody has chosen yet: none fits.
NO_PASSWORD = ""

_PAGE = (
    "SELECT username, last_seen FROM users WHERE lower_name >= $1 AND lower_name < $2"
    " ORDER BY lower_name LIMIT $3"
)
# Each side by an index of its own. MATERIALIZED: or the words would be read in the order of user
# names, all of them.
_FOUND = (
    "WITH words AS MATERIALIZED"
    " (SELECT lower_name FROM name_words WHERE beginning >= $4 AND beginning < $5)"
    " SELECT username, last_seen FROM users WHERE lower_name IN"
    " (SELECT lower_name FROM (SELECT lower_name FROM users"
    " WHERE lower_name >= $1 AND lower_name < $2 ORDER BY lower_name LIMIT $3) AS by_user_name"
    " UNION SELECT lower_name FROM words WHERE lower_name >= $6)"
    " ORDER BY lower_name LIMIT $3"
)


class UsernameTaken(TakenBack):
    """The name is somebody's, whatever the case."""


@dataclass(frozen=True, slots=True)
class User:
    id: int
    username: str
    created_at: int
    disabled: bool
    last_seen: int | None
    administrator: bool
    # What others read beside the user name; empty: nothing.
    name: str
    hides_last_seen: bool
    shows_devices: bool


async def create(
    db: Writer,
    username: str,
    password_hash: str,
    now: int,
    *,
    administrator: bool = False,
    name: str = "",
) -> User:
    """Make an account; once this returns it survives a power cut. Raises UsernameTaken."""

    async def work(transaction: Transaction) -> User:
        return await insert(
            transaction, username, password_hash, now, administrator=administrator, name=name
        )

    return await db.write(work)


async def insert(
    transaction: Transaction,
    username: str,
    password_hash: str,
    now: int,
    *,
    administrator: bool = False,
    name: str = "",
) -> User:
    """create() as a part of a larger transaction."""
    rows = await transaction.execute(
        "INSERT INTO users (username, lower_name, password_hash, created_at, administrator)"
        " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (lower_name) DO NOTHING"
        f" RETURNING {COLUMNS}",
        username,
        username.lower(),
        password_hash,
        now,
        int(administrator),
    )
    if not rows:
        raise UsernameTaken(username)
    user = in_row(rows[0])
    if name:
        await profiles.write_name(transaction, user.id, name, now)
    return replace(user, name=name)


async def find(db: Database, username: str) -> User | None:
    if not _could_be_stored(username):
        return None
    rows = await db.read(f"SELECT {COLUMNS} FROM users WHERE lower_name = $1", username.lower())
    return in_row(rows[0]) if rows else None


async def by_id(db: Database, user_id: int) -> User | None:
    rows = await db.read(f"SELECT {COLUMNS} FROM users WHERE id = $1", user_id)
    return in_row(rows[0]) if rows else None


async def password_hash(db: Database, username: str) -> str | None:
    if not _could_be_stored(username):
        return None
    rows = await db.read("SELECT password_hash FROM users WHERE lower_name = $1", username.lower())
    return str(rows[0][0]) if rows else None


async def count(db: Database) -> int:
    ((number,),) = await db.read("SELECT count(*) FROM users")
    return int(number)


async def page(
    db: Database, after: str | None, search: str, limit: int
) -> list[tuple[str, int | None]]:
    """User names that come after `after` and begin like `search`, or of which a word of the name
    does, with when each was last seen.

    Whatever the case, in the order of lower-case names; without a search as quick for the
    millionth as for the first.
    """
    if not (_could_be_stored(after or "") and is_text(search)):
        return []
    folded, behind = fold(search), "" if after is None else after.lower() + _FIRST
    # One bound at each end: with two lower bounds the index would be read from the wrong one.
    first, last = max(folded, behind), folded + _LAST if folded.isascii() else folded
    if folded:
        words = folded, folded + BEHIND_ALL, behind
        rows = await db.read(_FOUND, first, last, limit, *words)
    else:
        rows = await db.read(_PAGE, first, last, limit)
    return [(username, last_seen) for username, last_seen in rows]


async def listed(db: Database, after: int, limit: int) -> list[User]:
    """All there is to know about the accounts whose id comes after one, in the order of sign-up."""
    rows = await db.read(
        f"SELECT {COLUMNS} FROM users WHERE id > $1 ORDER BY id LIMIT $2", after, limit
    )
    return [in_row(row) for row in rows]


async def record_last_seen(db: Database, last_seen: Mapping[str, int], now: int) -> None:
    """Remember when people were last here; an earlier time never replaces a later one, unless
    that one is still to come: somebody's clock was wrong."""

    async def work(transaction: Transaction) -> None:
        await note_last_seen(transaction, last_seen, now)

    if last_seen:
        await db.write(work)


async def note_last_seen(
    transaction: Transaction, last_seen: Mapping[str, int], now: int
) -> None:
    """record_last_seen() as a part of a larger transaction."""
    await transaction.execute_many(
        "UPDATE users SET last_seen = $2"
        " WHERE lower_name = $1 AND (last_seen IS NULL OR last_seen < $2 OR last_seen > $3)"
        # Before that it was another account of the same name.
        " AND (created_at <= $2 OR created_at > $3)",
        [(username.lower(), seen, now + CLOCKS_DIFFER) for username, seen in last_seen.items()],
    )


async def change_password(
    ends: Endings, user_id: int, password_hash: str, now: int, keep: str | None = None
) -> None:
    """Replace the password and end all sessions, but for the one whose key is `keep`."""

    async def work(transaction: Transaction) -> None:
        await transaction.execute(
            "UPDATE users SET password_hash = $2 WHERE id = $1", user_id, password_hash
        )
        # A link that would set another one is worth nothing any more.
        await transaction.execute("DELETE FROM links WHERE user_id = $1", user_id)
        await end_others(transaction, user_id, now, Reason.PASSWORD, keep)

    await ends.write(work)


async def renew_hash(db: Database, user_id: int, old: str, new: str) -> bool:
    """Replace a hash by another one of the same password; False if the password has changed."""

    async def work(transaction: Transaction) -> list[Row]:
        return await transaction.execute(
            "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2"
            " RETURNING id",
            user_id,
            old,
            new,
        )

    return bool(await db.write(work))


async def disable(ends: Endings, user_id: int, now: int) -> None:
    """End all sessions of the user and let none begin."""

    async def work(transaction: Transaction) -> None:
        await transaction.execute(
            "UPDATE users SET disabled_at = $2 WHERE id = $1 AND disabled_at IS NULL", user_id, now
        )
        await end_others(transaction, user_id, now, Reason.DISABLED, None)

    await ends.write(work)


async def enable(db: Writer, user_id: int) -> None:
    async def work(transaction: Transaction) -> None:
        await transaction.execute("UPDATE users SET disabled_at = NULL WHERE id = $1", user_id)

    await db.write(work)


async def set_administrator(db: Writer, user_id: int, administrator: bool) -> None:
    async def work(transaction: Transaction) -> None:
        await transaction.execute(
            "UPDATE users SET administrator = $2 WHERE id = $1", user_id, int(administrator)
        )

    await db.write(work)


async def delete(ends: Endings, user_id: int, now: int) -> None:
    """Delete the account with its sessions and what it chose; twice is no error."""

    async def work(transaction: Transaction) -> None:
        await end_others(transaction, user_id, now, Reason.DELETED, None)
        rows = await transaction.execute(
            "DELETE FROM users WHERE id = $1 RETURNING username", user_id
        )
        for (username,) in rows:
            await transaction.execute(
                "DELETE FROM choices WHERE app = 0 AND username = $1", username
            )
            gone = Ending(
                account=user_id, username=username, reason=Reason.DELETED, ended_at=now
            )
            await endings.record(transaction, [gone])

    await ends.write(work)


def _could_be_stored(username: str) -> bool:
    """Whether a database can be asked for this at all: not so for NUL or half a surrogate pair."""
    return username.isascii() and username.isprintable()


def in_row(row: Row) -> User:
    id, username, created_at, disabled_at, last_seen, administrator, name, hides, shows = row
    return User(
        id,
        username,
        created_at,
        disabled_at is not None,
        last_seen,
        administrator == 1,
        name,
        hides != 0,
        shows != 0,
    )
