"""The faults of the drill that are quick enough for every change. `make drill` does them all."""

import pytest

from drill.faults import FAULTS
from drill.figures import Fault

QUICK = ("F1", "F3", "F7a", "F9", "F11", "F13", "R8", "R12", "R13", "R14")


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.parametrize(
    "fault", [fault for fault in FAULTS if fault.name in QUICK], ids=lambda fault: fault.name
)
async def test_every_promise_is_kept(fault: Fault) -> None:
    # A machine that runs tests has other work to do.
    figures = await fault.measure(slack=3)
    assert not figures.broken, figures
