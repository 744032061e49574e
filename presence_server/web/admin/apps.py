"""Other applications in the hands of administrators: keys, origins, webhooks, a token to try."""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import NamedTuple

from aiohttp import web

from presence_server.accounts.audit import Audited
from presence_server.accounts.keyring import Unreadable
from presence_server.apps import register, tokens, webhooks
from presence_server.apps.permissions import Permission
from presence_server.apps.register import App, Secrets
from presence_server.apps.settings import read_name
from presence_server.apps.tokens import SigningKey
from presence_server.keys import APPS, DATABASE, KEYRING, ROOMS
from presence_server.visits import written
from presence_server.web.admin.app_forms import (
    CLAIMS,
    SETTINGS,
    read_field,
    read_pattern,
    read_settings,
    read_user,
    said,
    typed_in,
)
from presence_server.web.admin.gate import Impossible, audited, done, record, show as show_page
from presence_server.web.admin.secret import show_secrets
from presence_server.web.forms import Refused, read_form
from presence_server.web.rendering import render

_LIST = "/admin/apps/"
_TRIED_FOR = 600  # seconds


class _Act(NamedTuple):
    """What stands in the log, what is done, and what the page then says of the name."""

    logged: str
    do: Callable[[Audited, App], Awaitable[object]]
    said: str


async def _delete(ends: Audited, app: App) -> None:
    await written.forget_app(ends.database, app.id)
    await register.delete(ends, app.id)


_ACTS = {
    "drop": _Act(
        "dropped the previous key of",
        lambda ends, app: register.drop_previous(ends, app.id),
        "The previous key of {} no longer works.",
    ),
    "resync": _Act(
        "sent again who is here to",
        lambda ends, app: register.resync(ends, app.id),
        "{} is being told again who is here.",
    ),
    "delete": _Act("deleted the app", _delete, "The app {} has been deleted."),
}


async def show_list(request: web.Request) -> web.Response:
    return await show_page(request, "admin_apps.html", await _list(request))


async def _list(request: web.Request) -> dict[str, object]:
    apps = await register.listed(request.app[DATABASE])
    people = request.app[ROOMS].people
    return {"section": "apps", "apps": [(app, people(app.id)) for app in apps]}


async def add(request: web.Request) -> web.Response:
    typed = await typed_in(request, ("name", *SETTINGS))
    try:
        name = read_field(typed, "name", read_name)
        made = await register.add(
            audited(request, "added the app", name),
            request.app[KEYRING],
            name,
            read_settings(typed),
            int(time.time()),
        )
    except register.NameTaken:
        refusal = Refused(400, fields={"name": "There is already an app of that name."})
        return await _list_page(request, refusal, typed)
    except Refused as refusal:
        return await _list_page(request, refusal, typed)
    await _heed(request)
    return await _show_secrets(request, f"The app {name} is ready", made, _LIST)


async def _list_page(
    request: web.Request, refusal: Refused, typed: Mapping[str, str]
) -> web.Response:
    context = {**await _list(request), "form": refusal.form(typed)}
    return await render(request, "admin_apps.html", context, status=refusal.status)


async def show(request: web.Request) -> web.Response:
    app = await _find(request)
    if app is None:
        raise web.HTTPNotFound
    return await show_page(request, "admin_app.html", await _of(request, app), said(app))


async def show_instead(request: web.Request) -> web.Response:
    raise web.HTTPSeeOther(f"{_LIST}{request.match_info['app']}")


async def _of(request: web.Request, app: App) -> dict[str, object]:
    return {
        "section": "apps",
        "app": app,
        "told": await webhooks.state(request.app[DATABASE], app.id),
        "people": request.app[ROOMS].people(app.id),
        "permissions": list(Permission),
    }


async def change_settings(request: web.Request) -> web.Response:
    app, typed = await _app(request), await typed_in(request, SETTINGS)
    try:
        settings = read_settings(typed)
    except Refused as refusal:
        return await _app_page(request, app, refusal, typed)
    writer = audited(request, "changed the app", app.name)
    await register.change(writer, app.id, lambda before: settings)
    if not settings.visits:
        await written.forget_app(request.app[DATABASE], app.id)
    return await _done(request, f"The settings of {app.name} are saved.", _url(app))


async def rotate(request: web.Request) -> web.Response:
    app = await _app(request)
    if (await read_form(request)).get("key") != app.keys[0].id:
        # Once more, and the key that its backend uses would hold no longer.
        raise Impossible("A new key has been made in the meantime.", _url(app))
    writer = audited(request, "made a new key for", app.name)
    made = await register.rotate(writer, request.app[KEYRING], app.id, int(time.time()))
    await _heed(request)
    return await _show_secrets(request, f"A new key for {app.name}", made, _url(app))


async def change(request: web.Request) -> web.Response:
    """One of the acts that need nothing but a button."""
    act = _ACTS.get(request.match_info["act"])
    if act is None:
        raise web.HTTPNotFound
    app = await _app(request)
    await act.do(audited(request, act.logged, app.name), app)
    page = _LIST if request.match_info["act"] == "delete" else _url(app)
    return await _done(request, act.said.format(app.name), page)


async def make_token(request: web.Request) -> web.Response:
    """A token to try, as the app's backend would make it."""
    app, typed = await _app(request), await typed_in(request, CLAIMS)
    try:
        rooms = {
            read_field(typed, "room", read_pattern): read_field(typed, "permission", Permission)
        }
        user = read_field(typed, "user", read_user)
        made = register.unseal(request.app[KEYRING], app.keys[0])
    except Refused as refusal:
        return await _app_page(request, app, refusal, said(app) | typed)
    except Unreadable:
        raise Impossible("Its key can no longer be read: create a new one.", _url(app)) from None
    await record(request, f"made a token for {ascii(user)[1:-1]} of", app.name)
    key = SigningKey(app.id, made.key, made.secret)
    token = tokens.make_token(key, user, rooms, int(time.time()), _TRIED_FOR, None)
    return await show_secrets(
        request,
        f"A token for {user}",
        "Valid for ten minutes. Put it where a page of the app would get one from its backend.",
        {"Token": token},
        _url(app),
    )


async def _app_page(
    request: web.Request, app: App, refusal: Refused, typed: Mapping[str, str]
) -> web.Response:
    context = {**await _of(request, app), "form": refusal.form({**said(app), **typed})}
    return await render(request, "admin_app.html", context, status=refusal.status)


async def _show_secrets(
    request: web.Request, title: str, made: Secrets, back: str
) -> web.Response:
    words = {"key": "Key id", "secret": "Secret", "webhook_secret": "Webhook secret"}
    secrets = {words[name]: text for name, text in asdict(made).items()}
    sentence = "Put these into the settings of its backend, and nowhere else."
    return await show_secrets(request, title, sentence, secrets, back)


async def _done(request: web.Request, sentence: str, page: str) -> web.Response:
    await _heed(request)
    return await done(request, sentence, page)


async def _heed(request: web.Request) -> None:
    """Other nodes come to know within a second, this one before the page is shown.

    What is written is done: that it cannot be read just now is no reason to refuse it.
    """
    await request.app[DATABASE].attempt(request.app[APPS].read())


async def _find(request: web.Request) -> App | None:
    app_id = int(request.match_info["app"])
    apps = await register.listed(request.app[DATABASE])
    return next((app for app in apps if app.id == app_id), None)


async def _app(request: web.Request) -> App:
    app = await _find(request)
    if app is None:
        raise Impossible("This app has been deleted in the meantime.", _LIST)
    return app


def _url(app: App) -> str:
    return f"{_LIST}{app.id}"
