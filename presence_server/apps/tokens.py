"""The tokens that an app's backend makes for its users: read, and made for whoever tries one."""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from jwt import InvalidTokenError, PyJWS
from jwt import encode as encode_jwt

from presence_server.apps.permissions import Permissions
from presence_server.presence.objects import MessageError, parse_object

ALGORITHM = "HS256"
AUDIENCE = "presence"
LARGEST = 4096  # characters
LONGEST_LIFE = 24 * 60 * 60
# So many seconds may the clocks of a backend and of this server be apart.
LEEWAY = 30
LONGEST_USER = 128
LARGEST_INFO = 1024  # bytes

Reason = Literal["token_invalid", "token_expired", "revoked"]

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
# The algorithm belongs to the key: what a token says of its own is compared, never followed.
_JWS = PyJWS(algorithms=[ALGORITHM])


class TokenRefused(Exception):
    """`reason` is for programs; the text is a sentence for whoever writes the app."""

    def __init__(self, reason: Reason, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class SigningKey(NamedTuple):
    app: int
    id: str
    secret: str


@dataclass(frozen=True, slots=True)
class Token:
    """What a token says; seconds are Unix seconds, as its backend wrote them."""

    app: int
    key: str
    user: str
    issued_at: float
    expires_at: float
    permissions: Permissions
    info: Mapping[str, Any] | None
    may_be_invisible: bool

    def ends_at(self, now: float) -> float:
        """When a line ends that begins or goes on now: the leeway is for those whose clock is
        behind, and a token may have come within it."""
        return self.expires_at if self.expires_at > now else self.expires_at + LEEWAY


def read_token(text: str, find_key: Callable[[str], SigningKey | None], now: float) -> Token:
    """Check a token wholly, but for whether its user was revoked. Raises TokenRefused."""
    header = _header(text)
    key = find_key(header["kid"])
    if key is None:
        raise _invalid("is of a key that no app has")
    claims = _claims(text, key)
    issued_at, expires_at = _second(claims, "iat"), _second(claims, "exp")
    token = Token(
        app=key.app,
        key=key.id,
        user=_user(claims),
        issued_at=issued_at,
        expires_at=expires_at,
        permissions=_permissions(claims),
        info=_info(claims),
        may_be_invisible=_may_be_invisible(claims),
    )
    _check_audience(claims)
    _check_times(claims, issued_at, expires_at, now)
    return token


def make_token(
    key: SigningKey,
    user: str,
    rooms: Mapping[str, str],
    now: int,
    ttl: int,
    info: Mapping[str, Any] | None = None,
) -> str:
    claims: dict[str, Any] = {
        "aud": AUDIENCE, "sub": user, "iat": now, "exp": now + ttl, "rooms": dict(rooms)
    }
    if info is not None:
        claims["info"] = info
    return encode_jwt(claims, key.secret, ALGORITHM, headers={"kid": key.id})


def user_problem(user: object) -> str | None:
    """Why this names no user of an app, as the rest of a sentence; None if it does."""
    if not isinstance(user, str) or not user:
        return "no user"
    if len(user) > LONGEST_USER:
        return f"a user of more than {LONGEST_USER} characters"
    return None if user.isprintable() else "a user with characters that cannot be printed"


def info_problem(info: object) -> str | None:
    """Why this cannot be shown beside a user, as the rest of a sentence; None if it can."""
    if not isinstance(info, dict):
        return "an info that is no object"
    try:
        size = len(json.dumps(info, ensure_ascii=False, separators=(",", ":")).encode())
    except UnicodeEncodeError:
        return "an info with half a character"
    return None if size <= LARGEST_INFO else f"an info of more than {LARGEST_INFO} bytes"


def _header(text: str) -> dict[str, str]:
    if len(text) > LARGEST:
        raise _invalid(f"has more than {LARGEST} characters")
    if _COMPACT.fullmatch(text) is None:
        raise _invalid("is not a JWT")
    try:
        header = _JWS.get_unverified_header(text)
    except InvalidTokenError as error:
        raise _invalid("has a header that cannot be used") from error
    if "kid" not in header:
        raise _invalid("does not name its key: it has no kid in its header")
    return header


def _claims(text: str, key: SigningKey) -> dict[str, Any]:
    try:
        payload = _JWS.decode(text, key.secret, [ALGORITHM])
        return parse_object(payload.decode())
    except (MessageError, UnicodeDecodeError) as error:
        raise _invalid("holds no JSON object") from error
    except InvalidTokenError as error:
        raise _invalid(f"is not signed with {ALGORITHM} and the secret of its key") from error


def _second(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        raise _invalid(f"has no {name} that is a Unix second")
    return value


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _check_audience(claims: Mapping[str, Any]) -> None:
    audience = claims.get("aud")
    if audience != AUDIENCE and not (isinstance(audience, list) and AUDIENCE in audience):
        raise _invalid(f'is not for us: its aud is not "{AUDIENCE}"')


def _check_times(
    claims: Mapping[str, Any], issued_at: float, expires_at: float, now: float
) -> None:
    if not 0 < expires_at - issued_at <= LONGEST_LIFE:
        raise _invalid("does not end within 24 hours after it was issued")
    if issued_at > now + LEEWAY:
        raise _invalid("was issued in the future")
    if "nbf" in claims and _second(claims, "nbf") > now + LEEWAY:
        raise _invalid("is not valid yet")
    if expires_at + LEEWAY <= now:
        raise TokenRefused("token_expired", "The token has expired.")


def _user(claims: Mapping[str, Any]) -> str:
    user = claims.get("sub")
    if problem := user_problem(user):
        raise _invalid(f"has {problem} in its sub")
    return str(user)


def _permissions(claims: Mapping[str, Any]) -> Permissions:
    try:
        return Permissions.read(claims.get("rooms"))
    except ValueError as error:
        raise _invalid(f"has {error}") from error


def _info(claims: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if "info" not in claims:
        return None
    if problem := info_problem(claims["info"]):
        raise _invalid(f"has {problem}")
    info: Mapping[str, Any] = claims["info"]
    return info


def _may_be_invisible(claims: Mapping[str, Any]) -> bool:
    value = claims.get("invisible", False)
    if not isinstance(value, bool):
        raise _invalid("has an invisible that is neither true nor false")
    return value


def _invalid(what: str) -> TokenRefused:
    return TokenRefused("token_invalid", f"The token {what}.")
