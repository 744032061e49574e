"""Checking a password, with every guess counted."""

from aiohttp import web

from presence_server.accounts import users
from presence_server.keys import DATABASE, METRICS, PASSWORDS, THROTTLE
from presence_server.web.forms import too_often
from presence_server.web.proxies import client_address


async def authenticate(
    request: web.Request, username: str, password: str, device: str | None = None
) -> tuple[users.User, str] | None:
    """The user and the hash that the password fits.

    None after the same time whether the name or the password is wrong. `device` is as in Throttle.
    """
    throttle, address = request.app[THROTTLE], client_address(request)
    metrics = request.app[METRICS]
    async with throttle.log_in(address, username, device) as attempt:
        if attempt.wait:
            metrics.throttled.labels("log_in").inc()
            raise too_often(attempt.wait)
        found = await _checked(request, username, password)
        attempt.right = found is not None
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
