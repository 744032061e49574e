"""How flushes follow each other, in virtual time."""

import bisect
import random

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


def delays(cost: float, changes: float, seconds: float) -> list[float]:
    """How late changes are told that come at random, the least first."""
    now, arrival, late = 0.0, 0.0, []
    budget, chance = Budget(now), random.Random(1)
    arrivals = []
    while arrival < seconds:
        arrival += chance.expovariate(changes)
        arrivals.append(arrival)
    first = 0
    while first < len(arrivals):
        now = max(now, arrivals[first])
        last = bisect.bisect_right(arrivals, now)
        now += cost
        late += [now - at for at in arrivals[first:last]]
        first = last
        budget.spend(cost, now)
        now += budget.wait(now)
    return sorted(late)


def test_few_changes_are_told_as_they_happen() -> None:
    # To a thousand observers at 5 µs, and to two thousand.
    assert len(flushes(cost=0.005, changes=8, seconds=10)) == pytest.approx(80, abs=2)
    assert len(flushes(cost=0.01, changes=8, seconds=10)) == pytest.approx(80, abs=2)


def test_many_changes_are_told_to_few_as_they_happen() -> None:
    assert len(flushes(cost=0.001, changes=100, seconds=10)) == pytest.approx(1000, abs=20)


# At 8 µs a write, and at 20 µs, as on machines that do other work or are slow with the network.
@pytest.mark.parametrize("cost", [0.016, 0.04])
def test_changes_that_come_at_random_are_told_to_two_thousand_as_they_happen(cost: float) -> None:
    late = delays(cost, changes=8, seconds=600)
    # Whoever writes to each at once takes as long for two that come at the same time.
    assert late[len(late) * 99 // 100] < 3 * cost


@pytest.mark.parametrize("cost", [0.01, 0.016, 0.04])
def test_a_hundred_changes_a_second_are_told_to_two_thousand_in_time(cost: float) -> None:
    late = delays(cost, changes=100, seconds=60)
    # What comes just after one began is told to the last by the end of the next.
    assert late[len(late) * 99 // 100] < 0.1 + cost + 0.005


@pytest.mark.parametrize("cost", [0.0001, 0.001, 0.01, 0.05, 0.5, 3.0])
def test_whatever_a_flush_costs_half_of_the_time_is_left_to_others(cost: float) -> None:
    seconds = max(20.0, 40 * cost)
    spent = cost * len(flushes(cost, changes=1e6, seconds=seconds))
    # Besides the credit of a second, which is spent once, and what the last takes after the end.
    assert spent < 0.51 * (seconds + 1) + cost


def test_what_is_costly_is_told_less_often() -> None:
    # A thousand take 5 to 10 ms, and whoever writes to each at once is still in time with them.
    intervals = {0.003: 0.006, 0.005: 0.01, 0.006: 0.013, 0.008: 0.021}
    intervals |= {0.01: 0.03, 0.013: 0.05, 0.016: 0.1, 0.02: 0.1, 0.04: 0.1}
    for cost, every in intervals.items():
        began = flushes(cost, changes=1e6, seconds=20)
        assert began[-1] - began[-2] == pytest.approx(every, abs=0.002)


@pytest.mark.parametrize("cost", [0.08, 0.1, 0.2])
def test_to_very_many_changes_are_told_a_few_times_a_second(cost: float) -> None:
    # To ten thousand it takes some 80 ms.
    began = flushes(cost, changes=100, seconds=60)
    assert began[-1] - began[-2] == pytest.approx(cost + 0.3, abs=0.02)


def test_an_idle_time_does_not_save_up_a_long_burst() -> None:
    budget = Budget(0.0)
    assert budget.wait(3600.0) == 0
    for ended in (3600.0, 3600.5, 3601.0):
        budget.spend(0.5, ended)
    assert budget.wait(3601.0) == pytest.approx(0.5)
