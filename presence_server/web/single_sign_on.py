"""Single sign-on: a proxy in front says whom it has let in, and nobody else can."""

import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from presence_server.accounts import sessions, users
from presence_server.accounts.usernames import username_problem
from presence_server.accounts.sessions import Session
from presence_server.accounts.users import User
from presence_server.keys import CONFIG, DATABASE, ENDINGS
from presence_server.web.cookies import remember, told
from presence_server.web.devices import device_name
from presence_server.web.events import note
from presence_server.web.hosts import site_path
from presence_server.web.middlewares import NotAllowed
from presence_server.web.proxies import client_address, is_from_proxy
from presence_server.web.rendering import render

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_DISABLED = "Your account here was disabled by whoever runs this site."


def by_password(handler: Handler) -> Handler:
    """For what is of use only where people log in here: else there is nothing at its address."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.app[CONFIG].trusted_user_header is not None:
            raise web.HTTPNotFound
        return await handler(request)

    return answer


def log_in_page(show_form: Handler) -> Handler:
    """The page for those who are not logged in, in place of the form where there is none."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.app[CONFIG].trusted_user_header is None:
            return await show_form(request)
        sentence, _ = await told(request)
        context = {
            "known": name_from_proxy(request) is not None,
            "go_on_to": request.app[CONFIG].log_out_url if sentence else None,
        }
        return await render(request, "signed_on.html", context)

    return answer


def name_from_proxy(request: web.Request) -> str | None:
    """Whom a trusted proxy names; None from everybody else, whatever they send."""
    header = request.app[CONFIG].trusted_user_header
    if header is None or not is_from_proxy(request):
        return None
    names = request.headers.getall(header, ())
    if len(names) > 1:
        # One of them is not the proxy's.
        raise web.HTTPBadRequest
    return names[0].strip(" \t") or None if names else None


async def by_proxy(request: web.Request, session: Session | None) -> Session | None:
    """The session of the one whom the proxy names: that of the cookie if it is theirs, or a new
    one. A cookie alone opens nothing here."""
    name = name_from_proxy(request)
    if name is None:
        return None
    if session is not None and session.username.lower() == name.lower():
        return session
    if not _is_page(request):
        return None
    return await _begin(request, await _user(request, name), session)


def _is_page(request: web.Request) -> bool:
    # Programs that keep no cookie would begin a session with each request.
    path = site_path(request)
    return request.method == "GET" and (path in ("/", "/account/") or path.startswith("/admin"))


async def _user(request: web.Request, name: str) -> User:
    database = request.app[DATABASE]
    user = await users.find(database, name)
    if user is not None:
        return user
    if problem := username_problem(name):
        raise NotAllowed(
            f"The sign-in of your organisation calls you {ascii(name[:64])}. {problem} "
            "Please tell whoever runs this site."
        )
    try:
        made = await users.create(database, name, users.NO_PASSWORD, int(time.time()))
    except users.UsernameTaken:
        # In another tab, just now.
        return await _user(request, name)
    note(request, "made at first sight", name)
    return made


async def _begin(request: web.Request, user: User, former: Session | None) -> Session:
    ends, now = request.app[ENDINGS], int(time.time())
    device = device_name(request.headers.get("User-Agent", ""))
    try:
        secret, session = await sessions.start(
            ends, user.id, client_address(request), device, now
        )
    except sessions.NotAllowed as not_allowed:
        raise NotAllowed(_DISABLED) from not_allowed
    if former is not None:
        await sessions.end(ends, former.key, now)
    await remember(request, secret, "")
    note(request, "let in by the proxy", session.username)
    return session
