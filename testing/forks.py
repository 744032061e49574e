"""Server processes without the second in which Python reads the server's code.

Each is a fork of a process that has read it and has done nothing else. Where the start itself is in
question, `testing.processes.launch` starts them as people do.
"""

import asyncio
import os
import signal
import sys
from asyncio import StreamReader, StreamReaderProtocol
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from multiprocessing.reduction import DupFd
from typing import Any

_context = get_context("forkserver")
_context.set_forkserver_preload(["presence_server.cli", "presence_server.serving"])


class Fork:
    """What ServerProcess needs of an asyncio.subprocess.Process."""

    def __init__(self, process: ForkServerProcess, stdout: StreamReader) -> None:
        assert process.pid is not None
        self.pid = process.pid
        self.stdout = stdout
        self.returncode: int | None = None
        self._process = process
        self._ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(process.sentinel, self._note_end)

    def send_signal(self, number: signal.Signals) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def _note_end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._process.sentinel)
        self.returncode = self._process.exitcode
        self._process.close()
        self._ended.set()


async def fork(
    arguments: list[str], folder: str, environment: dict[str, str], log: int
) -> Fork:
    """`python -m presence_server ARGUMENTS` in the folder; `log` takes its standard error."""
    stdout, loop = StreamReader(), asyncio.get_running_loop()
    ours, theirs = os.pipe()
    try:
        # It closes itself when there is nobody who could write.
        await loop.connect_read_pipe(lambda: StreamReaderProtocol(stdout), open(ours, "rb", 0))
        given = (arguments, folder, environment, _Handed(theirs), _Handed(log))
        process = _context.Process(target=_serve, args=given)
        process.start()
    finally:
        os.close(theirs)
    return Fork(process, stdout)


class _Handed:
    """A descriptor that arrives at a process as the number that it has there."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __reduce__(self) -> tuple[Any, ...]:
        return _take, (DupFd(self._number),)


def _take(handed: Any) -> int:
    return int(handed.detach())


def _serve(
    arguments: list[str], folder: str, environment: dict[str, str], output: int, log: int
) -> None:
    from presence_server.cli import main

    for number, stream in ((output, 1), (log, 2)):
        os.dup2(number, stream)
        os.close(number)
    sys.stdout = open(1, "w", closefd=False)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.exit(main(arguments))
