"""How flushes follow each other, in virtual time."""

import pytest

from presence_server.live.pacing import Budget


def flushes(cost: float, changes: float, seconds: float) -> list[float]:
    """When flushes of that cost begin, while so many changes a second come for so many seconds."""
    now, began, due = 0.0, [], 0.0
    budget = Budget(now)
    while now < seconds:
        now = max(now, due)
        began.append(now)
        # The next change after this flush began.
        due = (int(now * changes) + 1) / changes
        now += cost
        budget.spend(cost, now)
        now += budget.wait(now)
    return began


def test_few_changes_are_told_as_they_happen() -> None:
    # Eight changes a second, to a thousand observers at 5 µs.
    assert len(flushes(cost=0.005, changes=8, seconds=10)) == pytest.approx(80, abs=2)


@pytest.mark.parametrize("cost", [0.01, 0.05, 0.5, 3.0])
def test_whatever_a_flush_costs_most_of_the_time_is_left_to_others(cost: float) -> None:
    seconds = max(20.0, 40 * cost)
    spent = cost * len(flushes(cost, changes=1000, seconds=seconds))
    assert spent < 0.25 * seconds


def test_after_a_costly_flush_others_have_the_time_before_the_next() -> None:
    first, second, *_ = flushes(cost=0.5, changes=1000, seconds=10)
    assert second - first >= 1.0


def test_an_idle_time_does_not_save_up_a_long_burst() -> None:
    budget = Budget(0.0)
    assert budget.wait(3600.0) == 0
    budget.spend(0.1, 3600.0)
    assert budget.wait(3600.0) > 0.2
