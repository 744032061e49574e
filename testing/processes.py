"""Real server processes, started as people start them."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path
from typing import Self

from presence_server.config import PostgresUrl
from presence_server.resources import ROOT
from testing.forks import Fork, fork
from testing.waiting import until

# A machine that runs tests has other work to do.
STARTED_WITHIN = 50
ENDED_WITHIN = 20
LOGGED_WITHIN = 90
# Where an SQLite file of the usual name has them too.
KEYS = "presence.sqlite3.key"


class ServerProcess:
    """`python -m presence_server` with flags of one's own, on a free port.

    `flags` are names of settings: grace=0.5 becomes --grace 0.5, reuse_port=True --reuse-port.
    """

    def __init__(self, folder: Path, name: str = "server", **flags: object) -> None:
        self.folder = folder
        # Another module may stand for the server, and hear more from its environment.
        self.module = "presence_server"
        self.environment: dict[str, str] = {}
        # A descriptor that standard error goes to instead of the log.
        self.stderr: int | None = None
        # Begun without the time that it takes to read the code.
        self.forks = False
        self._log_file = folder / f"{name}.log"
        self.flags = {"port": 0, "database": folder / "presence.sqlite3", "bcrypt_cost": 4, **flags}
        self.url = ""
        self.admin_url = ""
        self._process: Process | Fork | None = None

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def log(self) -> str:
        """What it has written to standard error, over all its starts."""
        return self._log_file.read_text(errors="replace")

    async def logged(self, words: str, times: int = 1) -> str:
        """The log, as soon as it has the words so often: it is written by a thread of its own."""
        await until(
            lambda: self.log.count(words) >= times,
            LOGGED_WITHIN,
            lambda: f"{words!r} is not in the log:\n{self.log}",
        )
        return self.log

    async def start(self) -> Self:
        """Start it, or start it again with the same flags, and wait until it listens."""
        self._process = await self._begin()
        try:
            async with asyncio.timeout(STARTED_WITHIN):
                self.url = await self._line("Listening on ")
                if self.flags.get("admin_port") is not None:
                    self.admin_url = await self._line("Operators' pages on ")
        except BaseException:
            await self.kill()
            raise
        return self

    async def terminate(self) -> int:
        """SIGTERM, and the exit status."""
        return await self.end(signal.SIGTERM)

    async def kill(self) -> None:
        """kill -9; nothing happens when it has ended already."""
        if self._process is not None:
            if self._process.returncode is None:
                self._process.kill()
            await self.ended()

    async def end(self, number: signal.Signals) -> int:
        self._running().send_signal(number)
        return await self.ended()

    def pause(self) -> None:
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._running().send_signal(signal.SIGCONT)

    async def ended(self) -> int:
        """Wait until it has ended by itself, and return its exit status."""
        process = self._running()
        async with asyncio.timeout(ENDED_WITHIN):
            # Several may wait, so nobody reads: what it says at its end is little.
            status = await process.wait()
        if self._process is process:
            self._process = None
        return status

    async def _begin(self) -> Process | Fork:
        given = arguments(self.flags)
        if self.forks:
            environment = _environment(**self.environment)
            with self._log_file.open("ab") as log:
                return await fork(given, str(self.folder), environment, log.fileno())
        return await launch(
            *given,
            log_file=self._log_file,
            module=self.module,
            stderr=self.stderr,
            **self.environment,
        )

    def _running(self) -> Process | Fork:
        assert self._process is not None, "it does not run"
        return self._process

    async def _line(self, start: str) -> str:
        stdout = self._running().stdout
        assert stdout is not None
        line = (await stdout.readline()).decode()
        assert line.startswith(start), f"not {start!r} but {line!r}; the log says:\n{self.log}"
        return line.removeprefix(start).strip()


async def launch(
    *arguments: str,
    log_file: Path,
    module: str = "presence_server",
    stderr: int | None = None,
    **environment: str,
) -> Process:
    """`python -m presence_server ARGUMENTS` in the folder of the log file."""
    with log_file.open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, *arguments),
            cwd=log_file.parent,
            env=_environment(**environment),
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=log if stderr is None else stderr,
        )


def _environment(**more: str) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PRESENCE_")}
    return {**clean, "PYTHONPATH": str(ROOT), **more}


def on_database(place: Path | PostgresUrl, folder: Path) -> dict[str, object]:
    """The flags for a database; with PostgreSQL the keys lie in the folder."""
    if isinstance(place, Path):
        return {"database": place}
    return {"database": place.url, "secret_key_file": folder / KEYS}


def arguments(flags: dict[str, object]) -> list[str]:
    found = []
    for name, value in flags.items():
        flag = "--" + name.replace("_", "-")
        if value is True:
            found.append(flag)
        elif value is not None and value is not False:
            found.append(f"{flag}={value}")
    return found
