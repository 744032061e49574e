"""What accounts show of themselves: the SQL, and the news of it that reach every process."""

import asyncio
from collections.abc import Callable, Collection, Mapping

from presence_server import endings
from presence_server.accounts.names import BEHIND_ALL, beginnings, fold
from presence_server.endings import Ending, Endings, Reason
from presence_server.presence.profiles import NO_PROFILE, Profile
from presence_server.storage.database import Database, Row, Transaction
from presence_server.storage.places import with_places

_COLUMNS = "username, name, hides_last_seen, shows_devices"
_RETRY = 0.5  # seconds


async def set_name(ends: Endings, user_id: int, name: str, now: int) -> None:
    """Give an account another name, which is tidy and has no problem; empty takes it away."""

    async def work(transaction: Transaction) -> None:
        await write_name(transaction, user_id, name, now)

    await ends.write(work)


async def write_name(transaction: Transaction, user_id: int, name: str, now: int) -> None:
    """set_name() as a part of a larger transaction."""
    rows = await transaction.execute(
        "UPDATE users SET name = $2 WHERE id = $1 AND name <> $2 RETURNING username, lower_name",
        user_id,
        name,
    )
    for username, lower_name in rows:
        await transaction.execute("DELETE FROM name_words WHERE lower_name = $1", lower_name)
        await transaction.execute_many(
            "INSERT INTO name_words (beginning, lower_name) VALUES ($1, $2)",
            [(beginning, lower_name) for beginning in sorted(beginnings(name))],
        )
        await _tell(transaction, user_id, username, now)


async def write_first_names(
    transaction: Transaction, named: Collection[tuple[int, str, str]], now: int
) -> None:
    """Names for many new accounts, as a part of a larger transaction: id, user name and name."""
    await transaction.execute_many(
        "UPDATE users SET name = $2 WHERE id = $1", [(id, name) for id, _, name in named]
    )
    await transaction.execute_many(
        "INSERT INTO name_words (beginning, lower_name) VALUES ($1, $2)",
        [
            (beginning, username.lower())
            for _, username, name in named
            for beginning in sorted(beginnings(name))
        ],
    )
    news = [
        Ending(reason=Reason.PROFILE, username=username, account=id, ended_at=now)
        for id, username, _ in named
    ]
    await endings.record(transaction, news)


async def hide_last_seen(ends: Endings, user_id: int, hides: bool, now: int) -> None:
    """Let others be told, or not, when somebody was seen last."""
    await _set(ends, "hides_last_seen", user_id, hides, now)


async def show_devices(ends: Endings, user_id: int, shows: bool, now: int) -> None:
    """Let others be told, or not, on what kinds of devices somebody is here."""
    await _set(ends, "shows_devices", user_id, shows, now)


async def _set(ends: Endings, column: str, user_id: int, value: bool, now: int) -> None:
    async def work(transaction: Transaction) -> None:
        rows = await transaction.execute(
            f"UPDATE users SET {column} = $2 WHERE id = $1 AND {column} <> $2"
            " RETURNING username",
            user_id,
            int(value),
        )
        for (username,) in rows:
            await _tell(transaction, user_id, username, now)

    await ends.write(work)


async def everything(db: Database) -> dict[str, Profile]:
    """The profiles in which there is anything, by user name."""
    rows = await db.read(
        f"SELECT {_COLUMNS} FROM users"
        " WHERE name <> '' OR hides_last_seen <> 0 OR shows_devices <> 0"
    )
    return dict(map(_in_row, rows))


async def of(db: Database, usernames: Collection[str]) -> dict[str, Profile]:
    """Those of some people; of whom there is no account, an empty one."""
    found = dict.fromkeys(usernames, NO_PROFILE)
    for some, places in with_places(usernames):
        rows = await db.read(
            f"SELECT {_COLUMNS} FROM users WHERE username IN ({places})", *some
        )
        found |= dict(map(_in_row, rows))
    return found


def _in_row(row: Row) -> tuple[str, Profile]:
    username, name, hides, shows = row
    return username, Profile(name, hides != 0, shows != 0)


async def named(db: Database, search: str) -> list[str]:
    """The user names of those who have a word in their name that begins like this."""
    folded = fold(search)
    rows = await db.read(
        "WITH words AS MATERIALIZED"
        " (SELECT lower_name FROM name_words WHERE beginning >= $1 AND beginning < $2)"
        " SELECT username FROM users WHERE lower_name IN (SELECT lower_name FROM words)",
        folded,
        folded + BEHIND_ALL,
    )
    return [username for (username,) in rows]


async def _tell(transaction: Transaction, user_id: int, username: str, now: int) -> None:
    # Every node reads the endings each second: so it hears of this, too.
    news = Ending(reason=Reason.PROFILE, username=username, account=user_id, ended_at=now)
    await endings.record(transaction, [news])


class ProfileNews:
    """Keeps a node up to date with what accounts show of themselves."""

    def __init__(self, database: Database, introduce: Callable[[str, Profile], None]) -> None:
        self._database = database
        self._introduce = introduce
        self._changed: set[str] = set()
        self._due = asyncio.Event()

    def heed(self, ending: Ending) -> None:
        """Somebody shows something else from now on."""
        if ending.username:
            self._changed.add(ending.username)
            self._due.set()

    async def run(self) -> None:
        """Read what has changed, for ever."""
        while True:
            await self._due.wait()
            self._due.clear()
            await self._database.attempt(self._read())
            if self._changed:
                # The database could not serve.
                self._due.set()
                await asyncio.sleep(_RETRY)

    async def _read(self) -> None:
        # Who changes again while this reads is read again.
        asked, self._changed = self._changed, set()
        try:
            profiles: Mapping[str, Profile] = await of(self._database, asked)
        except BaseException:
            self._changed |= asked
            raise
        for username, profile in profiles.items():
            self._introduce(username, profile)
