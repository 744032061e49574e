"""The figures that texts repeat, each under a name and from the files that the runs wrote.

Where a text says `<!-- figure NAME -->what<!-- end -->`, the run writes what was measured.
"""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.servers import ROOT
from testing.machine import processors
from presence_server import __version__

README = ROOT / "README.md"
COMPARISON = ROOT / "docs" / "comparison.json"
BENCHMARKS = ROOT / "docs" / "benchmarks.json"
NOT_MEASURED = "not measured"

# What `make bench` promises of 10,000 observers and 100 changes a second, and of GET / with 100,000
# accounts: the README has the same budgets.
CROWD_P99 = 800  # milliseconds
CROWD_MEMORY = 16  # KiB a connection
CROWD_CONNECTS = 12  # seconds, so many under way at a time
CROWD_CONNECTS_AT_ONCE = 20  # seconds, all of them, and they know nothing yet
PAGE_MEDIAN = 15  # milliseconds
PAGE_SIZE = 80  # KB

_MARK = re.compile(r"(<!-- figure (\S+) -->)(.*?)(<!-- end -->)", re.S)


def put_between(page: Path, who: str, text: str) -> None:
    """Replace what stands between the marks of one run."""
    begin, end = f"<!-- {who} writes from here -->", "<!-- to here -->"
    before, found, rest = page.read_text().partition(begin)
    if not found:
        raise ValueError(f"{page.name} has no mark of {who}.")
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{rest.partition(end)[2]}")


def known() -> dict[str, str]:
    """Every figure by its name, in the words of a text."""
    content = json.loads(COMPARISON.read_text())
    content["bench"] = json.loads(BENCHMARKS.read_text())
    return {name: in_words(name, content) for name in _FIGURES}


def in_words(name: str, content: Any) -> str:
    try:
        return _FIGURES[name](content)
    except (LookupError, TypeError, ValueError, ZeroDivisionError):
        return NOT_MEASURED  # a part of the run is missing, or found nothing


def filled(text: str) -> str:
    """With the newest figures; a name that nobody knows is an error."""
    figures = known()
    return _MARK.sub(lambda mark: f"{mark[1]}{figures[mark[2]]}{mark[4]}", text)


def fill_in() -> None:
    README.write_text(filled(README.read_text()))


def _cell(content: Any, server: str, observers: int, changes: float) -> Any:
    for cell in content["cells"]:
        if (cell["server"], cell["observers"], cell["changes"]) == (server, observers, changes):
            if cell["trouble"] is None:
                return cell["result"]
    raise LookupError


def _limit(content: Any, observers: int, changes: float) -> float:
    for limit in content["limits"]:
        if (limit["observers"], limit["changes"]) == (observers, changes):
            return float(limit["cpu_seconds"] / limit["deliveries"] * 1e6)
    raise LookupError


def _to(other: str) -> Callable[[Any], str]:
    """Our cost of a delivery beside another's, 2,000 observers and 100 changes a second."""

    def ratio(content: Any) -> str:
        ours = _cell(content, "ours", 2000, 100)["cpu_per_delivery_us"]
        theirs = _cell(content, other, 2000, 100)["cpu_per_delivery_us"]
        return f"{theirs / ours:.0f} times"

    return ratio


def _to_limit(content: Any) -> str:
    ours = _cell(content, "ours-alone", 10_000, 100)["cpu_per_delivery_us"]
    return f"{ours / _limit(content, 10_000, 100):.1f} times"


def _page(content: Any) -> str:
    most = max(content["accounts"], key=lambda point: int(point["accounts"]))
    missed = "" if most["median_ms"] <= PAGE_MEDIAN else ", **missed**"
    return f"{most['median_ms']:.0f} ms with {most['accounts']:,} accounts{missed}"


def _of_crowd(
    form: Callable[[Any], str], promised: Callable[[Any], bool] = lambda result: True
) -> Callable[[Any], str]:
    """Of 10,000 observers and 100 changes a second, with Redis."""

    def words(content: Any) -> str:
        result = _cell(content, "ours", 10_000, 100)
        return form(result) + ("" if promised(result) else ", **missed**")

    return words


def _memory(content: Any) -> str:
    """Of 10,000 observers, with Redis and without."""
    with_redis = _cell(content, "ours", 10_000, 100)["kib_per_connection"]
    alone = _cell(content, "ours-alone", 10_000, 100)["kib_per_connection"]
    least, most = sorted((with_redis, alone))
    missed = "" if most <= CROWD_MEMORY else ", **missed**"
    return f"{least:.0f} to {most:.0f} KiB{missed}"


def _room_memory(content: Any) -> str:
    """Of 2,000 in an app's room."""
    each = _cell(content, "ours-room", 2000, 100)["kib_per_connection"]
    return f"{each:.0f} KiB" + ("" if each <= CROWD_MEMORY else ", over the budget")


def _at_once(content: Any) -> str:
    """Of `make bench`: how many of 10,000 were connected, in how many seconds."""
    (verdict,) = (v for v in content["bench"]["verdicts"] if "come at once who" in v["what"])
    measured = str(verdict["measured"]).partition(" (")[0]
    return measured + ("" if verdict["met"] else ", **missed**")


def _run(content: Any) -> str:
    """When, where, and of what."""
    machine, bench = content["machine"], content["bench"]["machine"]
    same = machine.get("version") == bench.get("version") == __version__
    code = __version__ if same else "an earlier version"
    when = " and ".join(sorted({machine["when"], bench["when"]}))
    return f"{code}, {when}, {processors(machine)}"


_FIGURES: dict[str, Callable[[Any], str]] = {
    "crowd-p50": _of_crowd(lambda r: f"{r['p50_ms']:,.0f} ms"),
    "crowd-p99": _of_crowd(
        lambda r: f"{r['p99_ms']:,.0f} ms", lambda r: r["p99_ms"] <= CROWD_P99
    ),
    "crowd-max": _of_crowd(lambda r: f"{r['max_ms']:,.0f} ms"),
    "crowd-lost": _of_crowd(
        lambda r: f"{r['lost']:,} of {r['expected']:,}", lambda r: not r["lost"]
    ),
    "crowd-cpu": _of_crowd(
        lambda r: f"{100 * r['cpu_share']:.0f} % of a core", lambda r: r["cpu_share"] < 1
    ),
    "crowd-cost": _of_crowd(lambda r: f"{r['cpu_per_delivery_us']:.2f} µs"),
    "crowd-memory": _memory,
    "crowd-at-once": _at_once,
    "room-memory": _room_memory,
    "crowd-connect": _of_crowd(
        lambda r: f"{r['connect_seconds']:.1f} s", lambda r: r["connect_seconds"] <= CROWD_CONNECTS
    ),
    "cost-plain": _to("plain"),
    "cost-ws": _to("ws"),
    "cost-limit": _to_limit,
    "page": _page,
    "run": _run,
}


if __name__ == "__main__":
    for _name, _text in known().items():
        sys.stdout.write(f"{_name}: {_text}\n")
