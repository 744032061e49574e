"""That `make soak` finds what it looks for, and nothing where there is nothing."""

import random

import pytest

from benchmarks import soak

MIB = 2**20
BEFORE = {"tasks": 19.0, "timers": 10.0, "descriptors": 17.0, "sockets": 0.0}


def judge(each_hour: float, **after: float) -> list[str]:
    """The faults of an hour in which the memory grew by so many bytes, noise apart."""
    noise = random.Random(1)
    samples = [
        (float(second), int(80 * MIB + each_hour * second / 3600 + noise.gauss(0, MIB / 2)))
        for second in range(0, 3600, 5)
    ]
    server = soak.Watched.__new__(soak.Watched)
    server.memory, server.before, server.after = samples, BEFORE, {**BEFORE, **after}
    return soak.faults(server, warm_up=900)


def test_what_stays_the_same_is_steady() -> None:
    assert judge(0) == []
    assert judge(-20 * MIB, tasks=18, timers=12) == []


@pytest.mark.parametrize("name", ["tasks", "timers", "descriptors", "sockets"])
def test_what_is_left_behind_is_found(name: str) -> None:
    (fault,) = judge(0, **{name: BEFORE[name] + 30})
    assert name in fault


def test_memory_that_grows_is_found() -> None:
    # A hundred bytes for each of the 70,000 sockets of an hour.
    (fault,) = judge(7 * MIB)
    assert "memory grew by 5." in fault


@pytest.mark.slow
def test_a_short_soak(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """That it runs; what it measures in seconds is nothing to judge by."""
    monkeypatch.setattr(soak, "FIRST", 1.0)
    monkeypatch.setattr(soak, "IDLE", 1.5)
    monkeypatch.setattr(soak, "SETTLED_WITHIN", 20.0)
    soak.soak(0.05)
    told = capsys.readouterr().out
    assert "sockets 0 -> 0" in told and "lost" not in told
