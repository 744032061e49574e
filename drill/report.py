"""docs/faults.md and docs/faults.json: what was done, promised and measured, and when (UTC).

A run writes down what it did and leaves the other lines as they are, each with its time.
"""

import fcntl
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from drill.figures import Fault, Figures, Measured
from presence_server.resources import ROOT
from testing.machine import in_words, machine
from testing.redis_server import redis_version

PAGE = ROOT / "docs" / "faults.md"
DATA = ROOT / "docs" / "faults.json"
_BEGIN, _END = "<!-- make drill writes from here -->", "<!-- to here -->"

# A fault in the data: its name, done, promised, measured, broken, runs, slack, when.
Line = dict[str, Any]


class Result(NamedTuple):
    """A fault and the worst of what was measured under it, in all runs."""

    fault: Fault
    figures: Figures


def about() -> dict[str, str]:
    """The machine. Not the time: each line has its own."""
    known = {name: str(value) for name, value in machine().items() if name != "when"}
    return known | {"redis": redis_version()}


def write(all_faults: Sequence[Fault], results: Sequence[Result], runs: int, slack: float) -> None:
    """Put what was measured in its place among all faults; random ones come behind."""
    with DATA.open("r+") as file:
        # Several drills may run at a time.
        fcntl.flock(file, fcntl.LOCK_EX)
        known = {line["name"]: line for line in json.load(file)["faults"]}
        known |= {result.fault.name: _line(result, runs, slack) for result in results}
        lines = [known.pop(fault.name, None) or _unmeasured(fault) for fault in all_faults]
        lines += sorted((line for line in known.values() if _is_random(line)), key=_order)
        file.seek(0)
        content = {"machine": about(), "faults": lines}
        json.dump(content, file, indent=1, ensure_ascii=False)
        file.write("\n")
        file.truncate()
        before, _, rest = PAGE.read_text().partition(_BEGIN)
        text = document(content)
        PAGE.write_text(f"{before}{_BEGIN}\n\n{text}\n\n{_END}{rest.partition(_END)[2]}")


def document(content: Mapping[str, Any]) -> str:
    """The page's part, from what is kept of all runs."""
    lines = content["faults"]
    measured = [line for line in lines if line["when"]]
    broken = [line["name"] for line in measured if line["broken"]]
    verdict = f"broken under {', '.join(broken)}" if broken else "every promise was kept"
    words = [
        f"{len(measured)} faults, the random ones counted one by one: **{verdict}**.",
        f"False offlines: {_worst(measured, 'false offlines'):g}.",
        f"Shown longer than promised: {_worst(measured, 'ghosts'):.1f} s.",
        "Of several runs a line has the worst figures.",
    ]
    if missing := [line["name"] for line in lines if not line["when"]]:
        words.append(f"Not measured: {', '.join(missing)}.")
    text = [
        " ".join(words),
        "",
        f"Machine: {in_words(content['machine'])}.",
        "",
        "| fault | what was done | what was promised | what was measured | when | |",
        "|---|---|---|---|---|---|",
    ]
    for cells in _rows(lines):
        text.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return "\n".join(text)


def _rows(lines: Iterable[Line]) -> Iterator[list[str]]:
    for is_random, some in groupby(lines, key=_is_random):
        if not is_random:
            yield from (_row(line) for line in some)
            continue
        for _, alike in groupby(some, key=lambda line: line["name"].partition("/")[0]):
            yield _row_of_random(list(alike))


def _row(line: Line) -> list[str]:
    if not line["when"]:
        return [line["name"], line["done"], line["promised"], "", "", "not measured"]
    runs = f", {line['runs']} runs" if line["runs"] > 1 else ""
    busy = f", slack {line['slack']:g}" if line["slack"] != 1 else ""
    verdict = f"**BROKEN**: {'; '.join(line['broken'])}" if line["broken"] else "kept"
    measured = _measured_words(line["measured"])
    when = f"{line['when']}{runs}{busy}"
    return [line["name"], line["done"], line["promised"], measured, when, verdict]


def _row_of_random(lines: list[Line]) -> list[str]:
    """All of one kind: the worst of each figure, and which were broken."""
    worst = Figures()
    for line in lines:
        figures = {name: Measured(*value) for name, value in line["measured"].items()}
        worst.add(Figures(values=figures))
    kind, count = lines[0]["name"].partition("/")[0], len(lines)
    seeds = [_order(line)[1] for line in lines]
    broken = [line["name"] for line in lines if line["broken"]]
    times = sorted({line["when"] for line in lines})
    return [
        f"{kind}/{min(seeds)} to {kind}/{max(seeds)}",
        f"{count} times faults at once, drawn by these seeds",
        lines[0]["promised"],
        str(worst),
        " to ".join(dict.fromkeys([times[0], times[-1]])),
        f"**BROKEN**: {len(broken)} of {count}: {', '.join(broken)}" if broken else "kept",
    ]


def _line(result: Result, runs: int, slack: float) -> Line:
    fault, figures = result
    return {
        "name": fault.name,
        "done": fault.done,
        "promised": fault.promised,
        "measured": figures.values,
        "broken": _in_short(figures),
        "runs": runs,
        "slack": slack,
        "when": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
    }


def _unmeasured(fault: Fault) -> Line:
    return {
        "name": fault.name,
        "done": fault.done,
        "promised": fault.promised,
        "measured": {},
        "broken": [],
        "runs": 0,
        "slack": 1,
        "when": "",
    }


def _measured_words(measured: dict[str, Any]) -> str:
    return str(Figures(values={name: Measured(*value) for name, value in measured.items()}))


def _is_random(line: Line) -> bool:
    return "/" in line["name"]


def _order(line: Line) -> tuple[str, int]:
    kind, _, seed = line["name"].partition("/")
    return kind, int(seed)


def _worst(lines: Iterable[Line], name: str) -> float:
    """The greatest figure of a name under any fault."""
    return max((line["measured"][name][1] for line in lines if name in line["measured"]), default=0)


def _in_short(figures: Figures) -> list[str]:
    # What follows is a history, or a server's log, for who watches the drill.
    return [broken.partition("\n")[0][:200] for broken in figures.broken]
