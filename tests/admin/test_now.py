"""The page of how things are, and what it tells to do."""

import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from presence_server.keys import PULSE
from presence_server.nodes import pulse
from presence_server.nodes.pulse import Counts, Measured, Pulse, Sample, Vitals, advice
from presence_server.storage.database import Database, Transaction
from presence_server.web.admin.now import curve
from testing.redis_server import RedisServer
from tests.admin.conftest import Administrator
from tests.conftest import Serve, Visit

WELL = Vitals("n", 7, False, 1000, (50, 100), None, (Sample(10, 0.5, 0.01, 0.001, 0.002),) * 20)


def with_sample(**changed: float) -> Vitals:
    last = Sample(**{**WELL.last._asdict(), **changed})
    return replace(WELL, samples=(*WELL.samples, last))


@pytest.fixture
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """However late a process is on a machine that has other tests to run."""
    monkeypatch.setattr("presence_server.web.admin.now.advice", lambda vitals: [])


@pytest.mark.parametrize(
    ("vitals", "words"),
    [
        (WELL, None),
        (replace(WELL, samples=()), None),
        (replace(WELL, disk=None), None),
        (replace(WELL, degraded=True), "check that Redis is running"),
        (replace(WELL, trouble="The database x is full."), "x is full. Until this is fixed"),
        (replace(WELL, disk=(9_000_000_000, 100_000_000_000)), "with 9.0 GB left"),
        (with_sample(sockets=901), "Process 7 has 901 open pages and can hold 1,000"),
        (with_sample(lag=0.6), "late by up to 0.6 s"),
        (with_sample(delay=1.5), "late by up to 1.5 s"),
        (with_sample(database=0.7), "took up to 0.7 s to answer process 7"),
        # It is over, for more than a minute.
        (replace(WELL, samples=(WELL.last._replace(lag=9.0), *WELL.samples)), None),
    ],
)
def test_what_is_wrong_is_a_sentence_to_act_on(vitals: Vitals, words: str | None) -> None:
    said = advice([vitals, vitals])
    if words is None:
        assert said == []
    else:
        (sentence,) = said
        assert words in sentence


def test_a_curve_ends_at_the_right_edge_and_stays_in_its_picture() -> None:
    assert curve([], 1) == ""
    assert curve([0, 1, 2], 1) == "115.9,27.0 118.0,14.0 120.0,1.0"
    points = [tuple(map(float, point.split(","))) for point in curve(range(60), 1).split()]
    assert points[0][0] == 0 and all(0 <= x <= 120 and 0 < y < 28 for x, y in points)


@pytest.mark.usefixtures("calm")
async def test_every_process_shows_all(
    serve: Serve, visit: Visit, administrator: Administrator, redis_server: RedisServer
) -> None:
    servers = [await serve(redis_url=redis_server.url) for _ in range(2)]
    alice, bob = await administrator(servers[0]), await visit(servers[1], "bob")
    async with alice.live() as socket, bob.live():
        await socket.sees("bob", "online")
        for server in servers:
            server.app[PULSE].measure()
            await server.app[PULSE]._write()
        page = (await alice.get("/admin/")).text
    assert "All is well." in page
    assert re.findall(r"<dt>(People here|Open pages)</dt><dd>(\d+)", page)[:2] == [
        ("People here", "2"),
        ("Open pages", "2"),
    ]
    assert page.count("Changes a second in the last 5 minutes") == 2
    # And one that says nothing any more is not shown.
    silent = pulse._SILENT_FOR
    try:
        pulse._SILENT_FOR = -1
        assert (await alice.get("/admin/")).text.count("Changes a second in the last") == 1
    finally:
        pulse._SILENT_FOR = silent


def pulse_of(db: Database, node: str, counts: Callable[[], Counts]) -> Pulse:
    return Pulse(db, node, counts, Measured(), 1000, None, alone=False)


async def test_changes_a_second_are_those_of_the_time_that_it_took(db: Database) -> None:
    counted = iter([100, 160])
    one = pulse_of(db, "one", lambda: Counts(0, next(counted), False))
    for _ in range(2):
        one._measured_at = time.monotonic() - 4 * pulse.EVERY
        one.measure()
    assert [sample.changes for sample in one._samples] == pytest.approx([5, 3], rel=0.2)


@pytest.mark.both_databases
async def test_who_spoke_before_the_clock_was_set_back_does_not_live_until_it_has_caught_up(
    db: Database,
) -> None:
    one, two = [pulse_of(db, node, lambda: Counts(0, 0, False)) for node in ("one", "two")]
    await two._write()
    assert [vitals.node for vitals in await one.all()] == ["one", "two"]

    async def set_back(transaction: Transaction) -> None:
        await transaction.execute("UPDATE pulses SET said_at = said_at + 1800000")

    await db.write(set_back)
    assert [vitals.node for vitals in await one.all()] == ["one"]
    await two._write()
    assert [vitals.node for vitals in await one.all()] == ["one", "two"]


@pytest.mark.usefixtures("calm")
async def test_a_single_process_writes_nothing_for_it(
    serve: Serve, administrator: Administrator, tmp_path: Path
) -> None:
    server = await serve()
    alice = await administrator(server)
    assert "Figures follow in a few seconds" in (await alice.get("/admin/")).text
    server.app[PULSE].measure()
    page = (await alice.get("/admin/")).text
    assert "Free on disk" in page and "All is well." in page
    assert server.app[PULSE].alone
