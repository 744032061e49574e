"""docs/faults.md and docs/faults.json: what was done, promised and measured."""

import json
from collections.abc import Sequence
from typing import NamedTuple

from drill.figures import Fault, Figures
from presence_server.resources import ROOT
from testing.machine import machine
from testing.redis_server import redis_version

PAGE = ROOT / "docs" / "faults.md"
DATA = ROOT / "docs" / "faults.json"
_BEGIN, _END = "<!-- make drill writes from here -->", "<!-- to here -->"


class Result(NamedTuple):
    """A fault and the worst of what was measured under it, in all runs."""

    fault: Fault
    figures: Figures


def about() -> dict[str, str]:
    """The machine. Not the day: figures are as good as the program that made them."""
    known = {name: str(value) for name, value in machine().items() if name != "when"}
    return known | {"redis": redis_version()}


def write(results: Sequence[Result], runs: int, slack: float = 1) -> None:
    before, _, rest = PAGE.read_text().partition(_BEGIN)
    text = document(results, runs, slack)
    PAGE.write_text(f"{before}{_BEGIN}\n\n{text}\n\n{_END}{rest.partition(_END)[2]}")
    DATA.write_text(json.dumps(data(results, runs), indent=1, ensure_ascii=False) + "\n")


def document(results: Sequence[Result], runs: int, slack: float = 1) -> str:
    broken = [result.fault.name for result in results if result.figures.broken]
    verdict = f"broken under {', '.join(broken)}" if broken else "every promise was kept"
    machine_words = ", ".join(f"{name} {value}" for name, value in about().items())
    lines = [
        f"{_counted(runs, 'run')} in a row, {_counted(len(results), 'fault')} each: **{verdict}**."
        f" False offlines: {worst(results, 'false offlines'):g}."
        f" Shown longer than promised: {worst(results, 'ghosts'):g} s."
        " The figures are the worst of all runs.",
        "",
        f"Machine: {machine_words}.{_busy(slack)}",
        "",
        "| fault | what was done | what was promised | what was measured | |",
        "|---|---|---|---|---|",
    ]
    for fault, figures in results:
        verdict = f"**BROKEN**: {'; '.join(_in_short(figures))}" if figures.broken else "kept"
        cells = [fault.name, fault.done, fault.promised, str(figures), verdict]
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return "\n".join(lines)


def data(results: Sequence[Result], runs: int) -> dict[str, object]:
    return {
        "machine": about(),
        "runs": runs,
        "kept": not any(result.figures.broken for result in results),
        "false offlines": worst(results, "false offlines"),
        "shown longer than promised, seconds": worst(results, "ghosts"),
        "faults": [
            {
                "name": fault.name,
                "done": fault.done,
                "promised": fault.promised,
                "measured": {name: str(value) for name, value in figures.values.items()},
                "broken": _in_short(figures),
            }
            for fault, figures in results
        ],
    }


def worst(results: Sequence[Result], name: str) -> float:
    """The greatest figure of a name under any fault."""
    values = [r.figures.values[name].most for r in results if name in r.figures.values]
    return max(values, default=0.0)


def _in_short(figures: Figures) -> list[str]:
    # What follows is a server's log, for who watches the drill.
    return [broken.partition("\n")[0] for broken in figures.broken]


def _busy(slack: float) -> str:
    if slack == 1:
        return ""
    return (
        f" It had other work to do: `--slack {slack:g}` gave the server so many times as long for"
        " what it does by itself, but not for whom it shows."
    )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
