"""`presence-server app …`, on both databases, with a server running or not."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest

from presence_server import cli
from presence_server.config import PostgresUrl
from testing.processes import arguments, on_database

# Status, standard output, standard error.
Outcome = tuple[int, str, str]
Command = Callable[..., Outcome]


@pytest.fixture
def command(
    place: Path | PostgresUrl, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Runs `app …` on the database of this test."""
    flags = arguments({**on_database(place, tmp_path), "secret_key_file": tmp_path / "keys"})

    def run(*said: str) -> Outcome:
        status = cli.main(["app", *said, *flags])
        out, err = capsys.readouterr()
        return status, out, err

    return run


def given(command: Command, *said: str) -> Any:
    status, out, _ = command(*said, "--json")
    assert status == 0
    return json.loads(out)


@pytest.mark.both_databases
def test_an_app_is_made_listed_changed_rotated_and_deleted(command: Command) -> None:
    made = given(command, "add", "wiki", "--origin", "https://Wiki.Example:443", "--grace", "2.5")
    assert list(made) == ["name", "key", "secret", "webhook_secret"]
    app = {
        "name": "wiki",
        "created_at": pytest.approx(time.time(), abs=60),
        "origins": ["https://wiki.example"],
        "webhook": None,
        "grace": 2.5,
        "visits": 0,
        "keys": [made["key"]],
    }
    assert given(command, "list") == [app]
    assert given(command, "show", "wiki") == app
    assert command("set", "wiki", "--webhook", "https://x.example/h?a=1", "--visits", "30")[0] == 0
    assert command("set", "wiki", "--origin", "http://localhost:3000", "http://[::1]:80")[0] == 0
    changed = {
        **app,
        "origins": ["http://localhost:3000", "http://[::1]"],
        "webhook": "https://x.example/h?a=1",
        "visits": 30,
    }
    nothing: dict[str, Any] = {"due": 0, "due_since": None, "off_since": None, "answers": []}
    told = {"told": {**nothing, "acknowledged_at": None}}
    assert given(command, "show", "wiki") == {**changed, **told}
    taken_away = ("--origin", "", "--webhook", "", "--grace", "", "--visits", "")
    for _ in range(2):
        # A script may say it again.
        assert command("set", "wiki", *taken_away)[:2] == (0, "Changed wiki.\n")
    assert given(command, "show", "wiki") == {**app, "origins": [], "grace": None}
    rotated = given(command, "rotate", "wiki")
    assert list(rotated) == list(made)
    assert given(command, "show", "wiki")["keys"] == [rotated["key"], made["key"]]
    dropped = given(command, "rotate", "wiki", "--drop-previous")
    assert dropped == {"name": "wiki", "dropped": [made["key"]]}
    assert given(command, "show", "wiki")["keys"] == [rotated["key"]]
    assert command("delete", "wiki") == (0, "Deleted the app wiki.\n", "")
    assert given(command, "list") == []


def test_what_people_read_holds_the_secrets_once(command: Command) -> None:
    status, out, err = command("add", "wiki")
    assert status == 0 and "this once" in err
    fields = dict(line.split() for line in out.splitlines())
    assert list(fields) == ["name", "key", "secret", "webhook_secret"]
    for said in (("list",), ("show", "wiki")):
        status, out, _ = command(*said)
        assert status == 0 and fields["key"] in out
        assert fields["secret"] not in out and fields["webhook_secret"] not in out


def test_a_token_for_trying_things_out(command: Command) -> None:
    made = given(command, "add", "wiki")
    rooms = ("doc:42", "team-7:*:watch", "x:join:appear")
    status, out, _ = command(
        "token", "wiki", "--user", "u-17", "--room", *rooms, "--ttl", "60",
        "--info", '{"name": "Zoë"}',
    )
    assert status == 0
    token = out.strip()
    claims = jwt.decode(token, made["secret"], ["HS256"], audience="presence")
    assert jwt.get_unverified_header(token)["kid"] == made["key"]
    assert claims["sub"] == "u-17" and claims["exp"] - claims["iat"] == 60
    assert claims["rooms"] == {"doc:42": "join", "team-7:*": "watch", "x:join": "appear"}
    assert claims["info"] == {"name": "Zoë"}


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (("add", "wiki"), "There is already an app wiki."),
        (("add", "a b"), "The name of an app must be 1 to 64 letters"),
        (("add", ""), "The name of an app must be"),
        (("add",), "arguments are required: NAME"),
        (("add", "x" * 65), "The name of an app must be"),
        (("add", "b", "--origin", "example.com"), "--origin must be an origin"),
        (("add", "b", "--origin", "https://example.com/path"), "--origin must be an origin"),
        (("add", "b", "--origin", "https://u:p@example.com"), "--origin must be an origin"),
        (("add", "b", "--origin", "https://*.example.com"), "--origin must be an origin"),
        (("add", "b", "--origin", "null"), "--origin must be an origin"),
        (("add", "b", "--origin", "https://example.com:x"), "--origin must be an origin"),
        (("add", "b", "--webhook", "ftp://example.com"), "--webhook must be a URL"),
        (("add", "b", "--webhook", "https://u:p@example.com"), "--webhook must be a URL"),
        (("add", "b", "--webhook", "https://example.com/#x"), "--webhook must be a URL"),
        (("add", "b", "--webhook", "https://"), "--webhook must be a URL"),
        (("add", "b", "--webhook", "//example.com"), "--webhook must be a URL"),
        (("add", "b", "--grace", "-1"), "--grace must be a number of seconds"),
        (("add", "b", "--grace", "nan"), "--grace must be a number of seconds"),
        (("add", "b", "--grace", "86401"), "--grace must be a number of seconds, 0 to 86400"),
        (("add", "b", "--visits", "1.5"), "--visits must be a whole number of days"),
        (("add", "b", "--visits", "9" * 5000), "--visits must be a whole number of days"),
        (("show", "nothing"), "There is no app nothing."),
        (("set", "nothing", "--grace", "1"), "There is no app nothing."),
        (("set", "wiki"), "Say what to change"),
        (("rotate", "nothing"), "There is no app nothing."),
        (("delete", "\x1b[2J"), "There is no app '\\x1b[2J'."),
        (("token", "nothing", "--user", "u", "--room", "r"), "There is no app nothing."),
        (("token", "wiki", "--user", "", "--room", "r"), "--user names no user."),
        (("token", "wiki", "--user", "a\nb", "--room", "r"), "cannot be printed"),
        (("token", "wiki", "--user", "u", "--room", "a*b"), "a*b is neither a room nor a pattern"),
        (("token", "wiki", "--user", "u", "--room", "a:admin*x"), "neither a room nor"),
        (("token", "wiki", "--user", "u", "--room", "r", "--ttl", "0"), "--ttl must be"),
        (("token", "wiki", "--user", "u", "--room", "r", "--ttl", "86401"), "--ttl must be"),
        (("token", "wiki", "--user", "u", "--room", "r", "--info", "[1]"), "--info must be"),
        (("token", "wiki", "--user", "u", "--room", "r", "--info", "{"), "--info must be"),
        (
            ("token", "wiki", "--user", "u", "--room", *(f"r{n}" for n in range(33))),
            "more than 32 rooms",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_one_sentence(
    command: Command, capsys: pytest.CaptureFixture[str], said: tuple[str, ...], sentence: str
) -> None:
    given(command, "add", "wiki")
    try:
        status, out, err = command(*said)
    except SystemExit as end:
        status, (out, err) = int(end.code or 0), capsys.readouterr()
    assert status in (1, 2) and out == ""
    assert sentence in err and err.startswith("presence-server: ") and err.count("\n") == 1
    assert [app["name"] for app in given(command, "list")] == ["wiki"]


def test_a_lost_key_file_is_said(command: Command, tmp_path: Path) -> None:
    given(command, "add", "wiki")
    (tmp_path / "keys").unlink()
    # It may be the wrong folder: what a new one sealed no server could read.
    for said in (("token", "wiki", "--user", "u", "--room", "r"), ("rotate", "wiki")):
        status, out, err = command(*said)
        assert (status, out) == (2, "") and "There is no key file" in err
    assert not (tmp_path / "keys").exists()
    given(command, "add", "notes")
    status, out, err = command("token", "wiki", "--user", "u", "--room", "r")
    assert (status, out) == (1, "") and "sealed with another key file" in err
    assert given(command, "rotate", "wiki")["name"] == "wiki"
    given(command, "rotate", "wiki")
    assert command("token", "wiki", "--user", "u", "--room", "r")[0] == 0


def test_there_must_be_a_database_but_for_the_first_app(command: Command) -> None:
    status, _, err = command("list")
    assert status == 3 and "does not exist" in err
    given(command, "add", "wiki")
