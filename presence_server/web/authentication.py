"""Checking a password, with every guess counted."""

from aiohttp import web

from presence_server.accounts import users
from presence_server.accounts.queues import PasswordsBusy, Waiter
from presence_server.keys import DATABASE, KEYRING, METRICS, PASSWORDS, THROTTLE
from presence_server.web.cookies import device_proof
from presence_server.web.devices import device_of, is_proof
from presence_server.web.events import note
from presence_server.web.forms import too_often
from presence_server.web.proxies import client_address
from presence_server.web.queueing import waiter


async def authenticate(
    request: web.Request, username: str, password: str, device: str | None = None
) -> tuple[users.User, str] | None:
    """The user and the hash that the password fits.

    None after the same time whether the name or the password is wrong. `device` is as in Throttle.
    """
    throttle, address = request.app[THROTTLE], client_address(request)
    metrics = request.app[METRICS]
    who = waiter(request, username.lower() if device else None)
    async with throttle.log_in(address, username, device, who) as attempt:
        if attempt.wait:
            metrics.throttled.labels("log_in").inc()
            raise too_often(attempt.wait)
        found = await _checked(request, username, password, who, device is not None)
        if found is not None:
            attempt.succeed()
    metrics.log_ins.labels("wrong" if found is None else "welcome").inc()
    return found


async def known_device(request: web.Request, username: str, shown: str) -> str | None:
    """The device on which the account has been used before, by the proof that was shown or is in
    the cookie."""
    proofs = [proof for proof in (shown, await device_proof(request)) if is_proof(proof)]
    if not proofs:
        return None
    database = request.app[DATABASE]
    user = await users.find(database, username)
    password_hash = await users.password_hash(database, username)
    # For a name that nobody has, too: or the time of a refusal would tell.
    account = (user.id, password_hash) if user and password_hash else (0, "")
    devices = [device_of(request.app[KEYRING], proof, *account) for proof in proofs]
    return next(filter(None, devices), None)


async def _checked(
    request: web.Request, username: str, password: str, who: Waiter, known: bool
) -> tuple[users.User, str] | None:
    passwords, database = request.app[PASSWORDS], request.app[DATABASE]
    if passwords.busy(who, known=known):
        # Under a flood the database need not be asked for nothing, too.
        raise PasswordsBusy
    user = await users.find(database, username)
    password_hash = await users.password_hash(database, username)
    correct = await passwords.verify(password, password_hash, who, known=known)
    if user is None or password_hash is None:
        note(request, "unknown name", None)
        return None
    if not correct:
        note(request, "wrong password", user.username)
        return None
    return user, await _renewed(request, user, password, password_hash, who, known)


async def _renewed(
    request: web.Request,
    user: users.User,
    password: str,
    password_hash: str,
    who: Waiter,
    known: bool,
) -> str:
    """The hash of a right password, made anew if --bcrypt-cost has changed since it was made."""
    passwords = request.app[PASSWORDS]
    if not passwords.is_outdated(password_hash):
        return password_hash
    try:
        renewed = await passwords.hash(password, who, known=known)
    except PasswordsBusy:
        # The next log-in will do.
        return password_hash
    replaced = await users.renew_hash(request.app[DATABASE], user.id, password_hash, renewed)
    return renewed if replaced else password_hash
