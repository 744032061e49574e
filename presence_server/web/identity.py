"""Who sent a request: the one place that knows by what it shows."""

import time
from contextlib import suppress

from aiohttp import web
from aiohttp.typedefs import Handler

from presence_server.accounts import sessions
from presence_server.identity import Identity
from presence_server.keys import CONFIG, DATABASE, FINDER, IDENTITY, PRESENCE, SESSION
from presence_server.storage.database import DatabaseUnavailable
from presence_server.web.cookies import secret_id
from presence_server.web.devices import kind_of
from presence_server.web.hosts import site_path
from presence_server.web.problems import is_of_api
from presence_server.web.single_sign_on import by_proxy


@web.middleware
async def identity(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Finds out who it is; request[IDENTITY] is absent when nobody has logged in."""
    path = site_path(request)
    # To the API cookies mean nothing: whoever asks it shows a token or a key.
    if not path.startswith("/static/") and not is_of_api(path):
        known = await _known(request)
        if known is not None:
            request[IDENTITY] = known
    return await handler(request)


async def _known(request: web.Request) -> Identity | None:
    session = await _by_cookie(request)
    if request.app[CONFIG].trusted_user_header is not None:
        session = await by_proxy(request, session)
    if session is None:
        return None
    request[SESSION] = session
    return identity_of(request.app, session)


def identity_of(app: web.Application, session: sessions.Session) -> Identity:
    return Identity(
        user=session.username,
        session=session.key,
        name=app[PRESENCE].profile_of(session.username).name or session.username,
        account=session.user_id,
        device=kind_of(session.device),
    )


async def _by_cookie(request: web.Request) -> sessions.Session | None:
    secret = await secret_id(request)
    if secret is None:
        return None
    now = int(time.time())
    session = await request.app[FINDER].find(secret, now)
    if session is not None:
        await _note_use(request, session, now)
    return session


async def _note_use(request: web.Request, session: sessions.Session, now: int) -> None:
    # An open socket is noted elsewhere; a page now and then must not cost a write each.
    if "Upgrade" in request.headers or now - session.used_at < sessions.TOUCH_EVERY:
        return
    with suppress(DatabaseUnavailable):
        await sessions.touch(request.app[DATABASE], [session.key], now)
