"""The examples of docs/applications.md, as they stand there: what they make is read."""

import os
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from presence_server.apps.permissions import Permission
from presence_server.apps.tokens import SigningKey, read_token
from testing.guide import code
from testing.install_node_packages import MISSING, are_installed, run_in_node

KEY = SigningKey(1, "key_1", "the secret of an app, as long as it must be")
USER, NAME = "u-17", "Zoë"


@pytest.fixture(autouse=True)
def backend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRESENCE_KEY", KEY.id)
    monkeypatch.setenv("PRESENCE_SECRET", KEY.secret)


def in_python() -> str:
    script = f"{code('Tokens', 'python')}\nprint(presence_token('{USER}', '{NAME}'))\n"
    return subprocess.run(
        [sys.executable, "-X", "utf8", "-c", script], check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def in_javascript() -> str:
    if not are_installed() and "CI" not in os.environ:
        pytest.skip(MISSING)
    script = f"{code('Tokens', 'js')}\nconsole.log(await presenceToken('{USER}', '{NAME}'));\n"
    return run_in_node(script)


@pytest.mark.parametrize("make", [in_python, in_javascript])
def test_what_it_makes_is_a_token(make: Callable[[], str]) -> None:
    token = read_token(make().strip(), {KEY.id: KEY}.get, time.time())
    assert (token.user, token.info) == (USER, {"name": NAME})
    assert token.permissions.of("doc:42") is Permission.JOIN
    assert token.expires_at - token.issued_at == 600


@pytest.mark.parametrize("language", ["php", "ruby", "go"])
def test_the_others_say_the_same(language: str) -> None:
    """Nothing here runs them: at least they name every claim and both halves of the key."""
    text = code("Tokens", language)
    for word in ("aud", "sub", "iat", "exp", "rooms", "info", "PRESENCE_KEY", "PRESENCE_SECRET"):
        assert word in text
