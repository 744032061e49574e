"""The servers of others, and what each needs installed before it runs."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.dialects import SOCKET_IO, TUTORIAL, Dialect
from benchmarks.servers import Server

_HERE = Path(__file__).resolve().parent
_LIMIT = 300.0


class CannotInstall(Exception):
    """Says in a sentence why a peer cannot be measured here."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A program of others, and the ways in which it can be run."""

    folder: Path
    # The packages whose versions matter to the reader.
    packages: tuple[str, ...]
    servers: tuple[Server, ...]

    def install(self) -> None:
        """Into the peer's own folder, when it has changed since; raises CannotInstall."""
        wanted = self._needs.read_text()
        stamp = self.folder / ".installed"
        if stamp.exists() and stamp.read_text() == wanted:
            return
        if self._in_python:
            self._run(sys.executable, "-m", "venv", "--clear", ".venv")
            pip = (".venv/bin/python", "-m", "pip", "install", "--quiet")
            self._run(*pip, "--disable-pip-version-check", "-r", "requirements.txt")
        else:
            self._install_with_npm()
        stamp.write_text(wanted)

    def versions(self) -> dict[str, str]:
        if self._in_python:
            pins = re.findall(r"^([\w-]+)(?:\[\w+\])?==(\S+)$", self._needs.read_text(), re.M)
            known = dict(pins)
        else:
            known = json.loads(self._needs.read_text())["dependencies"]
        return {name: known[name] for name in self.packages}

    @property
    def _in_python(self) -> bool:
        return (self.folder / "requirements.txt").exists()

    @property
    def _needs(self) -> Path:
        return self.folder / ("requirements.txt" if self._in_python else "package.json")

    def _install_with_npm(self) -> None:
        for program in ("node", "npm"):
            if not shutil.which(program):
                raise CannotInstall(f"It needs {program}, which is not on the PATH.")
        major = int(_output("node", "--version").lstrip("v").split(".")[0])
        if major < 20:
            raise CannotInstall(f"It needs Node 20 or newer; this is {major}.")
        quiet = ("--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error")
        self._run("npm", "install", *quiet)

    def _run(self, *command: str) -> None:
        try:
            done = subprocess.run(
                command, cwd=self.folder, timeout=_LIMIT, capture_output=True, text=True
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CannotInstall(f"It could not be installed: {error}.") from error
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            raise CannotInstall(f"It could not be installed: {' '.join(last)[:200]}")


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def _peer(
    folder: str,
    packages: Sequence[str],
    serve: Sequence[Sequence[str]],
    fill: Sequence[str],
    dialect: Dialect = TUTORIAL,
    interpreter: str | None = None,
) -> Peer:
    """`serve`: for each way to run it, its name and then its command."""
    path = _HERE / folder
    program = (interpreter or str(path / ".venv/bin/python"),)
    servers = (
        Server(name, tuple(command), tuple(fill), dialect, interpreter=program, folder=path)
        for name, *command in serve
    )
    return Peer(path, tuple(packages), tuple(servers))


_IN_REDIS = ("populate.js", "--redis-url", "{redis_url}")

PEERS = (
    _peer(
        "channels",
        ("Django", "channels", "channels_redis", "daphne"),
        (
            ("channels", "serve.py"),
            ("channels-pubsub", "serve.py", "--layer", "pubsub"),
        ),
        ("populate.py",),
    ),
    _peer(
        "python_socketio",
        ("python-socketio", "aiohttp", "redis"),
        (("python-socketio", "server.py", "serve"),),
        ("server.py", "populate"),
        SOCKET_IO,
    ),
    _peer(
        "ws",
        ("ws", "redis", "express-session", "connect-redis"),
        (("ws", "server.js"),),
        _IN_REDIS,
        interpreter="node",
    ),
    _peer(
        "socket_io",
        ("socket.io", "@socket.io/redis-adapter", "redis", "express-session"),
        (("socket.io", "server.js"),),
        _IN_REDIS,
        SOCKET_IO,
        interpreter="node",
    ),
)
