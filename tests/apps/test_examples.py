"""The examples of docs/applications.md, as they stand there: what they make is read."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

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


def in_python(folder: Path) -> str:
    script = f"{code('Tokens', 'python')}\nprint(presence_token('{USER}', '{NAME}'))\n"
    return subprocess.run(
        [sys.executable, "-X", "utf8", "-c", script], check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def in_javascript(folder: Path) -> str:
    if not are_installed() and "CI" not in os.environ:
        pytest.skip(MISSING)
    script = f"{code('Tokens', 'js')}\nconsole.log(await presenceToken('{USER}', '{NAME}'));\n"
    return run_in_node(script)


def in_php(folder: Path) -> str:
    """Its library comes by composer only: what stands in for it does what that one is said to."""
    (folder / "vendor").mkdir()
    (folder / "vendor" / "autoload.php").write_text(PHP_JWT, "utf-8")
    (folder / "token.php").write_text(
        f"{code('Tokens', 'php')}\necho presence_token('{USER}', '{NAME}');\n", "utf-8"
    )
    return output("php", "token.php", cwd=folder)


def in_ruby(folder: Path) -> str:
    if not succeeds("ruby", "-rjwt", "-e", ""):
        pytest.skip("Ruby's jwt is not at hand.")
    script = f"{code('Tokens', 'ruby')}\nputs presence_token('{USER}', '{NAME}')\n"
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
    token, err := presence.Token("{USER}", "{NAME}")
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
    assert token.permissions.of("doc:42") is Permission.JOIN
    assert token.expires_at - token.issued_at == 600


@pytest.mark.parametrize("language", ["php", "ruby", "go"])
def test_all_say_the_same(language: str) -> None:
    """Also where nothing can run them."""
    text = code("Tokens", language)
    for word in ("aud", "sub", "iat", "exp", "rooms", "info", "PRESENCE_KEY", "PRESENCE_SECRET"):
        assert word in text
