"""Accounts in the hands of administrators: found, made, changed, ended, written out."""

import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple
from urllib.parse import urlencode

from aiohttp import web

from presence_server.accounts import audit, links, listing, names, profiles, sessions, users
from presence_server.accounts.audit import Audited
from presence_server.accounts.listing import KINDS, ORDERS, Wanted
from presence_server.accounts.usernames import username_problem
from presence_server.accounts.users import User
from presence_server.endings import Reason
from presence_server.keys import DATABASE, IDENTITY, PRESENCE
from presence_server.notes import written
from presence_server.web.admin.gate import Impossible, audited, done, show as show_page
from presence_server.web.admin.secret import show_link
from presence_server.web.forms import Refused, read_form, typed_name
from presence_server.web.rendering import render

PAGE = 50
_LOG = 10
_LIST = "/admin/accounts/"
_LEADS_ME_TO = {
    "demote": "/account/",
    "disable": "/log_in/",
    "end": "/log_in/",
    "delete": "/log_in/",
}


class _Act(NamedTuple):
    """What stands in the log, what is done, and what the page then says of the name."""

    logged: str
    do: Callable[[Audited, User, int], Awaitable[object]]
    said: str


_ACTS = {
    "disable": _Act(
        "disabled",
        lambda ends, user, now: users.disable(ends, user.id, now),
        "{} is disabled and logged out.",
    ),
    "enable": _Act(
        "enabled",
        lambda ends, user, now: users.enable(ends, user.id),
        "{} can log in again.",
    ),
    "end": _Act(
        "ended the sessions of",
        lambda ends, user, now: sessions.end_all(ends, user.id, now, Reason.ENDED),
        "{} is logged out everywhere.",
    ),
    "delete": _Act(
        "deleted",
        lambda ends, user, now: users.delete(ends, user.id, now),
        "The account {} has been deleted.",
    ),
    "promote": _Act(
        "gave administrator rights to",
        lambda ends, user, now: users.set_administrator(ends, user.id, True),
        "{} is an administrator now.",
    ),
    "demote": _Act(
        "took administrator rights from",
        lambda ends, user, now: users.set_administrator(ends, user.id, False),
        "{} is no longer an administrator.",
    ),
}


async def show_list(request: web.Request) -> web.Response:
    return await show_page(request, "admin_accounts.html", await _list(request))


async def _list(request: web.Request) -> dict[str, object]:
    query = request.query
    wanted = Wanted(
        _searchable(query.get("q", "")),
        _one_of(ORDERS, query.get("order")),
        _one_of(KINDS, query.get("kind")),
    )
    database, number = request.app[DATABASE], _page_number(query.get("page", ""))
    found, total = await listing.page(database, wanted, (number - 1) * PAGE, PAGE)
    presence = request.app[PRESENCE]
    last = max(1, -(-total // PAGE))
    if number > last:
        # Those who stood there are gone.
        number = last
        found, _ = await listing.page(database, wanted, (number - 1) * PAGE, PAGE)
    return {
        "section": "accounts",
        "wanted": wanted,
        "people": [(user, presence.status_of(user.username)) for user in found],
        "total": total,
        "number": number,
        "last": last,
        "before": _list_url(wanted, number - 1) if number > 1 else None,
        "after": _list_url(wanted, number + 1) if number < last else None,
    }


def _list_url(wanted: Wanted, number: int) -> str:
    asked = {"q": wanted.text, "order": wanted.order, "kind": wanted.kind, "page": number}
    usual = {"q": "", "order": "name", "kind": "all", "page": 1}
    said = {name: value for name, value in asked.items() if value != usual[name]}
    return f"{_LIST}?{urlencode(said)}" if said else _LIST


def _searchable(text: str) -> str:
    """Without signs that no database can be asked for: no name has them."""
    return "".join(sign for sign in text if sign.isprintable())[:100].strip()


def _one_of(words: dict[str, str], word: str | None) -> str:
    return word if word in words else next(iter(words))


def _page_number(text: str) -> int:
    plain = text.isascii() and text.isdecimal() and len(text) < 8
    return max(1, int(text)) if plain else 1


async def add(request: web.Request) -> web.Response:
    fields = await read_form(request)
    username = typed_name(fields)
    try:
        user, token = await _make(request, username, fields.get("administrator") == "on")
    except Refused as refusal:
        form = refusal.form({"username": username})
        context = {**await _list(request), "form": form}
        return await render(request, "admin_accounts.html", context, status=refusal.status)
    return await show_link(
        request,
        title=f"The account {user.username} is ready",
        sentence=f"Give this link to {user.username}: it lets them choose a password, once, within "
        "a week.",
        path=f"/reset/{token}",
        back=_url(user),
    )


async def _make(
    request: web.Request, username: str, administrator: bool
) -> tuple[User, str]:
    if problem := username_problem(username):
        raise Refused(400, fields={"username": problem})
    act = "added the administrator" if administrator else "added"
    link = audited(request, "made a link for", username)
    made_by, now = request[IDENTITY].user, int(time.time())
    try:
        return await links.first(
            audited(request, act, username, link),
            username,
            made_by,
            now,
            administrator=administrator,
        )
    except users.UsernameTaken as taken:
        sentence = "There is already an account of that name."
        raise Refused(400, fields={"username": sentence}) from taken


async def show(request: web.Request) -> web.Response:
    user = await users.by_id(request.app[DATABASE], _id(request))
    if user is None:
        raise web.HTTPNotFound
    return await show_page(
        request, "admin_account.html", await _of(request, user), {"name": user.name}
    )


async def _of(request: web.Request, user: User) -> dict[str, object]:
    database = request.app[DATABASE]
    devices = await sessions.of_user(database, user.id)
    person = request.app[PRESENCE].status_of(user.username)
    keys = [device.key for device in devices]
    return {
        "section": "accounts",
        "user": user,
        "person": person,
        "devices": devices,
        # Whoever is invisible is so on each of their devices, too.
        "here": await written.here_by_session(database, keys) if person is not None else set(),
        "entries": await audit.page(database, user.username, None, _LOG, since=user.created_at),
        "myself": user.id == request[IDENTITY].account,
    }


async def give_name(request: web.Request) -> web.Response:
    user = await _user(request)
    name = names.tidy((await read_form(request)).get("name", ""))
    if problem := names.name_problem(name):
        form = Refused(400, fields={"name": problem}).form({"name": name})
        context = {**await _of(request, user), "form": form}
        return await render(request, "admin_account.html", context, status=400)
    writer = audited(request, "named", user.username)
    await profiles.set_name(writer, user.id, name, int(time.time()))
    shown = f"{user.username} is called {name} now." if name else f"{user.username} has no name."
    return await done(request, shown, _url(user))


async def show_instead(request: web.Request) -> web.Response:
    """At the address of an act: somebody came back to it, or loads the page that it left there."""
    raise web.HTTPSeeOther(f"{_LIST}{_id(request)}")


async def change(request: web.Request) -> web.Response:
    """One of the acts that need nothing but a button."""
    act = _ACTS.get(request.match_info["act"])
    if act is None:
        raise web.HTTPNotFound
    user = await _user(request)
    await act.do(audited(request, act.logged, user.username), user, int(time.time()))
    return await done(request, act.said.format(user.username), _page_after(request, user))


def _page_after(request: web.Request, user: User) -> str:
    """Whoever takes from themself what the page needs finds the sentence where they are led."""
    what = request.match_info["act"]
    if user.id == request[IDENTITY].account and what in _LEADS_ME_TO:
        return _LEADS_ME_TO[what]
    return _LIST if what == "delete" else _url(user)


async def make_reset_link(request: web.Request) -> web.Response:
    user = await _user(request)
    if user.disabled:
        raise Impossible(f"{user.username} is disabled: enable the account first.", _url(user))
    token = await links.reset(
        audited(request, "made a reset link for", user.username),
        user.id,
        request[IDENTITY].user,
        int(time.time()),
        links.RESET_HOLDS,
    )
    return await show_link(
        request,
        title=f"A new password for {user.username}",
        sentence=f"Give this link to {user.username}: it lets them choose a new password, once, "
        "within a day. Their old one works until then.",
        path=f"/reset/{token}",
        back=_url(user),
    )


async def _user(request: web.Request) -> User:
    user = await users.by_id(request.app[DATABASE], _id(request))
    if user is None:
        raise Impossible("This account has been deleted in the meantime.", _LIST)
    return user


def _id(request: web.Request) -> int:
    return int(request.match_info["account"])


def _url(user: User) -> str:
    return f"{_LIST}{user.id}"
