"""The systemd unit, and what the server tells systemd."""

import configparser
import shutil
import subprocess
import sys
from pathlib import Path
from socket import AF_UNIX, SOCK_DGRAM, socket

import pytest

from presence_server.resources import ROOT
from testing.processes import ServerProcess

UNIT = ROOT / "deploy" / "presence-server.service"
# Of 10, which is a service without any hardening.
MOST_EXPOSED = 2.0

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on the PATH"
)


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """One instance, with a program that exists here."""
    text = UNIT.read_text()
    program = "/opt/presence-server/bin/presence-server"
    assert program in text
    instance = tmp_path / "presence-server.service"
    instance.write_text(text.replace(program, sys.executable))
    return instance


def analyze(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["systemd-analyze", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=30,
    )


@needs_systemd
def test_the_unit_has_no_mistakes(unit: Path) -> None:
    done = analyze("verify", unit)
    told = [line for line in done.stdout.splitlines() if unit.name in line]
    assert done.returncode == 0 and told == [], done.stdout


@needs_systemd
def test_a_mistake_would_be_found(unit: Path) -> None:
    unit.write_text(unit.read_text().replace("PrivateTmp=", "PrivateTemp="))
    assert "PrivateTemp" in analyze("verify", unit).stdout


@needs_systemd
def test_the_unit_leaves_the_service_little(unit: Path) -> None:
    done = analyze("security", "--offline=true", f"--threshold={MOST_EXPOSED * 10:.0f}", unit)
    assert done.returncode == 0, done.stdout


def test_the_unit_is_started_again_for_ever() -> None:
    """Five quick failures, as with a database that is not there yet, would end it for good."""
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # as its documentation has it
    unit.read_string(UNIT.read_text())
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"
    assert unit["Service"]["Restart"] == "always"


async def test_the_manager_hears_when_it_is_ready_and_when_it_ends(tmp_path: Path) -> None:
    with socket(AF_UNIX, SOCK_DGRAM) as manager:
        manager.bind("\0presence-server-test" + tmp_path.name + str(id(manager)))
        manager.settimeout(10)
        server = ServerProcess(tmp_path)
        server.environment["NOTIFY_SOCKET"] = "@" + manager.getsockname()[1:].decode()
        try:
            await server.start()
            assert manager.recv(100) == b"READY=1"
            assert await server.terminate() == 0
            assert manager.recv(100) == b"STOPPING=1"
        finally:
            await server.kill()


async def test_a_manager_that_is_gone_is_no_reason_not_to_serve(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path)
    server.environment["NOTIFY_SOCKET"] = str(tmp_path / "nobody")
    try:
        await server.start()
        assert await server.terminate() == 0
    finally:
        await server.kill()
    assert "NOTIFY_SOCKET cannot be told READY=1" in server.log
