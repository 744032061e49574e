"""What a server process has from its parent: where it listens, and a line between them.

The line is a pair of sockets. The child says over it that it serves; when it breaks, the parent is
no more, and the child ends too.
"""

import asyncio
import json
import logging
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from presence_server.listening import Listener
from presence_server.processes import INHERITANCE_VARIABLE

READY = b"ready"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Inheritance:
    """`number` is what the process is called in the log and among the metrics."""

    number: int
    line: socket.socket
    pages: list[Listener]
    operators: Listener

    @property
    def descriptors(self) -> list[int]:
        return [self.line.fileno(), *_numbers(self.pages), self.operators.fileno()]

    def as_text(self) -> str:
        """For INHERITANCE_VARIABLE of a process that has the descriptors too."""
        parts = (self.number, self.line.fileno(), _numbers(self.pages), self.operators.fileno())
        return json.dumps(parts)

    def tell_ready(self, gone: Callable[[], None]) -> None:
        """This process serves; from the loop, which calls `gone` when the parent is no more."""
        self.line.setblocking(False)
        self.line.send(READY)

        def broken() -> None:
            loop.remove_reader(self.line)
            log.warning("the parent process is gone")
            gone()

        loop = asyncio.get_running_loop()
        # It never says anything.
        loop.add_reader(self.line, broken)


def take() -> Inheritance | None:
    """What this process was given; None if it has no parent of ours."""
    text = os.environ.pop(INHERITANCE_VARIABLE, None)
    if text is None:
        return None
    number, line, pages, operators = json.loads(text)
    return Inheritance(
        number,
        socket.socket(fileno=line),
        [Listener(fileno=page) for page in pages],
        Listener(fileno=operators),
    )


def _numbers(listeners: Sequence[Listener]) -> list[int]:
    return [listener.fileno() for listener in listeners]
