"""That the benchmarks measure what they say, on so few people that it is quick."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.dialects import changes_in
from benchmarks.fanout import Load, Stage, measure, table
from benchmarks.servers import SERVERS, redis_server
from benchmarks.verdicts import at_most, counts
from benchmarks.views import Point, chart, cheaper_from, document


@pytest.fixture
def stage() -> Iterator[Stage]:
    with tempfile.TemporaryDirectory() as folder, redis_server() as redis:
        yield Stage(Path(folder), redis)


@pytest.mark.parametrize("name", ["ours", "ours-room", "ours-events"])
def test_fan_out_sees_every_probe_come_and_go(stage: Stage, name: str) -> None:
    server = SERVERS[name]
    command = tuple("--grace=0.2" if "--grace" in part else part for part in server.command)
    server = replace(server, command=command, grace=min(server.grace, 0.2))
    result = measure(stage, server, Load(20, 20, seconds=2, stay=0.3, quiet=0.5))
    assert (result.connected, result.lost, result.repeated, result.disconnected) == (20, 0, 0, 0)
    assert result.failures == {}
    assert result.expected >= 20 * 2 * 5
    assert 0 < result.p50_ms <= result.p99_ms <= result.max_ms < 2000
    assert 0 < result.cpu_per_delivery_us < 5000
    assert f"| {name} | 20 | 20 |" in table([result])


def test_changes_are_read_in_both_dialects() -> None:
    assert changes_in(b'{"username": "al", "is_logged_in": false}') == [("al", False)]
    assert changes_in(b'{"type": "changes", "online": {"al": 1}, "offline": {"bo": 2}}') == [
        ("al", True),
        ("bo", False),
    ]
    assert changes_in(b'{"type": "snapshot", "online": {"probe1": 1}}') == []


def test_from_how_many_on_watching_some_is_cheaper() -> None:
    some, everybody = Point(120, 50, 0.2, 900, 9, 20, 0), Point(120, 120, 0.3, 4_000, 9, 20, 0)
    many = [replace(some, people=400), replace(everybody, people=400, watched=400)]
    points = [some, everybody, *many, replace(some, people=9_000)]
    text = "\n".join(document(points))
    assert "| 120 | everybody | 0.30 | 4,000 |" in text and "| 120 | 50 | 0.20 | 900 |" in text
    assert "Already at 120 people, the smallest number measured, watching 50 takes less" in text
    drawn = chart(points)
    assert drawn is not None and [len(series.points) for series in drawn.series] == [2, 3]
    assert cheaper_from([some, replace(everybody, cores=0.1), *many]) == 400
    # Not from where it is cheaper once, but from where it stays so.
    dearer = [some, everybody, many[0], replace(many[1], cores=0.1)]
    assert cheaper_from(dearer) is None
    assert "takes no less of the processor" in "\n".join(document(dearer))
    assert chart([some]) is None


def test_a_budget_that_is_missed_is_not_shown_as_if_it_were_met() -> None:
    missed = at_most(1, "of plain", "CPU", 1.01, "all runs: 1.01 to 1.07")
    assert missed.measured == "1.01 of plain (all runs: 1.01 to 1.07)" and not missed.met
    assert at_most(600, "bytes", "a person", 600.3).measured == "600.3 bytes"
    assert at_most(600, "bytes", "a person", 592.1).measured == "592 bytes"
    assert at_most(15, "s", "ready", 3.14159).measured == "3.1 s"
    assert at_most(15, "s", "ready", float("inf")).measured == "inf s"


def test_what_was_counted_is_said_in_words() -> None:
    assert counts({200: 1240, 503: 2}) == "1,240 x 200, 2 x 503"
    assert counts({}) == ""
