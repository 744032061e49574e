"""That the benchmarks measure what they say, on so few people that it is quick."""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.dialects import changes_in
from benchmarks.fanout import Load, Stage, measure, table
from benchmarks.hundred_thousand import Point, cheaper_from, document
from benchmarks.page_soak import growth, soak_page
from benchmarks.servers import SERVERS, redis_server
from benchmarks.sightings import Sightings, Visit, weigh


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


def test_losses_and_repetitions_are_counted() -> None:
    sightings = Sightings()
    come = b'{"username": "probe0", "is_logged_in": true}'
    gone = b'{"username": "probe0", "is_logged_in": false}'
    for number, payload, at in ((0, come, 10.1), (1, come, 10.2), (0, come, 10.3), (0, gone, 12.0)):
        sightings.note(number, payload, at)
    visits = [Visit("probe0", 10.0, 10.05, 11.0)]
    report = weigh(sightings, visits, observers=2, begin=9.0, end=11.0)
    assert (report.expected, report.lost, report.repeated, report.deliveries) == (4, 1, 1, 3)
    assert report.percentile(0.5) == pytest.approx(200, abs=0.2)


def test_changes_are_read_in_both_dialects() -> None:
    assert changes_in(b'{"username": "al", "is_logged_in": false}') == [("al", False)]
    assert changes_in(b'{"type": "changes", "online": {"al": 1}, "offline": {"bo": 2}}') == [
        ("al", True),
        ("bo", False),
    ]
    assert changes_in(b'{"type": "snapshot", "online": {"probe1": 1}}') == []


def test_from_how_many_on_watching_some_is_cheaper() -> None:
    some, everybody = Point(120, 50, 0.2, 900, 9, 20, 0), Point(120, 120, 0.3, 4_000, 9, 20, 0)
    text = document([], [some, everybody], 12)
    assert "| 120 | everybody | 0.30 | 4,000 |" in text and "| 120 | 50 | 0.20 | 900 |" in text
    assert cheaper_from([some, everybody]) == 120
    assert cheaper_from([some, replace(everybody, cores=0.1)]) is None


@pytest.mark.browser
def test_a_page_is_soaked_for_as_long_as_one_says(capsys: pytest.CaptureFixture[str]) -> None:
    began = time.monotonic()
    found = soak_page(0.05, loads=1)
    # How soon a newcomer sees somebody is not measured beside other tests.
    assert [fault for fault in found if "grew" in fault] == []
    assert time.monotonic() - began < 60
    assert "page: memory" in capsys.readouterr().out


def test_memory_that_grows_is_told_from_memory_that_swings() -> None:
    hour = [float(second) for second in range(0, 3600, 60)]
    assert growth([(second, 5_000_000 + int(1_000 * second)) for second in hour]) > 3_500_000
    swinging = [(second, 5_000_000 + 400_000 * (index % 2)) for index, second in enumerate(hour)]
    assert abs(growth(swinging)) < 100_000
