"""Invitations: links with which people make themselves an account."""

import time

from aiohttp import web

from presence_server.accounts import links
from presence_server.keys import DATABASE, IDENTITY
from presence_server.web.admin.gate import audited, done, show as show_page
from presence_server.web.admin.secret import show_link
from presence_server.web.forms import Refused, read_form
from presence_server.web.rendering import render

_USUAL = {"uses": "1", "days": "7"}
_PAGE = "/admin/invitations/"


async def show(request: web.Request) -> web.Response:
    context = await _context(request)
    return await show_page(request, "admin_invitations.html", context, _USUAL)


async def show_instead(request: web.Request) -> web.Response:
    raise web.HTTPSeeOther(_PAGE)


async def add(request: web.Request) -> web.Response:
    fields = await read_form(request)
    typed = {name: fields.get(name, "").strip() for name in ("uses", "days")}
    try:
        uses = _whole(typed, "uses", links.MOST_USES)
        days = _whole(typed, "days", links.MOST_DAYS)
    except Refused as refusal:
        context = {**await _context(request), "form": refusal.form(typed)}
        return await render(request, "admin_invitations.html", context, status=400)
    people, span = _counted(uses, "person", "people"), _counted(days, "day", "days")
    token = await links.invite(
        audited(request, f"invited {people} for {span}", ""),
        request[IDENTITY].user,
        int(time.time()),
        days * links.DAY,
        uses,
    )
    return await show_link(
        request,
        title="The invitation is ready",
        sentence=f"With this link {people} can sign up, within {span}. Whoever has it can use it: "
        "send it only to those it is meant for.",
        path=f"/invite/{token}",
        back=_PAGE,
    )


async def end(request: web.Request) -> web.Response:
    key = (await read_form(request)).get("invitation", "")
    known = await links.invitations(request.app[DATABASE], int(time.time()))
    if any(invitation.key == key for invitation in known):
        await links.end_invitation(audited(request, "ended an invitation", ""), key)
    return await done(request, "The invitation has been revoked.", _PAGE)


async def _context(request: web.Request) -> dict[str, object]:
    known = await links.invitations(request.app[DATABASE], int(time.time()))
    return {"section": "invitations", "invitations": known}


def _whole(typed: dict[str, str], name: str, most: int) -> int:
    text = typed[name]
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and 1 <= int(text) <= most):
        raise Refused(400, fields={name: f"Enter a whole number from 1 to {most}."})
    return int(text)


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
