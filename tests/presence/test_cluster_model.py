"""Three servers and all that can happen to them at once, checked at every twentieth of a second.

    make model RUNS=5000 SEED=7

Runs are numbered by their seeds: `make test` plays the same few, `make model` many new ones.
"""

import pytest

from tests.presence.cluster_model import draw, failure, play, shrink
from tests.presence.found_runs import FOUND
from tests.presence.runs import SEED, model_seeds, unbounded


@unbounded
@pytest.mark.parametrize("part", range(4))
def test_cluster_model(part: int) -> None:
    for seed in model_seeds(fast=160)[part::4]:
        run = draw(seed)
        if failure(run):
            shorter = shrink(run)
            pytest.fail(f"run {seed}: {failure(shorter)}\n{shorter}", pytrace=False)


@pytest.mark.parametrize("name", FOUND)
def test_what_once_did_not_hold(name: str) -> None:
    play(FOUND[name])


def test_a_run_is_the_same_again() -> None:
    assert draw(SEED) == draw(SEED) != draw(SEED + 1)


def test_cursors_are_mostly_good_at_other_nodes() -> None:
    """Or the observer who travels in the model would prove nothing."""
    resumed = sum(play(draw(seed)).traveller.resumed for seed in range(20))
    assert resumed >= 5
