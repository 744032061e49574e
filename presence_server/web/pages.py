"""The pages: sign-up, log-in, log-out and the list of users."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from aiohttp import web

from presence_server.accounts import sessions, users
from presence_server.accounts.names import is_found
from presence_server.endings import Reason
from presence_server.keys import (
    CONFIG,
    DATABASE,
    IDENTITY,
    KEYRING,
    METRICS,
    PASSWORDS,
    PRESENCE,
    THROTTLE,
)
from presence_server.presence.records import OWN
from presence_server.presence.states import Status
from presence_server.storage.database import Writer
from presence_server.web.authentication import authenticate, known_device
from presence_server.web.cookies import (
    forget,
    has_cookie,
    is_from_before,
    remember,
    secret_id,
    tell_next,
    told,
)
from presence_server.web.devices import device_name, proof_of
from presence_server.web.events import note
from presence_server.web.identity import identity_of
from presence_server.web.forms import (
    TOO_OLD,
    Form,
    Refused,
    check_token,
    read_form,
    repetition_problem,
    too_often,
    trouble_is_told,
    typed_name,
)
from presence_server.web.middlewares import NotAllowed
from presence_server.web.once import writer
from presence_server.web.onward import log_in_first, page_named
from presence_server.web.directory import (
    AWAY,
    ONLINE,
    Row,
    count_here,
    everybody,
    is_search,
    is_username_part,
    people_here,
    person_here,
)
from presence_server.web.hosts import came_from, site_path, site_url
from presence_server.web.proxies import client_address
from presence_server.web.rendering import render
from presence_server.web.runner import waiter

SCREEN = 80  # rows

# For a wrong username as well as for a wrong password.
_WRONG = "Wrong username or password."

# What the log-in page says to a browser whose session has ended.
_ENDED: dict[str, str] = {
    Reason.LOG_OUT: "You are logged out.",
    Reason.PASSWORD: "Your password was changed, and all other devices are logged out.",
    Reason.DISABLED: "Your account was switched off by whoever runs this site.",
    Reason.DELETED: "Your account has been deleted.",
    Reason.ENDED: "This device was logged out from another one.",
}
_EXPIRED = "You were logged out because this device had not been used for a long time."


async def add_slash(request: web.Request) -> web.Response:
    """For an address that was typed without its end."""
    query = request.rel_url.raw_query_string
    raise web.HTTPPermanentRedirect(site_path(request) + "/" + (query and f"?{query}"))


async def lead_to_change_of_password(request: web.Request) -> web.Response:
    """Where password managers look."""
    raise web.HTTPFound("/account/")


async def show_sign_up(request: web.Request) -> web.Response:
    if IDENTITY in request:
        return await _already_page(request)
    if not _sign_up_open(request):
        return await sign_up_page(request, Form(), status=403)
    return await sign_up_page(request, Form())


async def sign_up(request: web.Request) -> web.Response:
    fields = await read_form(request)
    username = typed_name(fields)
    try:
        await check_token(request, fields)
        if not _sign_up_open(request):
            raise Refused(403)
        with trouble_is_told():
            await create_user(request, username, fields, writer(request))
    except Refused as refusal:
        form = refusal.form({"username": username})
        return await sign_up_page(request, form, status=refusal.status, headers=refusal.headers)
    await tell_next(request, "Your account is ready. Log in with it.", username)
    raise web.HTTPSeeOther("/log_in/")


async def create_user(
    request: web.Request, username: str, fields: Mapping[str, str], db: Writer
) -> None:
    """Make the account that somebody asks for; `db` is what it is written with."""
    # Judging a password costs something already.
    if wait := request.app[THROTTLE].sign_up(client_address(request)):
        request.app[METRICS].throttled.labels("sign_up").inc()
        raise too_often(wait)
    password, who = fields.get("password1", ""), waiter(request)
    problems = {
        "username": users.name_problem(username),
        "password1": await request.app[PASSWORDS].problem(password, username, who),
        "password2": repetition_problem(fields),
    }
    if any(problems.values()):
        raise Refused(400, fields=problems)
    # Before the name is tried, so that a taken one takes as long as a free one.
    password_hash = await request.app[PASSWORDS].hash(password, who)
    not_available = Refused(400, fields={"username": "That username is not available."})
    if users.is_reserved(username):
        raise not_available
    try:
        await users.create(db, username, password_hash, int(time.time()))
    except users.UsernameTaken as taken:
        raise not_available from taken
    note(request, "signed up", username)


def _sign_up_open(request: web.Request) -> bool:
    return request.app[CONFIG].sign_up == "open"


async def sign_up_page(
    request: web.Request,
    form: Form,
    *,
    action: str | None = None,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """With an `action` of their own, also those who have been invited sign up."""
    context = {
        "form": form,
        "action": action or "/sign_up/",
        "invited": action is not None,
        "sign_up_open": action is not None or _sign_up_open(request),
    }
    return await render(request, "sign_up.html", context, status=status, headers=headers)


async def show_log_in(request: web.Request) -> web.Response:
    next_page = page_named(request.query.get("next", ""))
    if IDENTITY in request and next_page:
        raise web.HTTPSeeOther(next_page)
    if IDENTITY in request:
        return await _already_page(request)
    sentence, username = await told(request)
    form = Form({"username": username}, done=sentence or await _why_logged_out(request))
    return await _log_in_page(request, form, next_page)


async def _why_logged_out(request: web.Request) -> str | None:
    """A sentence for whoever has been logged in until now."""
    secret = await secret_id(request)
    if secret is None:
        # The log-out has left no cookie, but who comes from such a page had one there.
        left = came_from(request) in ("/", "/account/") and not has_cookie(request)
        return _ENDED[Reason.LOG_OUT] if left else None
    reason = await sessions.why_ended(request.app[DATABASE], secret)
    return _EXPIRED if reason is None else _ENDED.get(reason, _EXPIRED)


async def _already_page(request: web.Request) -> web.Response:
    """For somebody who is logged in and came to a page for others."""
    address = _site_address(request) if _sign_up_open(request) else None
    return await render(request, "already.html", {"address": address})


def _site_address(request: web.Request) -> str:
    """What others type to come to this site."""
    return site_url(request).partition("://")[2]


async def log_in(request: web.Request) -> web.Response:
    fields = await read_form(request)
    username = typed_name(fields)
    next_page = page_named(fields.get("next") or request.query.get("next", ""))
    if await is_from_before(request, fields.get("csrf_token", "")):
        # In another tab they have logged in meanwhile.
        raise web.HTTPSeeOther(next_page or "/")
    try:
        await check_token(request, fields)
        with trouble_is_told():
            await _start_session(request, fields)
    except Refused as refusal:
        form = refusal.form({"username": username})
        return await _log_in_page(
            request, form, next_page, status=refusal.status, headers=refusal.headers
        )
    raise web.HTTPSeeOther(next_page or "/")


async def _start_session(request: web.Request, fields: Mapping[str, str]) -> None:
    typed = {"username": typed_name(fields), "password": fields.get("password", "")}
    missing = {name: "Please fill this in." for name, text in typed.items() if not text}
    if missing:
        raise Refused(401, _WRONG, fields=missing)
    known = await known_device(request, typed["username"], fields.get("device", ""))
    found = await authenticate(request, **typed, device=known)
    if found is None:
        raise Refused(401, _WRONG)
    user, password_hash = found
    now = int(time.time())
    address, device = client_address(request), device_name(request.headers.get("User-Agent", ""))
    try:
        secret, session = await sessions.start(
            writer(request), user.id, address, device, now, password_hash=password_hash
        )
    except sessions.NotAllowed as not_allowed:
        note(request, "not allowed in", user.username)
        raise Refused(401, _WRONG) from not_allowed
    note(request, "logged in", session.username)
    request.app[PRESENCE].claim(OWN, identity_of(request.app, session).who)
    if IDENTITY in request:
        # After the new one has begun: the same user logging in again never leaves in between.
        await sessions.end(writer(request), request[IDENTITY].session, now)
    proof = proof_of(request.app[KEYRING], known, user.id, password_hash)
    await remember(request, secret, proof)


async def _log_in_page(
    request: web.Request,
    form: Form,
    next_page: str,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    context = {
        "form": form,
        "next": next_page,
        "sign_up_open": _sign_up_open(request),
    }
    return await render(request, "log_in.html", context, status=status, headers=headers)


async def log_out(request: web.Request) -> web.Response:
    if IDENTITY in request:
        fields = await read_form(request)
        try:
            await check_token(request, fields)
        except Refused as refusal:
            raise NotAllowed(TOO_OLD) from refusal
        await sessions.end(writer(request), request[IDENTITY].session, int(time.time()))
        note(request, "logged out", request[IDENTITY].user)
    await forget(request)
    if request.app[CONFIG].trusted_user_header is not None:
        await tell_next(request, _ENDED[Reason.LOG_OUT])
    raise web.HTTPSeeOther("/log_in/")


async def list_users(request: web.Request) -> web.Response:
    identity = request.get(IDENTITY)
    if identity is None:
        raise log_in_first(page_named(f"/?{request.query_string}"))
    # Whoever opens the list is here, and sees so, before the page's socket is open.
    request.app[PRESENCE].claim(OWN, identity.who)
    search = request.query.get("q", "").strip()
    here_only = request.query.get("here") == "1"
    total = await users.count(request.app[DATABASE])
    groups, next_url = await _screen(request, search, here_only, total)
    context = {
        "groups": groups,
        "here_count": len(request.app[PRESENCE].here),
        "total": total,
        "me": identity.user,
        "q": search,
        "here_only": here_only,
        "next": next_url,
        "address": _site_address(request) if _sign_up_open(request) else None,
    }
    return await render(request, "users.html", context)


@dataclass(frozen=True, slots=True)
class Group:
    """A part of the list; `count` is how many belong to it, as far as that is known."""

    key: str
    title: str
    people: Sequence[Row] = ()
    count: int | None = None


async def _screen(
    request: web.Request, search: str, here_only: bool, total: int
) -> tuple[list[Group], str | None]:
    """What fits on one screen, and the address of the next one."""
    after = request.query.get("after")
    if not is_search(search) or not is_username_part(after or ""):
        return _grouped((), (), (), ()), None
    if after is None:
        return await _first_screen(request, search, here_only, total)
    # One more than fits tells whether there are more.
    if here_only:
        rows = await people_here(request.app, after=after, search=search, limit=SCREEN + 1)
    else:
        rows = await everybody(request.app, after=after, search=search, limit=SCREEN + 1)
    more = len(rows) > SCREEN
    next_url = _next_url(search, here_only, rows[SCREEN - 1].username) if more else None
    # In the order of names, whatever their status.
    return [*_grouped((), (), (), ()), Group("all", "People", rows[:SCREEN])], next_url


async def _first_screen(
    request: web.Request, search: str, here_only: bool, total: int
) -> tuple[list[Group], str | None]:
    """Who is online, who is away, then as many of the others as fit."""
    app = request.app
    online = await _here(request, search, ONLINE)
    away = (await _here(request, search, AWAY))[: SCREEN - len(online)]
    counts = [await count_here(app, search, statuses) for statuses in (ONLINE, AWAY)]
    if here_only:
        more = sum(counts) > len(online) + len(away)
        return _grouped(online, away, [], counts), _next_url(search, True, "") if more else None
    others, after = await _others(app, search, SCREEN - len(online) - len(away))
    if not search:
        counts.append(total - sum(counts))
    elif after is None:
        counts.append(len(others))
    next_url = None if after is None else _next_url(search, False, after)
    return _grouped(online, away, others, counts), next_url


async def _here(request: web.Request, search: str, statuses: Collection[Status]) -> list[Row]:
    """Oneself first."""
    app, me = request.app, request[IDENTITY].user
    rows = await people_here(app, after=None, search=search, limit=SCREEN, statuses=statuses)
    myself = [
        row
        for row in person_here(app, me)
        if row.status in statuses and is_found(me, row.name or "", search)
    ]
    return [*myself, *(row for row in rows if row.username != me)][:SCREEN]


async def _others(app: web.Application, search: str, room: int) -> tuple[list[Row], str | None]:
    """The first who are not here, and the name that was read last if there may be more."""
    rows: list[Row] = []
    after = ""
    while len(rows) < room:
        found = await everybody(app, after=after, search=search, limit=SCREEN)
        for row in found:
            if len(rows) == room:
                break
            after = row.username
            if row.status == "offline":
                rows.append(row)
        else:
            if len(found) < SCREEN:
                return rows, None
    return rows, after


def _grouped(
    online: Sequence[Row], away: Sequence[Row], others: Sequence[Row], counts: Sequence[int]
) -> list[Group]:
    online_count, away_count, others_count = [*counts, None, None, None][:3]
    return [
        # Which these are the browser knows.
        Group("favourites", "Favourites"),
        Group("online", "Online", online, online_count),
        Group("away", "Away", away, away_count),
        Group("offline", "Offline", others, others_count),
    ]


def _next_url(search: str, here_only: bool, after: str) -> str:
    asked = {"q": search, "here": "1" if here_only else ""}
    query = {name: value for name, value in asked.items() if value}
    # An empty `after` counts too: it begins the list in the order of names.
    return "/?" + urlencode({**query, "after": after})
