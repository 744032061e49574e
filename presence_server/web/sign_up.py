"""Signing up: the page, and the account that comes of it."""

import time
from collections.abc import Mapping

from aiohttp import web

from presence_server.accounts import users
from presence_server.accounts.usernames import is_reserved, username_problem
from presence_server.keys import CONFIG, IDENTITY, METRICS, PASSWORDS, THROTTLE
from presence_server.storage.database import Writer
from presence_server.web.cookies import tell_next, told
from presence_server.web.events import note
from presence_server.web.forms import (
    Form,
    Refused,
    check_token,
    read_form,
    repetition_problem,
    too_often,
    trouble_is_told,
    typed_name,
)
from presence_server.web.hosts import site_url
from presence_server.web.once import writer
from presence_server.web.proxies import client_address
from presence_server.web.queueing import waiter
from presence_server.web.rendering import render


async def show_sign_up(request: web.Request) -> web.Response:
    if IDENTITY in request:
        return await already_page(request)
    if not sign_up_open(request):
        return await sign_up_page(request, Form(), status=403)
    return await sign_up_page(request, Form())


async def sign_up(request: web.Request) -> web.Response:
    fields = await read_form(request)
    username = typed_name(fields)
    try:
        await check_token(request, fields)
        if not sign_up_open(request):
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
        "username": username_problem(username),
        "password1": await request.app[PASSWORDS].problem(password, username, who),
        "password2": repetition_problem(fields),
    }
    if any(problems.values()):
        raise Refused(400, fields=problems)
    # Before the name is tried, so that a taken one takes as long as a free one.
    password_hash = await request.app[PASSWORDS].hash(password, who)
    not_available = Refused(400, fields={"username": "That username is not available."})
    if is_reserved(username):
        raise not_available
    try:
        await users.create(db, username, password_hash, int(time.time()))
    except users.UsernameTaken as taken:
        raise not_available from taken
    note(request, "signed up", username)


def sign_up_open(request: web.Request) -> bool:
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
        "sign_up_open": action is not None or sign_up_open(request),
    }
    return await render(request, "sign_up.html", context, status=status, headers=headers)


async def already_page(request: web.Request) -> web.Response:
    """For somebody who is logged in and came to a page for others."""
    address = site_address(request) if sign_up_open(request) else None
    # What they have just done here for an account that is not the one they are logged in with.
    sentence, username = await told(request)
    context = {"address": address, "done": sentence, "username": username}
    return await render(request, "already.html", context)


def site_address(request: web.Request) -> str:
    """What others type to come to this site."""
    return site_url(request).partition("://")[2]
