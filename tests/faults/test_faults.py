"""The faults of the drill that are quick enough for every change. `make drill` does them all."""

import re
from collections.abc import Sequence

import pytest

from drill import report
from drill.faults import FAULTS
from drill.faults.inside import TASKS
from drill.figures import Fault
from drill.site import DATABASES
from presence_server.resources import ROOT
from testing.postgresql_server import PostgresqlServer

QUICK = ("T7", "T4", "F7a", "T6b", "F11", "F13", "R8")
# Of these it is measured how long they work; the others mostly wait.
HARD = ("R12", "R13", "R14")
# With all accounts in PostgreSQL: `python -m drill --postgresql` does every one.
ON_POSTGRESQL = ("F11", "F13")

pytestmark = pytest.mark.timeout(300)


def named(names: Sequence[str]) -> pytest.MarkDecorator:
    faults = [fault for fault in FAULTS if fault.name in names]
    return pytest.mark.parametrize("fault", faults, ids=lambda fault: fault.name)


async def keeps_its_promises(fault: Fault) -> None:
    # A machine that runs tests has other work to do.
    figures = await fault.measure(slack=3)
    assert not figures.broken, figures


@pytest.mark.drill
@pytest.mark.slow
@named(QUICK)
async def test_every_promise_is_kept(fault: Fault) -> None:
    await keeps_its_promises(fault)


@pytest.mark.alone
@pytest.mark.slow
@named(HARD)
async def test_every_promise_is_kept_under_load(fault: Fault) -> None:
    await keeps_its_promises(fault)


@pytest.mark.drill
@pytest.mark.slow
@pytest.mark.parametrize("name", ON_POSTGRESQL)
async def test_every_promise_is_kept_on_postgresql(
    name: str, postgresql_server: PostgresqlServer
) -> None:
    (fault,) = [fault for fault in FAULTS if fault.name == name]
    DATABASES.set(lambda folder: postgresql_server.database())
    await keeps_its_promises(fault)


def test_every_background_task_is_made_to_fail() -> None:
    sources = [path.read_text() for path in (ROOT / "presence_server").rglob("*.py")]
    started = {name for text in sources for name in re.findall(r"""\.start\(\s*"([^"]+)",""", text)}
    assert started == set(TASKS)


def test_every_fault_has_its_line_in_the_docs() -> None:
    lines = re.findall(r"^\| ([FRT]\d+\w?) \|", report.PAGE.read_text(), re.MULTILINE)
    assert lines == [fault.name for fault in FAULTS]
