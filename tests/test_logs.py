import io
import json
import logging
import os
import sys
import threading
from collections.abc import Iterator

import pytest

from presence_server import logs
from presence_server.log_output import Output
from presence_server.logs import JsonLines, TextLines


def record(message: str, **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("presence_server.app", logging.INFO, "", 0, message, None, None)
    made.__dict__.update(fields)
    made.created, made.msecs = 1795420800.0, 42.0
    return made


def failure() -> logging.LogRecord:
    try:
        raise RuntimeError("no room")
    except RuntimeError:
        return record("failed", exc_info=sys.exc_info())


def test_text_line() -> None:
    line = TextLines().format(record("started", people=3))
    assert line == "2026-11-23T08:00:00.042Z INFO presence_server.app: started people=3"


def test_json_line() -> None:
    assert json.loads(JsonLines().format(record("started", people=3))) == {
        "time": "2026-11-23T08:00:00.042Z",
        "level": "info",
        "logger": "presence_server.app",
        "message": "started",
        "people": 3,
    }


@pytest.mark.parametrize("lines", [TextLines(), JsonLines()])
@pytest.mark.parametrize("sign", ["\n", "\r", "\x1b", "\x85", "\u2028", "\ud800"])
def test_no_message_can_forge_a_line(lines: logging.Formatter, sign: str) -> None:
    line = lines.format(record(f"name{sign}forged", user=f"a{sign}b"))
    assert sign not in line
    assert len(line.splitlines()) == 1
    line.encode()


def test_a_traceback_is_kept() -> None:
    assert "RuntimeError: no room" in TextLines().format(failure())
    line = JsonLines().format(failure())
    assert "\n" not in line
    assert json.loads(line)["exception"].endswith("RuntimeError: no room")


class Stuck(io.StringIO):
    """A stream that takes nothing for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.freed = threading.Event()

    def write(self, text: str) -> int:
        assert self.freed.wait(10)
        return super().write(text)


def test_what_waits_for_too_long_is_counted_and_dropped_and_told() -> None:
    stream = Stuck()
    output = Output(stream, most_waiting=100)
    for number in range(30):
        output.emit(record(f"line {number:02}"))
    # One or more are being written, and of seven characters each fourteen may wait.
    assert 0 < output.dropped < 30
    output.flush()
    stream.freed.set()
    output.emit(record("the last"))
    output.flush()
    lines = stream.getvalue().splitlines()
    assert lines[0] == "line 00"
    assert f"{output.dropped} lines of the log could not be written" in lines
    told = [line for line in lines if line.startswith("line ")]
    assert len(told) + output.dropped in (30, 31)


def test_what_cannot_be_written_is_counted_and_told_later() -> None:
    reader, writer = os.pipe()
    with open(reader, "rb") as pipe, open(writer, "w") as stream:
        output = Output(stream)
        output.setFormatter(JsonLines())
        saved = os.dup(writer)
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, writer)
        for _ in range(3):
            output.emit(record("lost"))
            output.flush()
        assert output.dropped == 3
        os.dup2(saved, writer)
        output.emit(record("there is room again"))
        output.flush()
        os.close(saved)
        os.close(full)
        stream.close()
        events = [json.loads(line) for line in pipe.read().splitlines()]
    assert [event["message"] for event in events] == [
        "there is room again",
        "3 lines of the log could not be written",
    ]


def test_without_standard_error_lines_are_only_counted() -> None:
    output = Output(None)
    output.emit(record("lost"))
    output.flush()
    assert output.dropped == 1


def test_a_line_without_a_form_is_told_and_ends_nothing() -> None:
    stream = io.StringIO()
    output = Output(stream)
    output.setFormatter(JsonLines())
    output.emit(logging.LogRecord("x", logging.INFO, "", 0, "%d people", ("many",), None))
    output.flush()
    (event,) = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert event["level"] == "error" and "'%d people'" in event["message"]
    assert "TypeError" in event["exception"]


@pytest.fixture
def caught(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    before = threading.excepthook, sys.unraisablehook
    logs.take_what_nobody_catches()
    yield caplog
    threading.excepthook, sys.unraisablehook = before


def test_what_nobody_catches_is_logged(caught: pytest.LogCaptureFixture) -> None:
    class Unlucky:
        def __del__(self) -> None:
            raise RuntimeError("too late")

    def fail() -> None:
        raise RuntimeError("alone")

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    del thread
    Unlucky()
    assert [record.exc_info and str(record.exc_info[1]) for record in caught.records] == [
        "alone",
        "too late",
    ]
