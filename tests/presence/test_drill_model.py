"""The drill's random pairs and triples of faults, in virtual time.

    make model RUNS=500 SEED=7 ARGS='-k drill_model'
"""

import pytest

from drill.faults.pairs import drawn
from tests.presence.runs import model_seeds, unbounded
from tests.presence.virtual_site import VirtualSite

# How much slower than on an idle machine servers start, so that other things coincide.
_SLOWNESS = (0.6, 1.0, 2.0, 3.0)


def suffer(name: str, nodes: str, seed: int) -> None:
    blows, skew = drawn(name, seed, nodes)
    slowness = _SLOWNESS[seed % len(_SLOWNESS)]
    site = VirtualSite(len(nodes) + 1, f"{name}/{seed}", skew=skew, slowness=slowness)
    site.suffer(blows)
    wrong = [f"falsely offline: {each}" for each in site.evidence.false_offlines()]
    wrong += [f"{seconds:.2f} s too long: {each}" for each, seconds in site.evidence.ghosts()]
    words = " and ".join(f"{blow} from {blow.begin} s" for blow in blows)
    assert not wrong, f"{name}/{seed}: {words}: {wrong[:5]}"


@unbounded
def test_pairs_of_faults() -> None:
    for seed in model_seeds(fast=8):
        suffer("F27", "bc", seed)


def test_nobody_gives_way_to_a_line_of_which_others_may_not_have_read() -> None:
    suffer("F28", "bcd", 1127)


@unbounded
@pytest.mark.parametrize("part", range(2))
def test_triples_of_faults(part: int) -> None:
    for seed in model_seeds(fast=24)[part::2]:
        suffer("F28", "bcd", seed)
