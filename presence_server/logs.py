"""The log: one line an event on standard error, as text for people or JSON for machines."""

import json
import logging
import sys
import threading
import time
from functools import lru_cache
from typing import Any

from presence_server.log_output import Output

_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


_is_json = False
# What every line has besides its own.
_always: dict[str, object] = {}


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


def name_process(number: int) -> None:
    """Several write to the same log."""
    _always["process"] = number


def take_what_nobody_catches() -> None:
    """Python would write it to standard error by itself, in a form of its own, and wait there."""
    log = logging.getLogger(__name__)

    def of_a_thread(failure: threading.ExceptHookArgs) -> None:
        log.critical("a thread has ended", exc_info=failure.exc_value)

    def unraisable(failure: "sys.UnraisableHookArgs") -> None:
        what = failure.err_msg or "nobody could be told of an error"
        log.error("%s: %r", what, failure.object, exc_info=failure.exc_value)

    threading.excepthook, sys.unraisablehook = of_a_thread, unraisable


def say(sentence: str, level: int = logging.CRITICAL) -> None:
    """A sentence for whoever runs the program, such as why it ends; as JSON where the log is."""
    if _is_json:
        logging.getLogger("presence-server").log(level, sentence)
        return
    # After what was logged before it, and in one piece: unbuffered, the end of the line would be
    # written by itself, behind lines of the log by then.
    flush()
    print(f"presence-server: {sentence}\n", end="", file=sys.stderr)


def flush() -> None:
    """Have written what waits, in half a second at most."""
    for handler in logging.getLogger().handlers:
        handler.flush()


def dropped() -> int:
    """How many lines could not be written."""
    outputs = [handler for handler in logging.getLogger().handlers if isinstance(handler, Output)]
    return sum(output.dropped for output in outputs)


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
    own = {key: value for key, value in vars(record).items() if key not in _PLAIN}
    return {**_always, **own}


def _time(record: logging.LogRecord) -> str:
    return f"{_second(int(record.created))}.{int(record.msecs):03d}Z"


@lru_cache(maxsize=2)
def _second(unix: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(unix))


def _unbroken(text: str) -> str:
    # What clients send reaches the log: it must not be able to forge lines of its own.
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
