"""The log: one line an event on standard error, as text for people or JSON for machines.

Whoever logs never waits: a thread of its own writes. When standard error takes no more, a pipe that
nobody reads or a full disk, lines are counted and dropped.
"""

import json
import logging
import os
import select
import sys
import threading
import time
from contextlib import suppress
from io import UnsupportedOperation
from typing import Any, TextIO

_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


# Characters of lines that wait to be written.
_MOST_WAITING = 4 * 1024 * 1024
_FLUSHED_WITHIN = 0.5  # seconds

_is_json = False


def set_up(log_format: str) -> None:
    global _is_json
    _is_json = log_format == "json"
    handler = Output(sys.stderr)
    handler.setFormatter(JsonLines() if _is_json else TextLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    # Finding what is not printed takes longer than the line itself (logging, "Optimization").
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def take_what_nobody_catches() -> None:
    """Python would write it to standard error by itself, in a form of its own, and wait there."""
    log = logging.getLogger(__name__)

    def of_a_thread(failure: threading.ExceptHookArgs) -> None:
        log.critical("a thread has ended", exc_info=failure.exc_value)

    def unraisable(failure: "sys.UnraisableHookArgs") -> None:
        what = failure.err_msg or "nobody could be told of an error"
        log.error("%s: %r", what, failure.object, exc_info=failure.exc_value)

    threading.excepthook, sys.unraisablehook = of_a_thread, unraisable


def say(sentence: str) -> None:
    """The one sentence of a program that ends; as JSON where all of the log is."""
    if _is_json:
        logging.getLogger("presence-server").critical(sentence)
    else:
        print(f"presence-server: {sentence}", file=sys.stderr)


def flush() -> None:
    """Have written what waits, in half a second at most."""
    for handler in logging.getLogger().handlers:
        handler.flush()


def dropped() -> int:
    """How many lines could not be written."""
    outputs = [handler for handler in logging.getLogger().handlers if isinstance(handler, Output)]
    return sum(output.dropped for output in outputs)


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
        self._closed = False
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
            self._changed.notify_all()

    def flush(self) -> None:
        with self._changed:
            self._changed.wait_for(self._is_idle, _FLUSHED_WITHIN)

    def close(self) -> None:
        self.flush()
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        super().close()

    def _is_idle(self) -> bool:
        return not (self._waiting or self._writing)

    def _run(self) -> None:
        while not self._closed:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting or self._closed)
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


class Seldom:
    """Warnings of what may happen a thousand times a second: one now and then is enough."""

    def __init__(self, log: logging.Logger, seconds: float = 1.0) -> None:
        self._log = log
        self._seconds = seconds
        self._quiet_until = 0.0

    def warning(self, text: str, *values: object) -> None:
        self._log_seldom(logging.WARNING, text, values)

    def error(self, text: str, *values: object, exc_info: bool = False) -> None:
        self._log_seldom(logging.ERROR, text, values, exc_info=exc_info)

    def _log_seldom(
        self, level: int, text: str, values: tuple[object, ...], *, exc_info: bool = False
    ) -> None:
        now = time.monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + self._seconds
            self._log.log(level, text, *values, exc_info=exc_info)


class TextLines(logging.Formatter):
    """`TIME LEVEL logger: message key=value …`; a traceback follows on lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {key}={value}" for key, value in _extras(record).items())
        event = _unbroken(f"{record.levelname} {record.name}: {record.getMessage()}{fields}")
        line = f"{_time(record)} {event}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        event = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_extras(record),
        }
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        return json.dumps(event, default=str)


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    return {key: value for key, value in vars(record).items() if key not in _PLAIN}


def _time(record: logging.LogRecord) -> str:
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{seconds}.{int(record.msecs):03d}Z"


def _unbroken(text: str) -> str:
    # What clients send reaches the log: it must not be able to forge lines of its own.
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
