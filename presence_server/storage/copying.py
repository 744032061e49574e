"""Moving all accounts and sessions from one database to another, of either kind."""

from bisect import bisect_right
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace

from presence_server.storage.database import SITE, UNFINISHED, Database, Row, Transaction
from presence_server.storage.places import places

# Rows that are read, or written in one transaction.
BATCH = 1000


class CannotCopy(Exception):
    """Why it was not copied; the text is a sentence."""


@dataclass(frozen=True, slots=True)
class _Table:
    name: str
    # What its rows are told apart and sorted by, and values that come before all of them.
    key: tuple[str, ...]
    before_all: tuple[str | int, ...]
    others: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return self.key + self.others


# In this order: each refers to the one before.
_TABLES = (
    _Table(
        "users",
        ("id",),
        (-1,),
        (
            "username",
            "lower_name",
            "password_hash",
            "created_at",
            "disabled_at",
            "last_seen",
            "administrator",
            "name",
            "hides_last_seen",
            "shows_devices",
        ),
    ),
    _Table("name_words", ("beginning", "lower_name"), ("", ""), ()),
    _Table(
        "sessions",
        ("key",),
        ("",),
        (
            "user_id",
            "started_at",
            "used_at",
            "expires_at",
            "address",
            "device",
            "confirmed_at",
        ),
    ),
    _Table(
        "links", ("key",), ("",), ("user_id", "made_by", "made_at", "expires_at", "used", "uses")
    ),
    _Table("audit", ("number",), (-1,), ("done_at", "administrator", "act", "whom", "address")),
    _Table(
        "nodes", ("name",), ("",), ("counter", "changed", "heeded", "wrote_at", "stopped")
    ),
    _Table(
        "here",
        ("node", "room", "session"),
        ("", "", ""),
        ("username", "account", "status", "since", "about", "left_at", "held_until", "came"),
    ),
    _Table(
        "choices",
        ("app", "username"),
        (-1, ""),
        (
            "account",
            "status",
            "text",
            "held_until",
            "chosen_at",
            "node",
            "counter",
            "seen_text",
            "seen_until",
            "since",
        ),
    ),
    _Table(
        "apps",
        ("id",),
        (-1,),
        ("name", "created_at", "origins", "webhook", "grace_milliseconds", "visits"),
    ),
    _Table("app_keys", ("id",), ("",), ("app_id", "created_at", "replaced_at", "sealed")),
    _Table(
        "webhooks",
        ("app_id",),
        (-1,),
        ("round", "off_at", "due", "due_since", "acknowledged_at", "answers"),
    ),
    _Table(
        "told",
        ("app_id", "room", "username"),
        (-1, "", ""),
        ("here", "since", "acknowledged"),
    ),
    _Table(
        "visits",
        ("number",),
        (-1,),
        ("room", "app_id", "account", "username", "came", "left_at"),
    ),
)
# News for servers that run; only what is revoked concerns those that start, too.
_ENDINGS = _Table(
    "endings",
    ("number",),
    (-1,),
    ("reason", "app", "room", "username", "account", "issued_before", "ended_at"),
)
_REVOKED = "revoked"


async def copy(
    source: Database, target: Database, report: Callable[[str, int], None]
) -> dict[str, int]:
    """Copy all accounts, what belongs to them and who is here; how many rows of each table.

    `target` must be empty, or hold what an earlier copy of the same database left unfinished: that
    is begun anew. `report` is told a table and how many of its rows are written. Raises CannotCopy.
    """
    await _begin(source, target)
    written = {}
    for table in _TABLES:
        number = 0
        async for rows in _batches(source, table):
            await _insert(target, table, rows)
            number += len(rows)
            report(table.name, number)
        written[table.name] = number
    for table in _TABLES:
        await _compare(source, target, table)
    await _keep_revoked(source, target)
    await target.continue_ids()
    await target.write(_forget_unfinished)
    return written


async def _begin(source: Database, target: Database) -> None:
    if source.identity == target.identity:
        raise CannotCopy("Both are the same database.")

    async def work(transaction: Transaction) -> str | None:
        marks = await transaction.execute("SELECT value FROM about WHERE name = $1", UNFINISHED)
        if marks and marks[0][0] != source.identity:
            return "holds an unfinished copy of another database"
        for table, what in (("users", "accounts"), ("apps", "apps")):
            if not marks and await transaction.execute(f"SELECT id FROM {table} LIMIT 1"):
                return f"holds {what} already"
        # Sessions go with their users, and keys with their apps.
        for table in ("users", "apps", "nodes", "here", "choices", "links", "audit", "endings"):
            await transaction.execute(f"DELETE FROM {table}")
        await transaction.execute(
            "INSERT INTO about (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
            UNFINISHED,
            source.identity,
        )
        await transaction.execute(
            "INSERT INTO about (name, value) VALUES ($1, $2)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            SITE,
            source.site,
        )
        return None

    if problem := await target.write(work):
        raise CannotCopy(f"The database {target.name} {problem}: nothing was copied.")


async def _forget_unfinished(transaction: Transaction) -> None:
    await transaction.execute("DELETE FROM about WHERE name = $1", UNFINISHED)


async def _batches(database: Database, table: _Table) -> AsyncIterator[list[Row]]:
    keys = ", ".join(table.key)
    sql = (
        f"SELECT {', '.join(table.columns)} FROM {table.name}"
        f" WHERE ({keys}) > ({places(len(table.key))}) ORDER BY {keys} LIMIT {BATCH}"
    )
    after: Row = table.before_all
    while rows := await database.read(sql, *after):
        yield rows
        after = rows[-1][: len(table.key)]


async def _insert(database: Database, table: _Table, rows: list[Row]) -> None:
    async def work(transaction: Transaction) -> None:
        await transaction.execute_many(
            f"INSERT INTO {table.name} ({', '.join(table.columns)})"
            f" VALUES ({places(len(table.columns))})",
            rows,
        )

    await database.write(work)


async def _compare(source: Database, target: Database, table: _Table) -> None:
    copied = _batches(target, table)
    async for rows in _batches(source, table):
        if await anext(copied, None) != rows:
            break
    else:
        if await anext(copied, None) is None:
            return
    raise CannotCopy(
        f"The {table.name} in {target.name} are not those in {source.name}: stop all servers of "
        "both, and copy again."
    )


async def _keep_revoked(source: Database, target: Database) -> None:
    """Tokens that were revoked; the endings have new numbers, by which the nodes count then."""
    numbers: list[int] = []
    async for rows in _batches(source, _ENDINGS):
        revoked = [row for row in rows if row[1] == _REVOKED]
        await _insert(target, replace(_ENDINGS, key=()), [row[1:] for row in revoked])
        numbers += [row[0] for row in revoked]
    given = await target.read("SELECT 0 AS number UNION SELECT number FROM endings ORDER BY number")
    nodes = await target.read("SELECT name, heeded FROM nodes")

    async def work(transaction: Transaction) -> None:
        await transaction.execute_many(
            "UPDATE nodes SET heeded = $2 WHERE name = $1",
            [(name, given[bisect_right(numbers, heeded)][0]) for name, heeded in nodes],
        )

    await target.write(work)
