"""The examples of docs/applications.md, as they stand there: what they make is read."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from presence_server.apps.permissions import Permission
from presence_server.apps.tokens import SigningKey, read_token
from presence_server.resources import ROOT
from testing.guide import code
from testing.install_node_packages import MISSING, are_installed, run_in_node

KEY = SigningKey(1, "key_1", "the secret of an app, as long as it must be")
USER, NAME, ROOM = "u-17", "Zoë", "doc:42"


@pytest.fixture(autouse=True)
def backend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRESENCE_KEY", KEY.id)
    monkeypatch.setenv("PRESENCE_SECRET", KEY.secret)


def in_python(folder: Path, user: str | int = USER) -> str:
    script = f"{code('Tokens', 'python')}\nprint(presence_token({user!r}, '{NAME}', '{ROOM}'))\n"
    return subprocess.run(
        [sys.executable, "-X", "utf8", "-c", script], check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def in_javascript(folder: Path, user: str | int = USER) -> str:
    if not are_installed() and "CI" not in os.environ:
        pytest.skip(MISSING)
    made = f"await presenceToken({user!r}, '{NAME}', '{ROOM}')"
    script = f"{code('Tokens', 'js')}\nconsole.log({made});\n"
    return run_in_node(script)


def in_php(folder: Path) -> str:
    """Its library comes by composer only: what stands in for it does what that one is said to."""
    (folder / "vendor").mkdir()
    (folder / "vendor" / "autoload.php").write_text(PHP_JWT, "utf-8")
    (folder / "token.php").write_text(
        f"{code('Tokens', 'php')}\necho presence_token('{USER}', '{NAME}', '{ROOM}');\n", "utf-8"
    )
    return output("php", "token.php", cwd=folder)


def in_ruby(folder: Path) -> str:
    if not succeeds("ruby", "-rjwt", "-e", ""):
        pytest.skip("Ruby's jwt is not at hand.")
    script = f"{code('Tokens', 'ruby')}\nputs presence_token('{USER}', '{NAME}', '{ROOM}')\n"
    return output("ruby", "-Ku", "-e", script, cwd=folder)


def in_go(folder: Path) -> str:
    (folder / "presence").mkdir()
    (folder / "presence" / "token.go").write_text(code("Tokens", "go"), "utf-8")
    (folder / "main.go").write_text(GO_MAIN, "utf-8")
    (folder / "go.mod").write_text("module try\n\ngo 1.18\n")
    # From what Go has loaded before: tests load nothing.
    offline = {"GOFLAGS": "-mod=mod", "GOPROXY": "off"}
    if not succeeds("go", "get", "github.com/golang-jwt/jwt/v5", cwd=folder, **offline):
        pytest.skip("Go's golang-jwt is not at hand.")
    return output("go", "run", ".", cwd=folder, **offline)


PHP_JWT = r"""<?php
namespace Firebase\JWT;
class JWT {
    static function in_base64(string $text): string {
        return rtrim(strtr(base64_encode($text), '+/', '-_'), '=');
    }
    static function encode(array $claims, string $secret, string $alg, ?string $kid): string {
        $parts = [['typ' => 'JWT', 'alg' => $alg, 'kid' => $kid], $claims];
        $said = implode('.', array_map(fn ($part) => self::in_base64(json_encode($part)), $parts));
        return $said . '.' . self::in_base64(hash_hmac('SHA256', $said, $secret, true));
    }
}
"""
GO_MAIN = f"""package main

import (
    "fmt"
    "try/presence"
)

func main() {{
    token, err := presence.Token("{USER}", "{NAME}", "{ROOM}")
    if err != nil {{
        panic(err)
    }}
    fmt.Println(token)
}}
"""


def output(*command: str, cwd: Path, **environment: str) -> str:
    if shutil.which(command[0]) is None:
        pytest.skip(f"There is no {command[0]} here.")
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def succeeds(*command: str, cwd: Path | None = None, **environment: str) -> bool:
    if shutil.which(command[0]) is None:
        return False
    given = {**os.environ, **environment}
    return subprocess.run(command, cwd=cwd, env=given, capture_output=True).returncode == 0


@pytest.mark.parametrize("make", [in_python, in_javascript, in_php, in_ruby, in_go])
def test_what_it_makes_is_a_token(make: Callable[[Path], str], tmp_path: Path) -> None:
    token = read_token(make(tmp_path).strip(), {KEY.id: KEY}.get, time.time())
    assert (token.user, token.info) == (USER, {"name": NAME})
    assert token.permissions.of(ROOM) is Permission.JOIN
    assert token.expires_at - token.issued_at == 600


def as_the_page_of_elements_has_it(folder: Path, user: int) -> str:
    page = (ROOT / "templates" / "elements.html").read_text("utf-8")
    (shown,) = re.findall(r"code\('(import time, jwt.*?)'\)", page, re.DOTALL)
    ours = f"""
from types import SimpleNamespace
KEY, SECRET = "{KEY.id}", "{KEY.secret}"
print(presence_token(SimpleNamespace(id={user}, name="{NAME}"), "{ROOM}"))
"""
    return output(sys.executable, "-X", "utf8", "-c", shown + ours, cwd=folder)


@pytest.mark.parametrize("make", [in_python, in_javascript, as_the_page_of_elements_has_it])
def test_users_may_have_numbers(make: Callable[[Path, int], str], tmp_path: Path) -> None:
    token = read_token(make(tmp_path, 17).strip(), {KEY.id: KEY}.get, time.time())
    assert (token.user, token.info) == ("17", {"name": NAME})


def test_a_site_in_django_gives_it_to_whoever_is_logged_in(tmp_path: Path) -> None:
    parts = [code("Tokens", "python"), code("Where pages get them", "python"), IN_DJANGO]
    script = tmp_path / "backend.py"
    script.write_text("\n".join(parts), "utf-8")
    said = output(sys.executable, "-X", "utf8", script.name, cwd=tmp_path)
    refused, closed, status, cached, given = said.split()
    assert (refused, closed, status) == ("401", "403", "200") and "no-store" in cached
    assert read_token(given, {KEY.id: KEY}.get, time.time()).user == USER


IN_DJANGO = f"""
from types import SimpleNamespace
from django.conf import settings
from django.test import RequestFactory

settings.configure()
may_read = lambda user, room: room == "{ROOM}"
zoe = SimpleNamespace(is_authenticated=True, pk="{USER}", get_username=lambda: "{NAME}")
nobody = SimpleNamespace(is_authenticated=False)
for user, room in ((nobody, "{ROOM}"), (zoe, "other"), (zoe, "{ROOM}")):
    request = RequestFactory().get("/presence-token", {{"room": room}})
    request.user = user
    answer = presence_token_for_page(request)
    print(answer.status_code)
print(answer["Cache-Control"].replace(" ", ""), answer.content.decode())
"""


@pytest.mark.parametrize("language", ["php", "ruby", "go"])
def test_all_say_the_same(language: str) -> None:
    """Also where nothing can run them."""
    text = code("Tokens", language)
    for word in ("aud", "sub", "iat", "exp", "rooms", "info", "PRESENCE_KEY", "PRESENCE_SECRET"):
        assert word in text
