"""Accounts as administrators look for them: any part of a name, any order, any page."""

from collections.abc import AsyncIterator
from typing import NamedTuple

from presence_server.accounts import users
from presence_server.accounts.names import fold
from presence_server.storage.database import Database, Value

ORDERS = {
    "name": "lower_name",
    "joined": "id DESC",
    "seen": "last_seen DESC NULLS LAST, lower_name",
}
KINDS = {"all": "", "administrators": "administrator = 1", "disabled": "disabled_at IS NOT NULL"}

_AT_ONCE = 500


class Wanted(NamedTuple):
    """`order` is one of ORDERS, `kind` one of KINDS, and `text` a part of a name."""

    text: str = ""
    order: str = "name"
    kind: str = "all"


async def page(
    db: Database, wanted: Wanted, start: int, limit: int
) -> tuple[list[users.User], int]:
    """So many accounts after the first `start`, and how many there are in all."""
    where, values = _where(wanted)
    ((total,),) = await db.read(f"SELECT count(*) FROM users {where}", *values)
    places = f"LIMIT ${len(values) + 1} OFFSET ${len(values) + 2}"
    rows = await db.read(
        f"SELECT {users.COLUMNS} FROM users {where} ORDER BY {ORDERS[wanted.order]} {places}",
        *values,
        limit,
        start,
    )
    return [users.in_row(row) for row in rows], int(total)


async def everybody(db: Database) -> AsyncIterator[list[users.User]]:
    """All accounts, some at a time, in the order of sign-up."""
    after = 0
    while some := await users.listed(db, after, _AT_ONCE):
        yield some
        after = some[-1].id


def _where(wanted: Wanted) -> tuple[str, list[Value]]:
    conditions, values = [], list[Value]()
    if wanted.text:
        conditions.append(
            "(lower_name LIKE $1 ESCAPE '!' OR lower_name IN"
            " (SELECT lower_name FROM name_words WHERE beginning LIKE $2 ESCAPE '!'))"
        )
        values += (f"%{_literal(text)}%" for text in (wanted.text.lower(), fold(wanted.text)))
    if KINDS[wanted.kind]:
        conditions.append(KINDS[wanted.kind])
    return ("WHERE " + " AND ".join(conditions) if conditions else ""), values


def _literal(text: str) -> str:
    """As LIKE takes it for itself."""
    return "".join(f"!{sign}" if sign in "!%_" else sign for sign in text)
