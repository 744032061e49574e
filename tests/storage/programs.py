"""Other programs on the same machine that use our files at the same time."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from presence_server.resources import ROOT

ENDED_WITHIN = 200

_LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.readline()
connection.execute("ROLLBACK")
"""


def run(code: str, *arguments: object) -> str:
    """What a Python program writes until it ends."""
    with _running(code, *arguments) as program:
        return program.communicate(timeout=ENDED_WITHIN)[0]


def run_at_once(number: int, code: str, *arguments: object) -> list[str]:
    """What each of several programs writes, which all begin with go() at the same moment."""
    waiting = 'import sys\ndef go():\n    print("ready", flush=True)\n    sys.stdin.readline()\n'
    with ExitStack() as stack:
        programs = [
            stack.enter_context(_running(waiting + code, *arguments)) for _ in range(number)
        ]
        for program in programs:
            _expect(program, "ready\n")
        for program in programs:
            assert program.stdin
            program.stdin.write("\n")
            program.stdin.flush()
        return [program.communicate(timeout=ENDED_WITHIN)[0] for program in programs]


@contextmanager
def lock_of_another_program(path: Path) -> Iterator[None]:
    """Another process holds the write lock of the database."""
    with _running(_LOCK, path) as program:
        _expect(program, "locked\n")
        yield
        program.communicate("\n", timeout=ENDED_WITHIN)


@contextmanager
def _running(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, env=environment, stdin=pipe, stdout=pipe, text=True
    ) as program:
        try:
            yield program
        finally:
            program.kill()


def _expect(program: subprocess.Popen[str], line: str) -> None:
    assert program.stdout and program.stdout.readline() == line
