"""What other applications are promised, line by line: each promise has tests that are there."""

import re
from functools import cache

from presence_server.resources import ROOT

# Its number and a word for it, what is promised, and what holds it.
ROWS = [
    [cell.strip() for cell in line.strip("| ").split(" | ")]
    for line in (ROOT / "tests" / "contract.md").read_text("utf-8").splitlines()
    if re.match(r"\| [A-Z]\d", line)
]


@cache
def found_in(path: str) -> list[str]:
    """What a file of tests calls them: names in Python, sentences in JavaScript."""
    text = (ROOT / path).read_text("utf-8")
    if path.endswith(".js"):
        return re.findall(r'^test\("(.+?)", ', text, re.MULTILINE)
    # Functions, and the state machines of Hypothesis.
    return re.findall(r"^(?:(?:async )?def )?([Tt]est\w+)(?:\(| = )", text, re.MULTILINE)


def test_no_row_is_lost() -> None:
    numbers = [row[0].split()[0] for row in ROWS]
    assert len(numbers) > 100
    for letter in {number[0] for number in numbers}:
        own = [number for number in numbers if number[0] == letter]
        assert own == [f"{letter}{place}" for place in range(1, len(own) + 1)]


def test_every_promise_has_tests_that_are_there() -> None:
    missing = []
    for number, promise, held_by in ROWS:
        named = re.findall(r"`([\w/.]+)::([^`]+)`", held_by)
        assert promise and named and len(named) == held_by.count("::"), number
        missing += [
            f"{number}: {path}::{name}" for path, name in named if name not in found_in(path)
        ]
    assert missing == []
