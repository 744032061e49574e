"""Tokens that others made are read; every bad one is refused, with its reason."""

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import OctKey

from presence_server.apps.permissions import Permission
from presence_server.apps.tokens import (
    SigningKey,
    Token,
    TokenRefused,
    make_token,
    read_token,
)
from testing.install_node_packages import MISSING, are_installed, run_in_node

NOW = 1_795_420_800
SECRET = "a secret of the app, of some length"
KEYS = {
    "key_1": SigningKey(1, "key_1", SECRET),
    "key_2": SigningKey(2, "key_2", "the secret of quite another app than that"),
}
ROOMS = {"doc:42": "join", "team-7:*": "watch"}
CLAIMS: dict[str, Any] = {
    "aud": "presence",
    "sub": "u-17",
    "iat": NOW,
    "exp": NOW + 600,
    "rooms": ROOMS,
    "info": {"name": "Zoë", "avatar": "https://example.com/17.png"},
}


def read(token: str, now: float = NOW) -> Token:
    return read_token(token, KEYS.get, now)


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(header: str | dict[str, Any], payload: bytes | str, secret: str = SECRET) -> str:
    """A token with any bytes in it, signed as its key would sign it."""
    head = header if isinstance(header, str) else json.dumps(header)
    body = payload if isinstance(payload, bytes) else payload.encode()
    text = f"{encoded(head.encode())}.{encoded(body)}"
    return f"{text}.{encoded(hmac.digest(secret.encode(), text.encode(), hashlib.sha256))}"


HEADER = {"alg": "HS256", "typ": "JWT", "kid": "key_1"}


def with_claims(**changed: Any) -> str:
    """`None` leaves a claim out."""
    claims = {name: value for name, value in (CLAIMS | changed).items() if value is not None}
    return signed(HEADER, json.dumps(claims))


def with_header(**changed: Any) -> str:
    header = {name: value for name, value in (HEADER | changed).items() if value is not None}
    return signed(header, json.dumps(CLAIMS))


def made_by_pyjwt() -> str:
    return jwt.encode(CLAIMS, SECRET, "HS256", headers={"kid": "key_1"})


def made_by_joserfc() -> str:
    key = OctKey.import_key(SECRET)
    return joserfc_jwt.encode({"alg": "HS256", "kid": "key_1"}, CLAIMS, key)


def made_by_jose() -> str:
    if not are_installed() and "CI" not in os.environ:
        pytest.skip(MISSING)
    script = """
        import { SignJWT } from "jose";
        const [claims, secret] = process.argv.slice(1);
        const header = { alg: "HS256", kid: "key_1" };
        const token = new SignJWT(JSON.parse(claims)).setProtectedHeader(header);
        console.log(await token.sign(new TextEncoder().encode(secret)));
    """
    return run_in_node(script, json.dumps(CLAIMS), SECRET).strip()


def made_by_us() -> str:
    return make_token(KEYS["key_1"], "u-17", ROOMS, NOW, 600, CLAIMS["info"])


@pytest.mark.parametrize("make", [made_by_pyjwt, made_by_joserfc, made_by_jose, made_by_us])
def test_tokens_of_every_maker_are_read(make: Callable[[], str]) -> None:
    token = read(make())
    assert (token.app, token.key, token.user) == (1, "key_1", "u-17")
    assert (token.issued_at, token.expires_at) == (NOW, NOW + 600)
    assert token.permissions.of("doc:42") is Permission.JOIN
    assert token.permissions.of("team-7:x") is Permission.WATCH
    assert token.permissions.of("doc:43") is None
    assert token.info == CLAIMS["info"]
    assert not token.may_be_invisible


def of_length(size: int) -> str:
    header = {"alg": "HS256", "kid": "key_1"}
    said = (json.dumps(CLAIMS | {"more": "x" * number}) for number in range(size))
    return next(token for claims in said if len(token := signed(header, claims)) == size)


@pytest.mark.parametrize(
    "token",
    [
        of_length(4096),
        with_claims(aud=["other", "presence"]),
        with_claims(info=None),
        with_claims(info={}),
        with_claims(info={"name": "x" * 1013}),
        with_claims(rooms={}),
        with_claims(rooms={f"r{n}": "join" for n in range(32)}),
        with_claims(sub="x" * 128),
        with_claims(sub="Zoë Ω 😀"),
        with_claims(iat=NOW + 30),
        with_claims(iat=NOW - 0.5, exp=NOW + 0.5),
        with_claims(exp=NOW + 24 * 3600),
        with_claims(exp=NOW - 29, iat=NOW - 100),
        with_claims(nbf=NOW + 30),
        with_claims(invisible=True),
        with_claims(iss="app", jti="1", more={"deep": [1]}),
        with_header(typ=None),
        signed('{"alg":"HS256","kid":"key_1","cty":"x"}', json.dumps(CLAIMS)),
    ],
)
def test_these_are_good(token: str) -> None:
    assert read(token).app == 1


def test_whether_the_user_may_be_invisible() -> None:
    assert read(with_claims(invisible=True)).may_be_invisible
    assert not read(with_claims(invisible=False)).may_be_invisible


NESTED = '{"info":' + "[" * 1200 + "]" * 1200 + "}"
LARGE_INFO = json.dumps(CLAIMS | {"info": {"name": "ü" * 510}}, ensure_ascii=False)
CLAIMS_TEXT = json.dumps(CLAIMS)[1:-1]

INVALID = [
    # Not of the form.
    ("", "not a JWT"),
    ("token", "not a JWT"),
    ("a.b", "not a JWT"),
    (made_by_pyjwt() + "\n", "not a JWT"),
    (made_by_pyjwt() + "=", "not a JWT"),
    (" " + made_by_pyjwt(), "not a JWT"),
    (made_by_pyjwt().replace(".", "!.", 1), "not a JWT"),
    ("a.b.c.d.e", "not a JWT"),
    ("é.é.é", "not a JWT"),
    ("\udc80.a.b", "not a JWT"),
    ("x" * 4097, "more than 4096"),
    (of_length(4096) + "A", "more than 4096"),
    (with_claims(more="x" * 4096), "more than 4096"),
    ("a.a.a", "header that cannot be used"),
    (signed("[]", CLAIMS_TEXT), "header that cannot be used"),
    (signed("{", CLAIMS_TEXT), "header that cannot be used"),
    (signed('{"kid":' + "[" * 1500, "{}"), "header that cannot be used"),
    # The key.
    (with_header(kid=None), "no kid"),
    (with_header(kid=7), "header that cannot be used"),
    (with_header(kid=["key_1"]), "header that cannot be used"),
    (with_header(kid=""), "a key that no app has"),
    (with_header(kid="key_3"), "a key that no app has"),
    (with_header(kid="../../presence.sqlite3.key"), "a key that no app has"),
    (with_header(kid="/dev/null"), "a key that no app has"),
    (with_header(kid="' OR 1=1 --"), "a key that no app has"),
    (with_header(kid="key_2"), "not signed with HS256"),
    # The algorithm, and what else a header may ask for.
    (with_header(alg=None), "not signed with HS256"),
    (with_header(alg="none"), "not signed with HS256"),
    (with_header(alg="None"), "not signed with HS256"),
    (with_header(alg="hs256"), "not signed with HS256"),
    (with_header(alg="HS384"), "not signed with HS256"),
    (with_header(alg="HS512"), "not signed with HS256"),
    (with_header(alg="RS256"), "not signed with HS256"),
    (with_header(alg=["HS256"]), "not signed with HS256"),
    (f"{encoded(json.dumps({**HEADER, 'alg': 'none'}).encode())}."
     f"{encoded(json.dumps(CLAIMS).encode())}.", "not a JWT"),
    (jwt.encode(CLAIMS, SECRET * 2, "HS512", headers={"kid": "key_1"}), "not signed with HS256"),
    (with_header(crit=["exp"]), "cannot be used"),
    (with_header(b64=False, crit=["b64"]), "cannot be used"),
    # The signature.
    (signed(HEADER, json.dumps(CLAIMS), "another secret"), "not signed with HS256"),
    (signed(HEADER, json.dumps(CLAIMS), ""), "not signed with HS256"),
    (made_by_pyjwt()[:-2] + "AA", "not signed with HS256"),
    (made_by_pyjwt().rpartition(".")[0] + ".AAAA", "not signed with HS256"),
    # What is no object of claims.
    (signed(HEADER, b"\xff\xfe"), "no JSON object"),
    (signed(HEADER, "[1]"), "no JSON object"),
    (signed(HEADER, "null"), "no JSON object"),
    (signed(HEADER, NESTED), "no JSON object"),
    (signed(HEADER, '{"exp":NaN,' + CLAIMS_TEXT + "}"), "no JSON object"),
    (signed(HEADER, "{" + CLAIMS_TEXT + ',"sub":"u-18"}'), "no JSON object"),
    # A token within a token.
    (signed(HEADER, made_by_pyjwt()), "no JSON object"),
    # Whom it is for.
    (with_claims(aud=None), "not for us"),
    (with_claims(aud="other"), "not for us"),
    (with_claims(aud="Presence"), "not for us"),
    (with_claims(aud=[]), "not for us"),
    (with_claims(aud=[["presence"]]), "not for us"),
    (with_claims(aud={"presence": 1}), "not for us"),
    # When it holds.
    (with_claims(exp=None), "no exp"),
    (with_claims(exp=str(NOW + 600)), "no exp"),
    (with_claims(exp=True), "no exp"),
    (with_claims(exp=[NOW]), "no exp"),
    (signed(HEADER, json.dumps(CLAIMS).replace(str(NOW + 600), "1e999")), "no JSON object"),
    (signed(HEADER, json.dumps(CLAIMS).replace(str(NOW + 600), "9" * 400)), "no exp"),
    (with_claims(iat=None), "no iat"),
    (with_claims(iat="now"), "no iat"),
    (with_claims(iat=NOW + 31), "in the future"),
    (with_claims(exp=NOW + 24 * 3600 + 1), "within 24 hours"),
    (with_claims(iat=NOW + 10, exp=NOW + 10), "within 24 hours"),
    (with_claims(iat=0), "within 24 hours"),
    (with_claims(exp=-1, iat=0), "within 24 hours"),
    (with_claims(nbf=NOW + 31), "not valid yet"),
    (with_claims(nbf="soon"), "no nbf"),
    # Whose it is.
    (with_claims(sub=None), "no user in its sub"),
    (with_claims(sub=""), "no user in its sub"),
    (with_claims(sub=17), "no user in its sub"),
    (with_claims(sub=["u-17"]), "no user in its sub"),
    (with_claims(sub="x" * 129), "more than 128 characters"),
    (with_claims(sub="a\0b"), "cannot be printed"),
    (with_claims(sub="a\nb"), "cannot be printed"),
    (with_claims(sub="a\u202eb"), "cannot be printed"),
    (with_claims(sub="a\ud800b"), "cannot be printed"),
    # Where.
    (with_claims(rooms=None), "no object of rooms"),
    (with_claims(rooms=["doc:42"]), "no object of rooms"),
    (with_claims(rooms="doc:42"), "no object of rooms"),
    (with_claims(rooms={f"r{n}": "join" for n in range(33)}), "more than 32 rooms"),
    (with_claims(rooms={"a*b": "join"}), "no room and no pattern"),
    (with_claims(rooms={"a b": "join"}), "no room and no pattern"),
    (with_claims(rooms={"x" * 129: "join"}), "no room and no pattern"),
    (with_claims(rooms={"doc": "admin"}), "other than join"),
    (with_claims(rooms={"doc": True}), "other than join"),
    # What is shown.
    (with_claims(info="Zoë"), "info that is no object"),
    (with_claims(info=[1]), "info that is no object"),
    (with_claims(info={"name": "x" * 1014}), "more than 1024 bytes"),
    (signed(HEADER, LARGE_INFO), "more than 1024 bytes"),
    (with_claims(info={"name": "\ud800"}), "half a character"),
    (with_claims(invisible="yes"), "neither true nor false"),
    (with_claims(invisible=1), "neither true nor false"),
]


@pytest.mark.parametrize(("token", "sentence"), INVALID, ids=[said for _, said in INVALID])
def test_a_bad_token_is_refused_with_its_reason(token: str, sentence: str) -> None:
    with pytest.raises(TokenRefused, match=sentence) as refused:
        read(token)
    assert refused.value.reason == "token_invalid"
    # It may be shown to whoever sent the token.
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    "token", [with_claims(exp=NOW - 30, iat=NOW - 60), with_claims(exp=1, iat=0)]
)
def test_an_expired_token_is_refused_as_expired(token: str) -> None:
    with pytest.raises(TokenRefused) as refused:
        read(token)
    assert refused.value.reason == "token_expired"


def test_a_token_holds_until_its_end_and_the_leeway_is_over() -> None:
    token = made_by_pyjwt()
    read(token, NOW - 30)
    read(token, NOW + 629.9)
    for now in (NOW - 30.1, NOW + 630):
        with pytest.raises(TokenRefused):
            read(token, now)
