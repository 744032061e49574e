import json
import logging
import sys

import pytest

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
