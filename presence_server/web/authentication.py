"""Checking a password, with every guess counted."""

from aiohttp import web

from presence_server.accounts import users
from presence_server.accounts.database import DatabaseUnavailable
from presence_server.accounts.passwords import PasswordsBusy
from presence_server.keys import DATABASE, METRICS, PASSWORDS, THROTTLE
from presence_server.web.forms import too_often
from presence_server.web.proxies import client_address


async def authenticate(
    request: web.Request, username: str, password: str, device: str | None = None
) -> tuple[users.User, str] | None:
    """The user and the hash that the password fits.

    None after the same time whether the name or the password is wrong. `device` is as in Throttle.
    """
    throttle, attempt = request.app[THROTTLE], (client_address(request), username, device)
    metrics = request.app[METRICS]
    if wait := throttle.log_in(*attempt):
        metrics.throttled.labels("log_in").inc()
        raise too_often(wait)
    try:
        found = await _checked(request, username, password)
    except (PasswordsBusy, DatabaseUnavailable):
        metrics.log_ins.labels("busy").inc()
        throttle.forgive(*attempt)
        raise
    if found is not None:
        throttle.forgive(*attempt)
    metrics.log_ins.labels("wrong" if found is None else "welcome").inc()
    return found


async def _checked(
    request: web.Request, username: str, password: str
) -> tuple[users.User, str] | None:
    user = await users.find(request.app[DATABASE], username)
    password_hash = await users.password_hash(request.app[DATABASE], username)
    correct = await request.app[PASSWORDS].verify(password, password_hash)
    if user is None or password_hash is None or not correct:
        return None
    return user, password_hash
