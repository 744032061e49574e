"""The drill says what it measured, and nothing fails to be tried unnoticed."""

import json
import re

from drill import report
from drill.faults import FAULTS
from drill.faults.inside import TASKS
from drill.figures import Fault, Figures
from drill.report import Result
from presence_server.resources import ROOT


def fault(name: str) -> Fault:
    async def run(figures: Figures) -> None:
        """Nothing happens."""

    return Fault(name, "Redis | killed", "nothing changes", run, 1)


def measured(seconds: float, false_offlines: int) -> Figures:
    figures = Figures()
    figures.between("gone after", [seconds, seconds + 1], 0, 9)
    figures.at_most("false offlines", false_offlines, 0, "")
    return figures


def test_of_several_runs_the_worst_is_told() -> None:
    worst = Figures()
    for figures in (measured(2, 0), measured(1, 3), measured(3, 0)):
        worst.add(figures)
    assert str(worst) == "gone after 1.00 to 4.00 s, false offlines 3"
    assert worst.broken == ["false offlines: 3, at most 0 was promised"]


def test_the_page_says_what_is_broken() -> None:
    results = [Result(fault("F1"), measured(1, 0)), Result(fault("F2"), measured(1, 2))]
    page = report.document(results, 3)
    assert "3 runs in a row, 2 faults each: **broken under F2**. False offlines: 2." in page
    kept, broken = (line for line in page.splitlines() if line.startswith("| F"))
    assert kept == (
        "| F1 | Redis / killed | nothing changes"
        " | gone after 1.00 to 2.00 s, false offlines 0 | kept |"
    )
    assert "**BROKEN**: false offlines: 2" in broken
    assert json.loads(json.dumps(report.data(results, 3)))["kept"] is False


def test_logs_do_not_get_into_the_page() -> None:
    figures = Figures()
    figures.holds("the process ends", False, "no; its log:\nwhere /it/ ran")
    results = [Result(fault("F26"), figures)]
    page = report.document(results, 1)
    assert "| **BROKEN**: the process ends: no; its log: |" in page
    assert "where /it/ ran" not in page + json.dumps(report.data(results, 1))


def test_every_background_task_is_made_to_fail() -> None:
    sources = [path.read_text() for path in (ROOT / "presence_server").rglob("*.py")]
    started = {name for text in sources for name in re.findall(r"""\.start\(\s*"([^"]+)",""", text)}
    assert started == set(TASKS)


def test_every_fault_has_its_line_in_the_docs() -> None:
    lines = re.findall(r"^\| ([FR]\d+\w?) \|", report.PAGE.read_text(), re.MULTILINE)
    assert lines == [fault.name for fault in FAULTS]
