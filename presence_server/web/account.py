"""The account page: name, password, devices, what is kept back, deletion."""

import time
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import NamedTuple

from aiohttp import web

from presence_server.accounts import audit, profiles, sessions, users
from presence_server.accounts.names import name_problem, tidy
from presence_server.accounts.sessions import Session
from presence_server.endings import Endings, Reason
from presence_server.identity import Identity
from presence_server.keys import (
    DATABASE,
    ENDINGS,
    IDENTITY,
    KEYRING,
    PASSWORDS,
    PROFILE_RATE,
)
from presence_server.notes import written
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
    too_often,
    trouble_is_told,
)
from presence_server.web.once import writer
from presence_server.web.onward import log_in_first
from presence_server.web.queueing import waiter
from presence_server.web.rendering import render

_OTHERS = "others"


async def show_account(request: web.Request) -> web.Response:
    _identity(request)
    sentence, _ = await told(request)
    return await _account_page(request, Form(done=sentence))


async def show_account_instead(request: web.Request) -> web.Response:
    """At the address of a form that was refused: somebody asks for the page that it left there."""
    raise web.HTTPSeeOther("/account/")


class _Done(NamedTuple):
    """What came of a form: what the log says, what its sender is told, and where."""

    noted: str
    sentence: str
    page: str = "/account/"


_Act = Callable[[web.Request, Identity, Mapping[str, str]], Awaitable[_Done]]


def _form(act: _Act) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A form of the account page: what it asks for is done, or the page says why not."""

    @wraps(act)
    async def handle(request: web.Request) -> web.Response:
        identity = _identity(request)
        fields = await read_form(request)
        try:
            await check_token(request, fields)
            with trouble_is_told():
                done = await act(request, identity, fields)
        except Refused as refusal:
            return await _refusal_page(request, refusal, fields)
        note(request, done.noted, identity.user)
        await tell_next(request, done.sentence)
        raise web.HTTPSeeOther(done.page)

    return handle


@_form
async def change_name(
    request: web.Request, identity: Identity, fields: Mapping[str, str]
) -> _Done:
    _check_pace(request, identity)
    name = tidy(fields.get("name", ""))
    if problem := name_problem(name):
        raise Refused(400, fields={"name": problem})
    await profiles.set_name(request.app[ENDINGS], identity.account, name, int(time.time()))
    sentence = f"Others see you as {name} now." if name else "Others see your username only now."
    return _Done("changed the name", sentence)


def _switch(
    field: str,
    turn: Callable[[Endings, int, bool, int], Awaitable[None]],
    *,
    noted: str,
    on: str,
    off: str,
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """The form of something that others are shown or not."""

    @_form
    async def change(
        request: web.Request, identity: Identity, fields: Mapping[str, str]
    ) -> _Done:
        _check_pace(request, identity)
        is_on = fields.get(field) == "1"
        await turn(request.app[ENDINGS], identity.account, is_on, int(time.time()))
        return _Done(noted, on if is_on else off)

    return change


change_last_seen = _switch(
    "hide",
    profiles.hide_last_seen,
    noted="changed who sees when they were here",
    on="Others no longer see when you were last here.",
    off="Others see when you were last here.",
)

change_devices_shown = _switch(
    "show",
    profiles.show_devices,
    noted="changed who sees on what they are here",
    on="Others see whether you are on a computer, a phone or a tablet.",
    off="Others no longer see what kind of device you are on.",
)


@_form
async def change_password(
    request: web.Request, identity: Identity, fields: Mapping[str, str]
) -> _Done:
    await _check_password(request, fields, "old_password")
    await _set_password(request, fields)
    sentence = "Your password has been changed. You are logged out everywhere else."
    return _Done("changed the password", sentence)


@_form
async def end_devices(
    request: web.Request, identity: Identity, fields: Mapping[str, str]
) -> _Done:
    chosen, ends, now = fields.get("device", ""), writer(request), int(time.time())
    if chosen == _OTHERS:
        await sessions.end_all(ends, identity.account, now, keep=identity.session)
        sentence = "You are logged out everywhere else."
    else:
        await sessions.end(ends, await _device_key(request, chosen), now, Reason.ENDED)
        sentence = "That device is logged out."
    return _Done("logged devices out", sentence)


@_form
async def delete_account(
    request: web.Request, identity: Identity, fields: Mapping[str, str]
) -> _Done:
    await _check_password(request, fields, "password")
    try:
        ends = audit.Guarded(writer(request))
        await users.delete(ends, identity.account, int(time.time()))
    except audit.LastAdministrator as last:
        sentence = "You are the last administrator: make somebody else one first."
        raise Refused(400, fields={"password": sentence}) from last
    await forget(request)
    return _Done("deleted the account", "Your account has been deleted.", "/log_in/")


def _identity(request: web.Request) -> Identity:
    identity: Identity | None = request.get(IDENTITY)
    if identity is None:
        raise log_in_first("/account/")
    return identity


def _check_pace(request: web.Request, identity: Identity) -> None:
    """Others are told of what is changed, and it leaves a row for two days."""
    if wait := request.app[PROFILE_RATE].take(identity.account):
        raise too_often(wait)


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
    proof = proof_of(request.app[KEYRING], None, identity.account, password_hash)
    await remember_device(request, proof)


async def _device_key(request: web.Request, handle: str) -> str:
    of_mine = await sessions.of_user(request.app[DATABASE], request[IDENTITY].account)
    for session in of_mine:
        if _handle(session) == handle:
            return session.key
    raise Refused(400, "That device is no longer logged in.")


def _handle(session: Session) -> str:
    return session.key[:16]


async def _refusal_page(
    request: web.Request, refusal: Refused, fields: Mapping[str, str]
) -> web.Response:
    # Nothing else that is typed here is shown again.
    typed = {"name": fields["name"]} if "name" in fields else {}
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
    here = await written.here_by_session(database, [session.key for session in of_mine])
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
