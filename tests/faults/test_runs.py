"""What a drill found is told, also a broken promise, and nothing of it outlives it."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from shutil import copy

import psutil  # type: ignore[import-untyped]  # it has no types
import pytest

from drill import report, runs
from drill.figures import Fault, Figures
from presence_server.resources import ROOT
from testing.processes import STARTED_WITHIN
from testing.waiting import until

# Until two of what should run beside each other have met.
WITHIN = 10


def fault(name: str, run: Callable[[Figures], Awaitable[None]], *, alone: bool = False) -> Fault:
    return Fault(name, f"does {name}", "nothing", run, WITHIN, alone)


async def nothing(figures: Figures) -> None:
    figures.note("false offlines", 0, "")


async def test_named_ones_run_each_time_and_drawn_ones_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PAGE", "DATA"):
        monkeypatch.setattr(report, name, Path(copy(getattr(report, name), tmp_path)))
    report.DATA.write_text('{"faults": []}')
    measured = iter([0.5, 2.0, 1.0])

    async def slower(figures: Figures) -> None:
        figures.at_most("right again after", next(measured), 1.5)

    named = [fault("T1", slower), fault("T2", nothing, alone=True)]
    drawn = [fault(f"F27/{seed}", nothing) for seed in (1, 2)]
    assert await runs.several(named, drawn, times=3, beside=3, into=named) == 1

    lines = {line["name"]: line for line in json.loads(report.DATA.read_text())["faults"]}
    assert {name: line["runs"] for name, line in lines.items()} == {
        **{"T1": 3, "T2": 3},
        **{"F27/1": 1, "F27/2": 1},
    }
    assert lines["T1"]["measured"]["right again after"][:2] == [0.5, 2.0]
    assert lines["T1"]["broken"] == ["right again after: 2.00 s, at most 1.5 s was promised"]
    assert "| F27/1 to F27/2 | 2 times faults at once" in report.PAGE.read_text()


@pytest.mark.drill
@pytest.mark.slow
@pytest.mark.timeout(150)
async def test_nothing_that_was_started_outlives_a_drill_that_is_ended(tmp_path: Path) -> None:
    drill = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "drill", "T2", "T17", "--beside", "2"),
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=PIPE,
    )
    process, started = psutil.Process(drill.pid), set[psutil.Process]()
    try:
        # Two sites, each with a Redis: a server is only starting.
        await until(lambda: len(process.children(recursive=True)) >= 3, STARTED_WITHIN)
        started |= set(process.children(recursive=True))
        for number in (signal.SIGTERM, signal.SIGINT):
            drill.send_signal(number)
        async with asyncio.timeout(STARTED_WITHIN):
            said, _ = await drill.communicate()
        assert drill.returncode == 128 + signal.SIGTERM
        assert said.decode().endswith("Ended by SIGTERM; nothing was written.\n")
        assert not [each for each in started if each.is_running()]
        assert not list(tmp_path.glob("*"))
    finally:
        for each in (process, *started):
            with suppress(psutil.NoSuchProcess):
                each.kill()
        await drill.wait()
