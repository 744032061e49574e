"""The servers under test, each started as its users start it, and the Redis they share."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from benchmarks.dialects import APP_EVENTS, APP_ROOM, PRESENCE_V1, TUTORIAL, Dialect
from benchmarks.load import Target
from testing.redis_server import redis_binary

ROOT = Path(__file__).resolve().parent.parent
_START_LIMIT = 30.0


class ServerFailed(Exception):
    """A server under test did not start or did not end."""


@dataclass(frozen=True, slots=True)
class Server:
    """How to start one, how to fill its database, and which dialect to speak with it."""

    name: str
    command: tuple[str, ...]
    # `{redis_url}` in it stands for what it says.
    populate: tuple[str, ...]
    dialect: Dialect = TUTORIAL
    redis: bool = True
    # Seconds that those who leave are still shown.
    grace: float = 0.0
    # What runs the two commands, and where.
    interpreter: tuple[str, ...] = (sys.executable, "-m")
    folder: Path = ROOT


# A grace shorter than the default costs the same and makes every run shorter.
_GRACE = 2.0
_OURS = Server(
    name="ours",
    command=(
        "presence_server",
        f"--grace={_GRACE}",
        "--max-sockets-per-address=0",
        "--max-sockets-per-user=0",
    ),
    populate=("testing.populate",),
    dialect=PRESENCE_V1,
    grace=_GRACE,
)

SERVERS = {
    server.name: server
    for server in (
        Server("plain", ("benchmarks.plain", "serve"), ("benchmarks.plain", "populate")),
        _OURS,
        replace(_OURS, name="ours-alone", redis=False),
        replace(_OURS, name="ours-tutorial", dialect=TUTORIAL),
        replace(_OURS, name="ours-room", populate=("benchmarks.tokens",), dialect=APP_ROOM),
        replace(_OURS, name="ours-events", populate=("benchmarks.tokens",), dialect=APP_EVENTS),
    )
}


def with_grace(server: Server, grace: float) -> Server:
    command = (f"--grace={grace}" if "--grace" in part else part for part in server.command)
    return replace(server, command=tuple(command), grace=grace)


@dataclass(frozen=True, slots=True)
class Running:
    server: Server
    process: subprocess.Popen[str]
    target: Target

    @property
    def pid(self) -> int:
        return self.process.pid

    def terminate(self, limit: float = 30.0) -> tuple[int, float]:
        """Exit status, and how long it took."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(limit)
        return status, time.monotonic() - started


def populate(
    server: Server,
    database: Path,
    users: int,
    sessions: int,
    prefix: str = "user",
    redis_url: str = "",
) -> list[str]:
    """The `Cookie` header of each of the first so many users."""
    command = [*server.interpreter, *(part.format(redis_url=redis_url) for part in server.populate)]
    command += ["--database", str(database)]
    command += ["--users", str(users), "--sessions", str(sessions), "--prefix", prefix]
    done = subprocess.run(command, cwd=server.folder, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.splitlines()


@contextlib.contextmanager
def running(
    server: Server, database: Path, redis_url: str | None, flags: Sequence[str] = ()
) -> Iterator[Running]:
    command = [*server.interpreter, *server.command, "--port", "0"]
    command += ["--database", str(database), *flags]
    if server.redis:
        if redis_url is None:
            raise ServerFailed(f"{server.name} needs Redis.")
        command += ["--redis-url", redis_url]
    log = tempfile.TemporaryFile("w+")
    # A PRESENCE_ variable of whoever runs this would change what is measured.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PRESENCE_")}
    with log, subprocess.Popen(
        command, cwd=server.folder, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
    ) as process:
        try:
            assert process.stdout is not None
            address = address_in(process.stdout)
            if address is None:
                raise ServerFailed(f"it did not start: {_last_words(log)}")
            yield Running(server, process, Target(address, server.dialect))
        except OSError as error:
            # What was asked of it failed; when it is gone, that is why.
            if process.poll() is None:
                raise
            raise ServerFailed(f"it ended by itself: {_last_words(log)}") from error
        finally:
            process.kill()


def _last_words(log: IO[str]) -> str:
    log.seek(0)
    return log.read()[-2000:].strip()


def address_in(lines: Iterable[str]) -> tuple[str, int] | None:
    """Where a server says that it listens; nothing when it ends without."""
    for line in lines:
        if match := re.match(r"Listening on http://([\d.]+):(\d+)", line):
            return match[1], int(match[2])
    return None


@dataclass(frozen=True, slots=True)
class Redis:
    url: str
    pid: int


@contextlib.contextmanager
def redis_server() -> Iterator[Redis]:
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        path = f"{folder}/redis"
        command = [redis_binary(), "--port", "0", "--unixsocket", path]
        command += ["--save", "", "--dir", folder]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            try:
                deadline = time.monotonic() + _START_LIMIT
                while not os.path.exists(path):
                    if process.poll() is not None or time.monotonic() > deadline:
                        raise ServerFailed("Redis did not start.")
                    time.sleep(0.01)
                yield Redis(f"unix://{path}", process.pid)
            finally:
                process.kill()
