"""Where links lead that let somebody in: to a new password, to an account of their own."""

import time
from collections.abc import Mapping

from aiohttp import web

from presence_server.accounts import links, users
from presence_server.keys import DATABASE, PASSWORDS
from presence_server.web.cookies import tell_next
from presence_server.web.events import note
from presence_server.web.forms import (
    Form,
    Refused,
    check_token,
    read_form,
    repetition_problem,
    trouble_is_told,
    typed_name,
)
from presence_server.web.once import writer
from presence_server.web.queueing import waiter
from presence_server.web.rendering import render
from presence_server.web.sign_up import create_user, sign_up_page


async def show_invitation(request: web.Request) -> web.Response:
    if not await links.is_invitation(request.app[DATABASE], _token(request), int(time.time())):
        return await _over_page(request)
    return await _invitation_page(request, Form())


async def accept_invitation(request: web.Request) -> web.Response:
    fields = await read_form(request)
    username, now = typed_name(fields), int(time.time())
    if not await links.is_invitation(request.app[DATABASE], _token(request), now):
        return await _over_page(request)
    try:
        await check_token(request, fields)
        with trouble_is_told():
            ends = links.Using(writer(request), _token(request), now)
            await create_user(request, username, fields, ends)
    except Refused as refusal:
        return await _invitation_page(request, refusal.form({"username": username}), refusal)
    except links.LinkOver:
        return await _over_page(request)
    await tell_next(request, "Your account is ready. Log in with it.", username)
    raise web.HTTPSeeOther("/log_in/")


async def _invitation_page(
    request: web.Request, form: Form, refusal: Refused | None = None
) -> web.Response:
    status, headers = (refusal.status, refusal.headers) if refusal else (200, {})
    action = f"/invite/{_token(request)}"
    return await sign_up_page(request, form, action=action, status=status, headers=headers)


async def show_reset(request: web.Request) -> web.Response:
    user = await links.user_of(request.app[DATABASE], _token(request), int(time.time()))
    if user is None:
        return await _over_page(request)
    return await _reset_page(request, user, Form())


async def reset_password(request: web.Request) -> web.Response:
    fields = await read_form(request)
    user = await links.user_of(request.app[DATABASE], _token(request), int(time.time()))
    if user is None:
        return await _over_page(request)
    try:
        await check_token(request, fields)
        with trouble_is_told():
            await _set_password(request, user, fields)
    except Refused as refusal:
        return await _reset_page(request, user, refusal.form({}), refusal)
    except links.LinkOver:
        return await _over_page(request)
    note(request, "chose a password by a link", user.username)
    await tell_next(request, "Your password is set. Log in with it.", user.username)
    raise web.HTTPSeeOther("/log_in/")


async def _set_password(
    request: web.Request, user: users.User, fields: Mapping[str, str]
) -> None:
    password, who, now = fields.get("password1", ""), waiter(request), int(time.time())
    passwords = request.app[PASSWORDS]
    problems = {
        "password1": await passwords.problem(password, user.username, who),
        "password2": repetition_problem(fields),
    }
    if any(problems.values()):
        raise Refused(400, fields=problems)
    password_hash = await passwords.hash(password, who)
    ends = links.Using(writer(request), _token(request), now)
    await users.change_password(ends, user.id, password_hash, now)


async def _reset_page(
    request: web.Request, user: users.User, form: Form, refusal: Refused | None = None
) -> web.Response:
    status, headers = (refusal.status, refusal.headers) if refusal else (200, {})
    context = {"form": form, "username": user.username, "token": _token(request)}
    return await render(request, "reset.html", context, status=status, headers=headers)


async def _over_page(request: web.Request) -> web.Response:
    context = {
        "status": 404,
        "title": "This link no longer works",
        "sentence": "It has already been used, or has expired. Ask for a new one.",
    }
    return await render(request, "error.html", context, status=404)


def _token(request: web.Request) -> str:
    return request.match_info["token"]
