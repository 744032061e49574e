"""How long the models run: the same few runs in `make test`, or many new ones.

    make model RUNS=5000 SEED=7 ARGS=--hypothesis-seed=7

`make quick` and `make mutants` do a part of the few runs.

A run that fails is printed as the steps that led there, as few as are found, together with what
makes it run again.
"""

import os
import random

import pytest
from hypothesis import HealthCheck, settings

_RUNS = int(os.environ.get("MODEL_RUNS", "0"))
SEED = int(os.environ.get("MODEL_SEED") or (random.randrange(10**9) if _RUNS else 1))
_SHARE = float(os.environ.get("MODEL_SHARE", "1"))

unbounded = pytest.mark.timeout(0 if _RUNS else 240)


def model_seeds(fast: int) -> range:
    """The seeds of the runs that are played."""
    return range(SEED, SEED + (_RUNS or max(4, round(_SHARE * fast))))


def model_runs(fast: int) -> settings:
    return settings(
        max_examples=_RUNS or max(1, round(_SHARE * fast)),
        derandomize=not _RUNS,
        stateful_step_count=30,
        deadline=None,
        database=None,
        print_blob=True,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
