"""That the comparison says what it found."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

import drill.report
from benchmarks import budgets, compare, figures, hundred_thousand, report
from benchmarks.fanout import Result, Stage
from benchmarks.report import Cell, Comparison, trouble_in
from benchmarks.servers import SERVERS, Server, redis_server
from benchmarks.verdicts import Verdict
from presence_server import __version__
from presence_server.resources import ROOT

RUNS: dict[str, tuple[str, str, Callable[[Mapping[str, Any]], str]]] = {
    "make bench": ("benchmarks", "benchmarks", budgets.document),
    "make compare": ("benchmarks", "comparison", report.document),
    "make hundred-thousand": ("benchmarks", "hundred-thousand", hundred_thousand.document),
    "make drill": ("faults", "faults", drill.report.document),
}

RESULT = Result(
    server="ours",
    observers=10_000,
    changes=100,
    connected=10_000,
    connect_seconds=5.0,
    rest_seconds=6.0,
    cpu_per_delivery_us=0.5,
    cpu_share=0.5,
    redis_cpu_share=0.01,
    deliveries_per_second=1e6,
    p50_ms=200.0,
    p99_ms=480.0,
    max_ms=510.0,
    expected=1_000_000,
    lost=0,
    repeated=0,
    disconnected=0,
    kib_per_connection=19.0,
    client_cpu_share=0.6,
    client_longest_pass_ms=50.0,
    failures={},
)


def test_trouble_is_named() -> None:
    assert trouble_in(RESULT) is None
    assert trouble_in(replace(RESULT, lost=50_000)) is None
    assert trouble_in(replace(RESULT, lost=60_000)) == "6 % of the deliveries lost"
    assert trouble_in(replace(RESULT, p99_ms=7100.0)) == "p99 7 s"
    assert trouble_in(replace(RESULT, p99_ms=float("inf"))) == "p99 inf s"
    assert trouble_in(replace(RESULT, disconnected=3)) == "3 were cut off"
    assert trouble_in(replace(RESULT, failures={"not let in": 2})) == "probes met: 2 x not let in"


def test_whoever_lost_little_is_not_broken_down() -> None:
    assert Cell.of(RESULT).words == ""
    assert Cell.of(replace(RESULT, lost=20_000)).words == "2 of 100 changes never arrived"
    some = Cell.of(replace(RESULT, lost=20_001))
    assert some.words == "20,001 of 1,000,000 deliveries never arrived"
    assert Cell.of(replace(RESULT, lost=60_000)).words.startswith("**broken down:** 6 %")


def test_whoever_lost_changes_has_more_observers_last(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def session(run: compare.Run, server: Server, observers: int) -> None:
        asked.append((server.name, observers))
        lost = 100 if server.name == "plain" else 0
        run.comparison.cells.append(
            Cell.of(replace(RESULT, server=server.name, observers=observers, lost=lost))
        )

    monkeypatch.setattr(compare.Run, "_session", session)
    plan = replace(compare.SHORT, observers=(100, 200), crowd=(400,), further=())
    plan = replace(plan, accounts=(), nodes=())
    with redis_server() as redis:
        run = compare.Run(Stage(Path(), redis), plan, Comparison())
        run.all([compare.TOGETHER, SERVERS["plain"]])
    with_rooms = [(server.name, 200) for server in compare.ROOMS]
    ours = [("ours", 200), *with_rooms, ("ours", 400)]
    assert asked == [("ours", 100), ("plain", 100), *ours, ("plain", 200), ("plain", 400)]


def test_the_report_says_where_others_are_ahead() -> None:
    faster = replace(RESULT, server="ws", p50_ms=20.0, kib_per_connection=30.0)
    broken = replace(RESULT, server="plain", p50_ms=1.0, p99_ms=9000.0)
    comparison = Comparison(cells=[Cell.of(RESULT), Cell.of(faster), Cell.of(broken)])
    comparison.absent["socket.io"] = "It needs node, which is not on the PATH."
    text = report.document(report.encode(comparison))
    behind = text.partition("### Where we are not ahead")[2].partition("###")[0]
    assert behind.split("\n- ")[1:] == [
        "10,000 observers, 100/s, p50 ms: Node `ws`, Redis 20, ours 200\n\n"
    ]
    assert "not measured. It needs node" in text
    assert "**broken down:** p99 9 s" in text


def test_the_readme_repeats_what_the_run_found() -> None:
    text = figures.README.read_text()
    assert text.count("<!-- figure ") >= 3
    assert figures.filled(text) == text


def test_the_readme_names_the_budgets_of_the_benchmarks() -> None:
    text = figures.README.read_text()
    for budget in (
        f"within {figures.CROWD_P99} ms",
        f"at most {figures.CROWD_MEMORY} KiB",
        f"within {figures.CROWD_CONNECTS} s",
        f"at most {figures.PAGE_MEDIAN} ms",
    ):
        assert text.count(budget) == 1


def test_the_readme_says_of_faults_what_the_drill_found() -> None:
    text = figures.README.read_text()
    faults = json.loads((ROOT / "docs" / "faults.json").read_text())["faults"]
    # Random ones have the number of a seed.
    drawn = sum("/" in fault["name"] for fault in faults)
    assert f"[{len(faults) - drawn} faults" in text and f"of these {len(faults)} " in text
    # What broke a promise is named beside it.
    broken = [fault["name"] for fault in faults if fault["broken"]]
    assert [name for name in broken if name not in text] == []
    (killed,) = (fault for fault in faults if fault["name"] == "F29")
    servers, backend = re.findall(r"(\d+) times", killed["done"])
    assert f"were killed {int(servers) + int(backend)} times" in text
    drifted = [killed["measured"][what][0] for what in ("states that drifted", "older than before")]
    assert drifted == [0, 0]


@pytest.mark.parametrize("who", RUNS)
def test_every_block_is_what_the_figures_that_are_kept_say(who: str) -> None:
    page, kept, document = RUNS[who]
    written = (ROOT / "docs" / f"{page}.md").read_text()
    block = written.partition(f"<!-- {who} writes from here -->")[2].partition("<!-- to here")[0]
    content = json.loads((ROOT / "docs" / f"{kept}.json").read_text())
    assert block.strip() == document(content).strip()


def test_a_budget_that_is_missed_is_missed_where_the_figure_stands() -> None:
    slow = replace(RESULT, observers=10_000, p99_ms=1200.0, lost=3)
    alone = replace(slow, server="ours-alone", kib_per_connection=12.0)
    room = replace(slow, server="ours-room", observers=2000)
    cells = [Cell.of(result) for result in (slow, alone, room)]
    content = report.encode(Comparison(cells=cells))
    verdict = Verdict("2 come at once who", "1 in 3 s (1 x reset)", "all", met=False)
    content["bench"] = {"machine": content["machine"], "verdicts": [asdict(verdict)]}
    assert figures.in_words("crowd-p99", content) == "1,200 ms, **missed**"
    assert figures.in_words("crowd-lost", content) == "3 of 1,000,000, **missed**"
    assert figures.in_words("crowd-memory", content) == "12 to 19 KiB, **missed**"
    assert figures.in_words("room-memory", content) == "19 KiB, over the budget"
    assert figures.in_words("crowd-at-once", content) == "1 in 3 s, **missed**"
    assert figures.in_words("crowd-connect", content) == "5.0 s"
    assert figures.in_words("run", content).startswith(__version__)
