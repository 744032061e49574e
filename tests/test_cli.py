import argparse
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from presence_server import __version__, cli
from presence_server.storage.database import DatabaseUnusable
from presence_server.commands import serve
from presence_server.config import Config, ConfigError
from presence_server.processes import INHERITANCE_VARIABLE
from presence_server.relay import RelayRefused
from presence_server.resources import ROOT
from presence_server.settings import SETTINGS


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """The settings that the server would have been run with."""
    configs: list[Config] = []

    def run(args: argparse.Namespace, config: Config) -> int:
        configs.append(config)
        return 0

    monkeypatch.setattr(serve, "run", run)
    for setting in SETTINGS:
        monkeypatch.delenv(setting.variable, raising=False)
    return configs


def test_no_argument_serves_with_the_defaults(served: list[Config]) -> None:
    assert cli.main([]) == 0
    assert served == [Config()]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "9", "serve"],
        ["serve", "--port", "9"],
        ["serve", "--port=9"],
        ["--port", "8", "serve", "--port", "9"],
        ["--port", "9"],
    ],
)
def test_flags_stand_before_or_after_the_command(
    served: list[Config], arguments: list[str]
) -> None:
    assert cli.main(arguments) == 0
    assert served == [Config(port=9)]


def test_a_flag_wins_over_the_environment(
    served: list[Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRESENCE_GRACE", "2.5")
    monkeypatch.setenv("PRESENCE_LEASE", "3.5")
    monkeypatch.setenv("PRESENCE_REUSE_PORT", "on")
    assert cli.main(["--lease", "4", "--no-reuse-port"]) == 0
    assert served == [Config(grace=2.5, lease=4, reuse_port=False)]


def test_every_flag_is_understood(served: list[Config], tmp_path: Path) -> None:
    given = {
        "host": "::1",
        "port": "1",
        "database": str(tmp_path / "d"),
        "redis_url": "redis://localhost",
        "secret_key_file": str(tmp_path / "k"),
        "sign_up": "closed",
        "grace": "1",
        "lease": "2",
        "heartbeat": "3",
        "bcrypt_cost": "4",
        "public_url": "https://example.com",
        "trusted_proxies": "10.0.0.0/8",
        "trusted_user_header": "Remote-User",
        "log_out_url": "https://example.com/oauth2/sign_out",
        "max_sockets_per_user": "5",
        "max_sockets_per_address": "6",
        "max_people_per_room": "8",
        "max_people_placed": "11",
        "processes": "9",
        "visits": "10",
        "away_after": "2.5",
        "site_name": "Our  house",
        "invisible": "nobody",
        "log_format": "json",
        "admin_port": "7",
        "admin_host": "::1",
    }
    switches = {setting.field for setting in SETTINGS if setting.is_switch}
    assert given.keys() | switches == {setting.field for setting in SETTINGS}
    arguments = [f"--{field.replace('_', '-')}={text}" for field, text in given.items()]
    arguments += [f"--{field.replace('_', '-')}" for field in switches]
    assert cli.main(arguments) == 0
    (config,) = served
    default = Config()
    for setting in SETTINGS:
        assert getattr(config, setting.field) != getattr(default, setting.field), setting.field


def test_help_shows_every_flag_with_its_variable(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    assert ended.value.code == 0
    words = capsys.readouterr().out.split()
    for setting in SETTINGS:
        assert setting.flag in words
        assert f"[{setting.variable}]" in words


@pytest.mark.parametrize("command", ["user", "user add", "sessions", "who", "demo"])
def test_help_of_a_command_has_no_empty_parts(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    with pytest.raises(SystemExit):
        cli.main([*command.split(), "--help"])
    out = capsys.readouterr().out
    assert "settings:" not in out and "All flags of" in out
    assert f"usage: presence-server {command} " in out


def test_who_stops_reading_is_no_error_of_ours(tmp_path: Path) -> None:
    done = subprocess.run(
        f"{sys.executable} -m presence_server --help | head -n 1; echo ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.stderr == ""


@pytest.mark.parametrize("is_child", [False, True])
def test_a_variable_that_is_no_setting_is_named_by_the_parent_alone(
    served: list[Config],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    is_child: bool,
) -> None:
    monkeypatch.setenv("PRESENCE_COLOUR", "blue")
    if is_child:
        monkeypatch.setenv(INHERITANCE_VARIABLE, "[]")
    assert cli.main([]) == 0
    assert ("PRESENCE_COLOUR is no setting" in capsys.readouterr().err) is not is_child


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [["user", "add", "bob"], ["serve", "--port", "0"]])
def test_output_that_cannot_be_written_is_one_sentence(
    tmp_path: Path, arguments: list[str], unbuffered: str
) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "presence_server", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": unbuffered},
            input="johnson123\n",
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert done.returncode == 1
    said = done.stderr.splitlines()
    assert (
        "presence-server: Standard output cannot be written: No space left on device." in said
    )
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


def test_a_sentence_is_whole_and_behind_what_was_logged_before_it(tmp_path: Path) -> None:
    """Each write to such a socket is a message of its own, and others may come between two."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        done = subprocess.run(
            [sys.executable, "-m", "presence_server", "user", "list"],
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "PYTHONUNBUFFERED": "1",
                "PRESENCE_COLOUR": "blue",
            },
            stderr=theirs.fileno(),
            timeout=60,
        )
        assert done.returncode == 3
        theirs.close()
        ours.settimeout(10)
        logged, said = ours.recv(4096).decode(), ours.recv(4096).decode()
    assert "PRESENCE_COLOUR is no setting" in logged
    assert said.startswith("presence-server: ") and said.endswith("\n")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["--grace", "soon"], "--grace (PRESENCE_GRACE)"),
        (["--port=-1"], "--port (PRESENCE_PORT)"),
        (["serve", "--sign-up", "maybe"], "--sign-up (PRESENCE_SIGN_UP)"),
        (["--reuse-port"], "--reuse-port (PRESENCE_REUSE_PORT)"),
        (["--port"], "--port"),
        (["--hots=x"], "--hots"),
        (["--hos=x"], "--hos"),
        (["--prot", "9000"], "there is no --prot; did you mean --port"),
        (["-p", "9000"], "there is no -p"),
        (["user", "add", "bob", "--datbase", "x"], "did you mean --database"),
        (["swerve"], "swerve"),
    ],
)
def test_a_wrong_argument_is_one_sentence_and_status_2(
    served: list[Config], capsys: pytest.CaptureFixture[str], arguments: list[str], name: str
) -> None:
    try:
        status: object = cli.main(arguments)
    except SystemExit as ended:
        status = ended.code
    output = capsys.readouterr()
    assert status == 2
    assert output.out == ""
    (line,) = output.err.splitlines()
    assert name in line
    assert not served


def test_a_wrong_variable_is_one_sentence_and_status_2(
    served: list[Config], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRESENCE_BCRYPT_COST", "99")
    assert cli.main([]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "PRESENCE_BCRYPT_COST" in line


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConfigError("It does not fit."), 2),
        (RelayRefused("It does not fit."), 2),
        (DatabaseUnusable("It does not fit."), 3),
    ],
)
def test_what_refuses_the_start_is_said_in_its_own_words(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    status: int,
) -> None:
    def refuse(args: argparse.Namespace, config: Config) -> int:
        raise error

    monkeypatch.setattr(serve, "run", refuse)
    assert cli.main([]) == status
    assert capsys.readouterr().err == "presence-server: It does not fit.\n"


def test_any_other_error_is_logged_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(args: argparse.Namespace, config: Config) -> int:
        raise RuntimeError("a defect")

    monkeypatch.setattr(serve, "run", fail)
    assert cli.main([]) == 1
    assert "RuntimeError: a defect" in capsys.readouterr().err


def test_commands_do_not_wait_until_a_server_is_imported() -> None:
    """That takes twice as long as all else that most of them do."""
    program = "import sys, presence_server.cli; sys.exit('aiohttp' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
