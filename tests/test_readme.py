"""Every command that begins a page is run here, or is what the Makefile runs."""

import asyncio
import os
import re
import shlex
import signal
import sys
from pathlib import Path

import pytest

from presence_server.resources import ROOT
from testing.redis_server import RedisServer, free_port
from testing.waiting import says_it_listens

PAGES = ("README.md", "CONTRIBUTING.md", "docs/operations.md")
MAKEFILE = (ROOT / "Makefile").read_text()
BIN = Path(sys.executable).parent
LISTENS_WITHIN = 40

TEXT = "\n".join((ROOT / page).read_text() for page in PAGES)
COMMANDS = [
    # `make run      # http://127.0.0.1:8000`
    line.partition(" # ")[0].strip()
    for line in re.findall(r"^    (\S.*)$", TEXT, re.MULTILINE)
    if re.match(r"(\w+=\S+ )?(make|python3|\.venv/bin/\S+) ", line)
]
INLINE = re.findall(r"`(make run [^`]*)`", TEXT)
SERVES = [
    command
    for command in dict.fromkeys((*COMMANDS, *INLINE))
    if re.search("make run|python -m presence_s", command)
]

_PIP = ".venv/bin/pip install"
# What people do without make, as the Makefile does it.
BY_MAKE = {
    "make test": "test: ",
    "python3 -m venv .venv": "-m venv --clear .venv",
    f"{_PIP} --require-hashes --no-deps -r requirements.txt": "--require-hashes --no-deps",
    f"{_PIP} --require-hashes --no-deps -r requirements-test.txt": "--require-hashes --no-deps",
    f"{_PIP} --no-deps --no-build-isolation .": "--no-deps --no-build-isolation",
    f"{_PIP} --no-deps --no-build-isolation -e .": "--no-deps --no-build-isolation",
    ".venv/bin/python -m pytest": "$(BIN)/python -m pytest",
}


def test_no_command_is_left_out() -> None:
    assert len(COMMANDS) > 5
    targets = {f"make {name}" for name in re.findall(r"^(\w+):", MAKEFILE, re.MULTILINE)}
    assert set(COMMANDS) - set(SERVES) - set(BY_MAKE) <= targets
    for command, words in BY_MAKE.items():
        assert command in COMMANDS and words in MAKEFILE
    assert "make test" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("command", SERVES)
async def test_it_serves(command: str, tmp_path: Path, redis_server: RedisServer) -> None:
    """On free ports, with a database of this test, and with this Python for .venv."""
    command = command.replace("9000", str(free_port()))
    command = command.replace("redis://localhost", redis_server.url)
    command = command.replace(".venv/bin/python", shlex.quote(sys.executable))
    # With -o make takes the environment to be there.
    command = command.replace("make run", f"make -o .venv/.done BIN={shlex.quote(str(BIN))} run")
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("PRESENCE_", "MAKE"))},
        "PRESENCE_PORT": str(free_port()),
        "PRESENCE_DATABASE": str(tmp_path / "presence.sqlite3"),
    }
    process = await asyncio.create_subprocess_shell(
        command,
        cwd=ROOT,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        await says_it_listens(process, LISTENS_WITHIN)
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGTERM)
        async with asyncio.timeout(LISTENS_WITHIN):
            await process.communicate()
