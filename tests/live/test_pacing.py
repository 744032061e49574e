"""How flushes follow each other, in virtual time."""

import pytest

from presence_server.live.pacing import Budget


def flushes(cost: float, changes: float, seconds: float) -> list[float]:
    """When flushes of that cost begin, while so many changes a second come for so many seconds."""
    now, began, told = 0.0, [], -1
    budget = Budget(now)
    while now < seconds:
        # At once if something has changed since the last flush began, else with the next change.
        told = max(told + 1, int(now * changes))
        now = max(now, told / changes)
        began.append(now)
        now += cost
        budget.spend(cost, now)
        now += budget.wait(now)
    return began


def test_few_changes_are_told_as_they_happen() -> None:
    # To a thousand observers at 5 µs, and to two thousand.
    assert len(flushes(cost=0.005, changes=8, seconds=10)) == pytest.approx(80, abs=2)
    assert len(flushes(cost=0.01, changes=8, seconds=10)) == pytest.approx(80, abs=2)


def test_many_changes_are_told_to_few_as_they_happen() -> None:
    assert len(flushes(cost=0.001, changes=100, seconds=10)) == pytest.approx(1000, abs=20)


@pytest.mark.parametrize("cost", [0.0001, 0.001, 0.01, 0.05, 0.5, 3.0])
def test_whatever_a_flush_costs_half_of_the_time_is_left_to_others(cost: float) -> None:
    seconds = max(20.0, 40 * cost)
    spent = cost * len(flushes(cost, changes=1e6, seconds=seconds))
    assert spent < 0.52 * seconds


def test_what_is_costly_is_told_less_often() -> None:
    shares = [cost * len(flushes(cost, 1e6, seconds=60)) / 60 for cost in (0.005, 0.01, 0.05, 1)]
    assert shares == pytest.approx([0.33, 0.2, 0.14, 0.14], abs=0.02)


def test_an_idle_time_does_not_save_up_a_long_burst() -> None:
    budget = Budget(0.0)
    assert budget.wait(3600.0) == 0
    budget.spend(0.1, 3600.0)
    assert budget.wait(3600.0) == pytest.approx(0.5)
