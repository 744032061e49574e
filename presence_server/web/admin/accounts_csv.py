"""All accounts, written out for a spreadsheet."""

import time

from aiohttp import web

from presence_server.accounts import listing
from presence_server.accounts.users import User
from presence_server.csv_text import csv_rows
from presence_server.keys import DATABASE
from presence_server.web.admin.gate import record
from presence_server.web.admin.tables import begin_table

_COLUMNS = ("username", "name", "joined", "last_seen", "disabled", "administrator")


async def export(request: web.Request) -> web.StreamResponse:
    """All accounts as CSV."""
    await record(request, "exported all accounts", "")
    response = await begin_table(request, "accounts.csv", _COLUMNS)
    async for some in listing.everybody(request.app[DATABASE]):
        await response.write(csv_rows(map(_exported, some)))
    await response.write_eof()
    return response


def _exported(user: User) -> tuple[str, ...]:
    return (
        user.username,
        user.name,
        _moment(user.created_at),
        _moment(user.last_seen),
        "yes" if user.disabled else "no",
        "yes" if user.administrator else "no",
    )


def _moment(second: int | None) -> str:
    return "" if second is None else time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(second))
