"""Logging in and out."""

import time
from collections.abc import Mapping

from aiohttp import web

from presence_server.accounts import sessions
from presence_server.endings import Reason
from presence_server.keys import CONFIG, DATABASE, IDENTITY, KEYRING, PRESENCE
from presence_server.presence.records import OWN
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
from presence_server.web.forms import (
    TOO_OLD,
    Form,
    Refused,
    check_token,
    read_form,
    trouble_is_told,
    typed_name,
)
from presence_server.web.hosts import came_from
from presence_server.web.identity import identity_of
from presence_server.web.middlewares import NotAllowed
from presence_server.web.once import writer
from presence_server.web.onward import page_named
from presence_server.web.proxies import client_address
from presence_server.web.rendering import render
from presence_server.web.sign_up import already_page, sign_up_open

# For a wrong username as well as for a wrong password.
_WRONG = "Wrong username or password."

# What the log-in page says to a browser whose session has ended.
_ENDED: dict[str, str] = {
    Reason.LOG_OUT: "You are logged out.",
    Reason.PASSWORD: "Your password was changed, and all other devices are logged out.",
    Reason.DISABLED: "Your account was disabled by whoever runs this site.",
    Reason.DELETED: "Your account has been deleted.",
    Reason.ENDED: "This device was logged out from another one, or by whoever runs this site.",
}
_EXPIRED = "You were logged out because this device had not been used for a long time."


async def show_log_in(request: web.Request) -> web.Response:
    next_page = page_named(request.query.get("next", ""))
    if IDENTITY in request and next_page:
        raise web.HTTPSeeOther(next_page)
    if IDENTITY in request:
        return await already_page(request)
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
        "sign_up_open": sign_up_open(request),
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
