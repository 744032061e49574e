"""The account page: name, password, devices, what is kept back, deletion."""

import time
from collections.abc import Mapping
from types import MappingProxyType

from aiohttp import web

from presence_server import notes
from presence_server.accounts import profiles, sessions, users
from presence_server.accounts.names import name_problem, tidy
from presence_server.accounts.sessions import Session
from presence_server.endings import Reason
from presence_server.identity import Identity
from presence_server.keys import DATABASE, ENDINGS, IDENTITY, KEYRING, PASSWORDS
from presence_server.web.authentication import authenticate
from presence_server.web.cookies import forget, remember_device, tell_next, told
from presence_server.web.devices import proof_of
from presence_server.web.events import note
from presence_server.web.forms import (
    Form,
    Refused,
    check_token,
    read_form,
    repetition_problem,
    trouble_is_told,
)
from presence_server.web.once import writer
from presence_server.web.onward import log_in_first
from presence_server.web.rendering import render
from presence_server.web.runner import waiter

_OTHERS = "others"


async def show_account(request: web.Request) -> web.Response:
    _identity(request)
    sentence, _ = await told(request)
    return await _account_page(request, Form(done=sentence))


async def show_account_instead(request: web.Request) -> web.Response:
    """At the address of a form that was refused: somebody asks for the page that it left there."""
    raise web.HTTPSeeOther("/account/")


async def change_name(request: web.Request) -> web.Response:
    identity = _identity(request)
    fields = await read_form(request)
    name = tidy(fields.get("name", ""))
    try:
        await check_token(request, fields)
        if problem := name_problem(name):
            raise Refused(400, fields={"name": problem})
        with trouble_is_told():
            ends, now = request.app[ENDINGS], int(time.time())
            await profiles.set_name(ends, identity.account, name, now)
    except Refused as refusal:
        return await _refusal_page(request, refusal, {"name": fields.get("name", "")})
    note(request, "changed the name", identity.user)
    done = f"Others see you as {name} now." if name else "Others see your username only now."
    await tell_next(request, done)
    raise web.HTTPSeeOther("/account/")


async def change_last_seen(request: web.Request) -> web.Response:
    identity = _identity(request)
    fields = await read_form(request)
    hides = fields.get("hide") == "1"
    try:
        await check_token(request, fields)
        with trouble_is_told():
            ends, now = request.app[ENDINGS], int(time.time())
            await profiles.hide_last_seen(ends, identity.account, hides, now)
    except Refused as refusal:
        return await _refusal_page(request, refusal)
    note(request, "changed who sees when they were here", identity.user)
    done = (
        "Nobody is told any more when you were here last."
        if hides
        else "Others see when you were here last."
    )
    await tell_next(request, done)
    raise web.HTTPSeeOther("/account/")


async def change_devices_shown(request: web.Request) -> web.Response:
    identity = _identity(request)
    fields = await read_form(request)
    shows = fields.get("show") == "1"
    try:
        await check_token(request, fields)
        with trouble_is_told():
            ends, now = request.app[ENDINGS], int(time.time())
            await profiles.show_devices(ends, identity.account, shows, now)
    except Refused as refusal:
        return await _refusal_page(request, refusal)
    note(request, "changed who sees on what they are here", identity.user)
    done = (
        "Others see whether you are on a computer, a phone or a tablet."
        if shows
        else "Nobody is told any more on what you are here."
    )
    await tell_next(request, done)
    raise web.HTTPSeeOther("/account/")


async def change_password(request: web.Request) -> web.Response:
    _identity(request)
    fields = await read_form(request)
    try:
        await check_token(request, fields)
        with trouble_is_told():
            await _check_password(request, fields, "old_password")
            await _set_password(request, fields)
    except Refused as refusal:
        return await _refusal_page(request, refusal)
    await tell_next(request, "Your password is changed. You are logged out everywhere else.")
    raise web.HTTPSeeOther("/account/")


async def end_devices(request: web.Request) -> web.Response:
    identity = _identity(request)
    fields = await read_form(request)
    chosen = fields.get("device", "")
    ends, now = writer(request), int(time.time())
    try:
        await check_token(request, fields)
        with trouble_is_told():
            if chosen == _OTHERS:
                await sessions.end_all(ends, identity.account, now, keep=identity.session)
                done = "You are logged out everywhere else."
            else:
                key = await _device_key(request, chosen)
                await sessions.end(ends, key, now, Reason.ENDED)
                done = "That device is logged out."
    except Refused as refusal:
        return await _refusal_page(request, refusal)
    note(request, "logged devices out", identity.user)
    await tell_next(request, done)
    raise web.HTTPSeeOther("/account/")


async def delete_account(request: web.Request) -> web.Response:
    identity = _identity(request)
    fields = await read_form(request)
    try:
        await check_token(request, fields)
        with trouble_is_told():
            await _check_password(request, fields, "password")
            await users.delete(writer(request), identity.account, int(time.time()))
    except Refused as refusal:
        return await _refusal_page(request, refusal)
    note(request, "deleted the account", identity.user)
    await forget(request)
    await tell_next(request, "Your account has been deleted.")
    raise web.HTTPSeeOther("/log_in/")


def _identity(request: web.Request) -> Identity:
    identity: Identity | None = request.get(IDENTITY)
    if identity is None:
        raise log_in_first("/account/")
    return identity


async def _check_password(request: web.Request, fields: Mapping[str, str], name: str) -> None:
    identity = request[IDENTITY]
    # Guesses on this device are counted by themselves: strangers cannot use them up.
    if await authenticate(request, identity.user, fields.get(name, ""), identity.session) is None:
        raise Refused(400, fields={name: "That is not your password."})


async def _set_password(request: web.Request, fields: Mapping[str, str]) -> None:
    identity, password = request[IDENTITY], fields.get("password1", "")
    passwords, who = request.app[PASSWORDS], waiter(request, identity.user.lower())
    problems = {
        "password1": await passwords.problem(password, identity.user, who, known=True),
        "password2": repetition_problem(fields),
    }
    if any(problems.values()):
        raise Refused(400, fields=problems)
    password_hash = await passwords.hash(password, who, known=True)
    now = int(time.time())
    await users.change_password(
        writer(request), identity.account, password_hash, now, keep=identity.session
    )
    note(request, "changed the password", identity.user)
    proof = proof_of(request.app[KEYRING], None, identity.account, password_hash)
    await remember_device(request, proof)


async def _device_key(request: web.Request, handle: str) -> str:
    of_mine = await sessions.of_user(request.app[DATABASE], request[IDENTITY].account)
    for session in of_mine:
        if _handle(session) == handle:
            return session.key
    raise Refused(400, "That device is not logged in any more.")


def _handle(session: Session) -> str:
    return session.key[:16]


async def _refusal_page(
    request: web.Request, refusal: Refused, typed: Mapping[str, str] = MappingProxyType({})
) -> web.Response:
    return await _account_page(
        request, refusal.form(typed), status=refusal.status, headers=refusal.headers
    )


async def _account_page(
    request: web.Request,
    form: Form,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    mine, database = request[IDENTITY], request.app[DATABASE]
    of_mine = await sessions.of_user(database, mine.account)
    here = await notes.here_by_session(database, [session.key for session in of_mine])
    user = await users.find(database, mine.user)
    if user is None:
        # Deleted in this very moment.
        raise web.HTTPSeeOther("/log_in/")
    context = {
        "me": mine.user,
        "my_name": user.name,
        "hides": user.hides_last_seen,
        "shows_devices": user.shows_devices,
        "created_at": user.created_at,
        "devices": [
            {
                "key": _handle(session),
                "device": session.device,
                "address": session.address,
                "started_at": session.started_at,
                "used_at": session.used_at,
                "current": session.key == mine.session,
                # This one is looking at the page.
                "here": session.key == mine.session or session.key in here,
            }
            for session in of_mine
        ],
        "form": form,
    }
    return await render(request, "account.html", context, status=status, headers=headers)
