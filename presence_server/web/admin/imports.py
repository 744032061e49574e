"""Accounts out of a table: a file comes in, what would happen is shown, and then it is done."""

import time
from email import message_from_bytes
from email.message import Message

from aiohttp import web

from presence_server.accounts import importing
from presence_server.accounts.importing import BadTable, ChangedMeanwhile, Plan
from presence_server.csv_text import csv_rows
from presence_server.keys import DATABASE, IDENTITY
from presence_server.web.admin.gate import audited, show as show_page
from presence_server.web.bodies import read_body
from presence_server.web.cookies import csrf_ok
from presence_server.web.forms import TOO_OLD, Form, read_form
from presence_server.web.hosts import site_url
from presence_server.web.rendering import render

# What is shown of long lists.
_SHOWN = 50
_CHANGED = "The accounts have changed in the meantime, so nothing was added. This would happen now."
_PAGE = "/admin/import/"
# Of a form with a file. The library for mail would go as deep as parts are nested, and takes half a
# minute for a head that is a mebibyte of semicolons.
_MOST_PARTS = 20
_LONGEST_HEAD = 4096


async def show(request: web.Request) -> web.Response:
    return await show_page(request, "admin_import.html", {"section": "accounts"})


async def show_instead(request: web.Request) -> web.Response:
    raise web.HTTPSeeOther(_PAGE)


async def preview(request: web.Request) -> web.Response:
    """It changes nothing, and so needs no password."""
    parts = _parts(request.headers.get("Content-Type", ""), await _body(request))
    if not await csrf_ok(request, parts.get("csrf_token", b"").decode("utf-8", "replace")):
        return await _refused(request, TOO_OLD, 403)
    try:
        text = importing.read_text(parts.get("table", b""))
        return await _preview(request, await importing.plan(request.app[DATABASE].read, text))
    except BadTable as error:
        return await _refused(request, str(error), 400)


async def make(request: web.Request) -> web.Response:
    database, text = request.app[DATABASE], (await read_form(request)).get("table", "")
    try:
        planned = await importing.plan(database.read, text)
        if planned.known or planned.wrong:
            raise ChangedMeanwhile
        people = f"{len(planned.new)} account{'' if len(planned.new) == 1 else 's'}"
        writer = audited(request, f"added {people} from a table", "")
        made_by, now = request[IDENTITY].user, int(time.time())
        tokens = await importing.make(writer, planned.new, made_by, now)
    except BadTable as error:
        return await _refused(request, str(error), 400)
    except ChangedMeanwhile:
        planned = await importing.plan(database.read, text)
        return await _preview(request, planned, _CHANGED)
    site = site_url(request)
    rows = [(name, f"{site}/reset/{token}") for name, token in tokens.items()]
    context = {
        "section": "accounts",
        "form": Form(),
        "people": people,
        "table": csv_rows([("username", "link"), *rows]).decode(),
    }
    return await render(request, "admin_imported.html", context)


async def _body(request: web.Request) -> bytes:
    if request.content_type != "multipart/form-data":
        raise web.HTTPUnsupportedMediaType
    return await read_body(request)


def _parts(content_type: str, body: bytes) -> dict[str, bytes]:
    boundary = _head(f"Content-Type: {content_type}".encode("latin-1", "replace")).get_boundary()
    if not boundary:
        return {}
    between = f"\r\n--{boundary}".encode("latin-1", "replace")
    found = {}
    for part in (b"\r\n" + body).split(between, _MOST_PARTS)[1:]:
        head, _, content = part.partition(b"\r\n\r\n")
        name = _head(head[:_LONGEST_HEAD]).get_param("name", header="content-disposition")
        if isinstance(name, str):
            found[name] = content
    return found


def _head(lines: bytes) -> Message:
    return message_from_bytes(lines.strip() + b"\r\n\r\n")


async def _preview(
    request: web.Request, planned: Plan, error: str | None = None
) -> web.Response:
    context = {
        "section": "accounts",
        "form": Form(error=error),
        "plan": planned,
        "shown": _SHOWN,
        "table": csv_rows([("username", "name"), *planned.new]).decode(),
    }
    status = 200 if error is None else 409
    return await render(request, "admin_preview.html", context, status=status)


async def _refused(request: web.Request, error: str, status: int) -> web.Response:
    context = {"section": "accounts", "form": Form(error=error)}
    return await render(request, "admin_import.html", context, status=status)
