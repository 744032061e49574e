"""One of the server processes, as the parent sees it."""

import asyncio
import os
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Self

import presence_server
from presence_server.listening import Listener
from presence_server.processes import INHERITANCE_VARIABLE
from presence_server.processes.inheritance import READY, Inheritance

_serial = count(1)


class Server:
    """Operators' pages of this process alone are served on the socket file `operators`."""

    def __init__(self, process: Process, line: socket.socket, operators: Path) -> None:
        self.process = process
        self.operators = operators
        self.serves = False
        self._line = line

    @classmethod
    async def start(
        cls, number: int, arguments: Sequence[str], pages: list[Listener], folder: Path
    ) -> Self:
        """With the arguments of the command line; the parent keeps the pages' listeners open."""
        path = folder / f"{next(_serial)}.operators"
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs, Listener(socket.AF_UNIX) as operators:
            operators.bind(str(path))
            operators.listen()
            given = Inheritance(number, theirs, pages, operators)
            environment = {**os.environ, **_way_to_us(), INHERITANCE_VARIABLE: given.as_text()}
            # That one is for us: whoever manages services knows of no other process.
            environment.pop("NOTIFY_SOCKET", None)
            try:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", "-m", "presence_server", *arguments),
                    env=environment,
                    stdin=DEVNULL,
                    pass_fds=given.descriptors,
                    # A Ctrl-C reaches the parent alone.
                    process_group=0,
                )
            except BaseException:
                ours.close()
                path.unlink()
                raise
        return cls(process, ours, path)

    async def ready(self) -> bool:
        """Wait until it serves; False if it has ended instead."""
        loop = asyncio.get_running_loop()
        try:
            self.serves = await loop.sock_recv(self._line, len(READY)) == READY
        except ConnectionError:
            pass
        return self.serves

    def forget(self) -> None:
        self.serves = False
        self._line.close()
        self.operators.unlink(missing_ok=True)


def _way_to_us() -> dict[str, str]:
    """Variables with which a Python finds this package without a look at where it is started.

    Whatever lies there would be taken for a module of Python's own, if it had the name of one.
    """
    folder = str(Path(presence_server.__file__).parent.parent)
    # The first is there for us alone: of a script or `python -m`, where that was started.
    if folder in sys.path[1:]:
        return {}
    others = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": f"{folder}{os.pathsep}{others}" if others else folder}
