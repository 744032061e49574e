"""What the container files say, as far as it can be held without building an image."""

import asyncio
import json
import re
import subprocess
import sys
from typing import Any

import yaml

from presence_server.settings import read_config
from presence_server.resources import ROOT
from testing.waiting import first_answer
from tests.conftest import ServerProcesses

CONTAINERFILE = (ROOT / "Containerfile").read_text().replace("\\\n", " ")
COMPOSE: Any = yaml.safe_load((ROOT / "compose.yaml").read_text())
WITHIN = 15


def instructions(name: str) -> list[str]:
    return re.findall(rf"^\s*{name} +(.+)$", CONTAINERFILE, re.MULTILINE)


def environment(service: str) -> dict[str, str]:
    """What the server finds there, when the person who starts it sets nothing."""
    given = dict(line.split("=", 1) for line in instructions("ENV"))
    for name, value in COMPOSE["services"][service]["environment"].items():
        given[name] = re.sub(r"\$\{\w+:-(.*)\}", r"\1", str(value))
    return given


def test_the_image_is_made_by_the_target_that_tests_install() -> None:
    (make,) = [command for command in instructions("RUN") if command.startswith("make")]
    assert make == "make install PREFIX=/opt/presence-server"
    (entry,) = instructions("ENTRYPOINT")
    assert json.loads(entry) == ["/opt/presence-server/bin/presence-server"]


def test_it_begins_with_one_image_whose_bytes_are_known() -> None:
    (image,) = {line.partition(" AS ")[0] for line in instructions("FROM")}
    assert re.fullmatch(r"docker\.io/library/python:3\.13-slim@sha256:[0-9a-f]{64}", image)


def test_nothing_runs_as_root() -> None:
    assert instructions("USER") == ["presence-server"]
    assert COMPOSE["services"]["presence"]["cap_drop"] == ["ALL"]
    assert COMPOSE["services"]["presence"]["read_only"] is True


def test_the_settings_are_settings() -> None:
    given = environment("presence")
    config = read_config({}, given)
    assert config.host == "0.0.0.0"
    gateway = COMPOSE["networks"]["default"]["ipam"]["config"][0]["gateway"]
    assert [str(network) for network in config.trusted_proxies] == [f"{gateway}/32"]
    assert config.risks() == []
    assert not set(given) - set(_variables())


def test_the_image_alone_runs_several_processes() -> None:
    given = dict(line.split("=", 1) for line in instructions("ENV"))
    assert read_config({}, given).processes == 2


def _variables() -> set[str]:
    told = subprocess.run(
        [sys.executable, "-m", "presence_server", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(re.findall(r"PRESENCE_\w+", told.stdout))


def test_the_ports_are_those_of_nginx() -> None:
    published = [
        re.fullmatch(r"(127\.0\.0\.1:\d+):8000", port)[1]  # type: ignore[index]  # it matches
        for port in COMPOSE["services"]["presence"]["ports"]
    ]
    nginx = (ROOT / "deploy" / "nginx.conf").read_text()
    assert published == re.findall(r"^    server ([\d.:]+) ", nginx, re.MULTILINE)
    assert instructions("EXPOSE") == ["8000"]


async def test_the_health_check_tells_ready_from_not(server_process: ServerProcesses) -> None:
    server = await server_process()
    (check,) = instructions("HEALTHCHECK")
    check = check.partition(" CMD ")[2]
    command = json.loads(check.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}"))
    assert command[0] == "python"
    assert await _status(command) == 0
    (server.folder / "presence.sqlite3").rename(server.folder / "elsewhere")
    # It is looked at once a second.
    await first_answer(lambda: _status(command), lambda status: status != 0, WITHIN)
    await server.kill()
    assert await _status(command) != 0


async def _status(command: list[str]) -> int:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command[1:], stderr=asyncio.subprocess.DEVNULL
    )
    async with asyncio.timeout(WITHIN):
        return await process.wait()
