"""What administrators did."""

from urllib.parse import urlencode

from aiohttp import web

from presence_server.accounts import audit
from presence_server.keys import DATABASE
from presence_server.web.admin.gate import show as show_page

PAGE = 100


async def show(request: web.Request) -> web.Response:
    whom = request.query.get("whom") or None
    if whom is not None and not whom.isprintable():
        raise web.HTTPNotFound
    entries = await audit.page(
        request.app[DATABASE], whom, _number(request.query.get("before", "")), PAGE + 1
    )
    older = None
    if len(entries) > PAGE:
        asked = {"before": entries[PAGE - 1].number} | ({} if whom is None else {"whom": whom})
        older = "/admin/log/?" + urlencode(asked)
    context = {"section": "log", "entries": entries[:PAGE], "whom": whom, "older": older}
    return await show_page(request, "admin_log.html", context)


def _number(text: str) -> int | None:
    plain = text.isascii() and text.isdecimal() and len(text) < 16
    return int(text) if plain else None
