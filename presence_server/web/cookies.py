"""The one cookie: a session's secret id or, before log-in, a random nonce; encrypted.

With it goes the proof that this device has logged in before (web/devices.py), until the log-out.
From a form to the page that it leads to, it also carries a sentence and the name for its field.
"""

import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from typing import Any, cast

import aiohttp_session
from aiohttp import web
from aiohttp_session.cookie_storage import EncryptedCookieStorage
from cryptography.fernet import Fernet, InvalidToken

from presence_server.config import Config
from presence_server.keys import CONFIG, COOKIE_NAME, IDENTITY, KEYRING

MAX_AGE = 90 * 24 * 3600  # seconds: as long as a session can live

_SECRET = "id"
_NONCE = "nonce"
_SENTENCE = "sentence"
_USERNAME = "username"
_DEVICE = "device"


class CookieStorage(EncryptedCookieStorage):
    """Encrypted with the keyring's first key, read with any of its keys.

    What the cookie says is true only while the database says so, too: it has no lifetime of its own
    here.
    """

    def __init__(self, config: Config) -> None:
        # The base class wants one Fernet and a name; the keyring's keys and the application's name
        # are used instead.
        super().__init__(
            Fernet(Fernet.generate_key()),
            path=config.base_path or "/",
            max_age=MAX_AGE,
            secure=config.https,
            httponly=True,
            samesite="Lax",
        )

    async def load_session(self, request: web.Request) -> aiohttp_session.Session:
        content = self._decrypted(request)
        return aiohttp_session.Session(
            None,
            data=cast(aiohttp_session.SessionData, {"session": content}) if content else None,
            new=content is None,
        )

    def _decrypted(self, request: web.Request) -> dict[str, str] | None:
        cookie = self.load_cookie(request)
        if cookie is None:
            return None
        try:
            content = json.loads(request.app[KEYRING].fernet.decrypt(cookie.encode("ascii")))
        except (InvalidToken, ValueError):
            return None
        return content if isinstance(content, dict) else None

    async def save_session(
        self,
        request: web.Request,
        response: web.StreamResponse,
        session: aiohttp_session.Session,
    ) -> None:
        cookie = ""
        if not session.empty:
            content = json.dumps(dict(session)).encode("ascii")
            cookie = request.app[KEYRING].fernet.encrypt(content).decode("ascii")
        self._save(response, request.app[COOKIE_NAME], cookie)

    def load_cookie(self, request: web.Request) -> str | None:
        """The cookie's value; None when there is not exactly one, so that none can be planted
        beside the real one."""
        values = _values(request)
        return values[0] if len(values) == 1 else None

    def _save(self, response: web.StreamResponse, name: str, value: str) -> None:
        # Browsers drop the deletion of a __Host- cookie that lacks the attributes it was set with.
        lifetime = MAX_AGE if value else 0
        expires = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + lifetime))
        params: dict[str, Any] = {**self.cookie_params, "max_age": lifetime, "expires": expires}
        response.set_cookie(name, value, **params)


def _values(request: web.Request) -> list[str]:
    """Those of all cookies of our name that came with the request."""
    # Byte by byte and only then taken apart: a browser sends a name that begins with some odd
    # blank, which somebody else could plant, and it must not become ours.
    ours = f"{request.app[COOKIE_NAME]}="
    pairs = ";".join(request.headers.getall("Cookie", ())).split(";")
    return [
        pair.removeprefix(ours).strip('"')
        for pair in (pair.strip(" \t") for pair in pairs)
        if pair.startswith(ours)
    ]


def cookie_name(config: Config, site: str) -> str:
    """The name of the cookie: another one for each site, for browsers send the cookies of a host to
    all its ports."""
    name = config.cookie_name or f"presence_{hashlib.sha256(site.encode()).hexdigest()[:8]}"
    if not config.https:
        return name
    # __Host- allows no path.
    return f"__Secure-{name}" if config.base_path else f"__Host-{name}"


async def secret_id(request: web.Request) -> str | None:
    """The session's secret id that the request's cookie claims, if any."""
    secret = (await aiohttp_session.get_session(request)).get(_SECRET)
    return secret if isinstance(secret, str) else None


async def remember(request: web.Request, secret: str, device_proof: str) -> None:
    """Put a session's secret id into the cookie, and of what was there before only the nonce."""
    nonce = (await aiohttp_session.get_session(request)).get(_NONCE)
    cookie = await aiohttp_session.new_session(request)
    cookie[_SECRET] = secret
    if nonce:
        cookie[_NONCE] = nonce
    cookie[_DEVICE] = device_proof


async def device_proof(request: web.Request) -> str:
    """Empty when there is none."""
    proof = (await aiohttp_session.get_session(request)).get(_DEVICE)
    return proof if isinstance(proof, str) else ""


async def remember_device(request: web.Request, device_proof: str) -> None:
    """Replace the proof, which a change of the password has made worthless."""
    (await aiohttp_session.get_session(request))[_DEVICE] = device_proof


async def forget(request: web.Request) -> None:
    (await aiohttp_session.get_session(request)).invalidate()


async def tell_next(request: web.Request, sentence: str, username: str = "") -> None:
    """Leave a sentence for the page that this visitor is sent to, and a name for its form."""
    cookie = await aiohttp_session.get_session(request)
    cookie[_SENTENCE] = sentence
    if username:
        cookie[_USERNAME] = username


async def told(request: web.Request) -> tuple[str, str]:
    """The sentence and the name left for this page, once; each may be empty."""
    cookie = await aiohttp_session.get_session(request)
    return str(cookie.pop(_SENTENCE, "")), str(cookie.pop(_USERNAME, ""))


async def content(request: web.Request) -> dict[str, object]:
    """What the cookie holds, or will hold when the answer is sent."""
    return dict(await aiohttp_session.get_session(request))


async def replace(request: web.Request, content: Mapping[str, object]) -> None:
    """Let the answer's cookie hold this, and nothing of what was there before."""
    cookie = await aiohttp_session.new_session(request)
    cookie.update(content)
    if not content:
        cookie.invalidate()


async def csrf_token(request: web.Request) -> str:
    """The token for this visitor's forms; gives a visitor without log-in a nonce first."""
    bound_to = await _bound_to(request)
    if bound_to is None:
        bound_to = secrets.token_urlsafe(16)
        proof = await device_proof(request)
        cookie = await aiohttp_session.new_session(request)
        cookie[_NONCE] = bound_to
        if proof:
            cookie[_DEVICE] = proof
    return request.app[KEYRING].token("csrf", bound_to)


async def csrf_ok(request: web.Request, token: str) -> bool:
    return _is_token(request, await _bound_to(request), token)


def has_cookie(request: web.Request) -> bool:
    """Whether the request has any cookie of our name."""
    return bool(_values(request))


def cookie_problem(request: web.Request) -> str | None:
    """Why no form can come from this browser, as a sentence; None if its cookie can be read."""
    values = _values(request)
    if len(values) > 1:
        return (
            "Your browser sent two cookies with this site's name, so neither can be trusted."
            " Delete the cookies of this site and try again."
        )
    if values:
        return None
    remedy = "allow cookies for this site"
    if request.app[CONFIG].https:
        remedy += ", and begin its address with https://"
    return (
        "Your browser sent no cookie with this form. Please try again;"
        f" if it happens again, {remedy}."
    )


async def is_from_before(request: web.Request, token: str) -> bool:
    """Whether a form's page was given to this browser before it logged in."""
    nonce = (await aiohttp_session.get_session(request)).get(_NONCE)
    return IDENTITY in request and _is_token(request, nonce, token)


async def sender(request: web.Request, token: str) -> str | None:
    """What a form's token is bound to, if its page was given to this browser: also when the
    session has ended, or begun, since."""
    cookie = await aiohttp_session.get_session(request)
    given = (cookie.get(name) for name in (_SECRET, _NONCE))
    return next((value for value in given if _is_token(request, value, token)), None)


def _is_token(request: web.Request, bound_to: object, token: str) -> bool:
    return isinstance(bound_to, str) and request.app[KEYRING].check("csrf", bound_to, token)


async def _bound_to(request: web.Request) -> str | None:
    cookie = await aiohttp_session.get_session(request)
    if _SECRET in cookie and IDENTITY not in request:
        # The nonce of a log-in is not that of the next one.
        return None
    value = cookie.get(_SECRET if IDENTITY in request else _NONCE)
    return value if isinstance(value, str) else None
