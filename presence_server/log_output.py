"""Where lines of the log go, so that whoever logs never waits: a thread of its own writes them.

When the stream takes no more, a pipe that nobody reads or a full disk, they are counted and
dropped.
"""

import logging
import os
import select
import threading
from contextlib import suppress
from io import UnsupportedOperation
from typing import TextIO

# Characters of lines that wait to be written.
_MOST_WAITING = 4 * 1024 * 1024
# Seconds.
_FLUSHED_WITHIN = 0.5
# So long lines wait for more that are written with them, unless there is trouble among them: of a
# crowd that comes or goes each would have two threads wait for each other.
_GATHERED = 0.02


class Output(logging.Handler):
    """Writes lines to a stream from a thread of its own."""

    def __init__(self, stream: TextIO | None, most_waiting: int = _MOST_WAITING) -> None:
        super().__init__()
        self.dropped = 0
        self._untold = 0
        self._stream = stream
        self._most_waiting = most_waiting
        self._changed = threading.Condition()
        self._waiting: list[str] = []
        self._characters = 0
        self._writing = False
        self._ended = False
        self._hurried = False
        # Nothing that hangs may keep the process alive.
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception as error:
            # Such as `%d` for a text: a mistake of ours.
            line = self._made("a line of the log has no form: %r", record.msg, error=error)
        with self._changed:
            if self._characters + len(line) > self._most_waiting:
                self._drop(1)
                return
            self._waiting.append(line)
            self._characters += len(line)
            if record.levelno > logging.INFO:
                self._hurry()
            elif len(self._waiting) == 1:
                self._changed.notify_all()

    def flush(self) -> None:
        with self._changed:
            self._hurry()
            self._changed.wait_for(self._is_idle, _FLUSHED_WITHIN)

    def close(self) -> None:
        self.flush()
        with self._changed:
            self._ended = True
            self._hurry()
        super().close()

    def _hurry(self) -> None:
        self._hurried = True
        self._changed.notify_all()

    def _is_idle(self) -> bool:
        return not (self._waiting or self._writing)

    def _run(self) -> None:
        while not self._ended:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting or self._ended)
                self._changed.wait_for(lambda: self._hurried, _GATHERED)
                self._hurried = False
                lines, self._waiting, self._characters = self._waiting, [], 0
                self._writing = True
            self._write(lines)

    def _write(self, lines: list[str]) -> None:
        try:
            _write(self._stream, "".join(f"{line}\n" for line in lines))
        except (OSError, ValueError):
            # Of what was written in part nobody knows how much.
            with self._changed:
                self._drop(len(lines))
            return
        with self._changed:
            if self._untold:
                text = "%d lines of the log could not be written"
                self._waiting.append(self._made(text, self._untold))
                self._untold = 0

    def _drop(self, lines: int) -> None:
        self.dropped += lines
        self._untold += lines

    def _made(self, text: str, *values: object, error: Exception | None = None) -> str:
        exc_info = (type(error), error, error.__traceback__) if error else None
        return self.format(
            logging.LogRecord(__name__, logging.ERROR, "", 0, text, values, exc_info)
        )


def _write(stream: TextIO | None, text: str) -> None:
    """All of it, past the stream's own buffer: that one would be waited for at the end."""
    if stream is None:
        # Closed before the program began. Its number may be that of a file of ours by now.
        raise OSError("there is no standard error")
    try:
        descriptor = stream.fileno()
    except UnsupportedOperation:
        stream.write(text)
        return
    data = text.encode("utf-8", "backslashreplace")
    while data:
        with suppress(BlockingIOError):
            # Whoever shares it may have made it so that nothing waits there.
            select.select([], [descriptor], [])
            data = data[os.write(descriptor, data) :]
