"""What `make compare` found, as the page, the pictures and the file of figures."""

import dataclasses
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks import beyond, figures
from benchmarks.bare import Limit
from benchmarks.drawing import Chart, Series, fit
from benchmarks.fanout import Result
from benchmarks.growth import Accounts, Nodes
from testing.machine import in_words, machine
from benchmarks.servers import ROOT

PAGE = ROOT / "docs" / "benchmarks.md"
RESULTS = ROOT / "docs" / "comparison.json"
PICTURES = ROOT / "docs" / "pictures"

NAMES = {
    "ours-alone": "**presence_server**, one process",
    "ours": "**presence_server** with Redis",
    "ours-room": "the same, an app's room with tokens",
    "ours-events": "the same room over Server-Sent Events",
    "plain": "plain aiohttp, Redis",
    "channels": "Django Channels, daphne, Redis",
    "channels-pubsub": "the same, pub/sub layer",
    "python-socketio": "python-socketio on aiohttp, Redis",
    "ws": "Node `ws`, Redis",
    "socket.io": "Socket.IO (Node), Redis",
}
_OURS = ("ours-alone", "ours", "ours-room", "ours-events")
# Beyond these a server no longer does its work.
_LOST_SHARE = 0.05
_P99_MS = 5000.0


@dataclass(frozen=True, slots=True)
class Cell:
    """One server under one load: what came of it, or why there is nothing."""

    server: str
    observers: int
    changes: float
    trouble: str | None = None
    result: Result | None = None
    # Whether it was not even tried.
    excused: bool = False

    @property
    def words(self) -> str:
        """What is said beside its figures."""
        if self.trouble:
            return self.trouble if self.excused else f"**broken down:** {self.trouble}"
        return _losses(self.result) if self.result else ""

    @classmethod
    def of(cls, result: Result) -> "Cell":
        return cls(
            result.server, result.observers, result.changes, trouble_in(result), result
        )

    def __str__(self) -> str:
        name = f"{self.server} {self.observers} x {self.changes:g}/s"
        if self.result is None:
            return f"{name}: {self.trouble}"
        values = ", ".join(f"{name} {text(self.result)}" for name, text, _ in COLUMNS)
        return f"{name}: {values}; {self.words}".removesuffix("; ")


@dataclass(slots=True)
class Comparison:
    cells: list[Cell] = field(default_factory=list)
    limits: list[Limit] = field(default_factory=list)
    accounts: list[Accounts] = field(default_factory=list)
    nodes: list[Nodes] = field(default_factory=list)
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    # Why a server could not be run here.
    absent: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    def result(self, server: str, observers: int, changes: float) -> Result | None:
        for cell in self.cells:
            if (cell.server, cell.observers, cell.changes) == (server, observers, changes):
                return None if cell.trouble else cell.result
        return None

    def ours(self) -> list[Result]:
        """Those of one process, as far as it held."""
        return [
            cell.result
            for cell in self.cells
            if cell.server == "ours-alone" and cell.result and not cell.trouble
        ]

    def limit(self, observers: int, changes: float) -> Limit | None:
        for limit in self.limits:
            if (limit.observers, limit.changes) == (observers, changes):
                return limit
        return None


def trouble_in(result: Result) -> str | None:
    """In which way it no longer does its work, if it does not."""
    if result.disconnected:
        return f"{result.disconnected:,} were cut off"
    if result.failures:
        what = ", ".join(f"{count} x {words}" for words, count in result.failures.items())
        return f"probes met: {what}"
    if not result.expected:
        return "no probe came in time"
    if result.lost > _LOST_SHARE * result.expected:
        return f"{100 * result.lost / result.expected:.0f} % of the deliveries lost"
    if result.p99_ms > _P99_MS:
        return f"p99 {result.p99_ms / 1000:.0f} s"
    return None


def _losses(result: Result) -> str:
    """What of its work it did not do, while it does most of it."""
    if not result.lost:
        return ""
    if result.lost % result.observers:
        return f"{result.lost:,} of {result.expected:,} deliveries never arrived"
    changes = result.expected // result.observers
    return f"{result.lost // result.observers:,} of {changes:,} changes never arrived"


def _milliseconds(value: float) -> str:
    return "never" if math.isinf(value) else f"{value:,.0f}"


# Each with the form of its cell, and the value of which less is better.
COLUMNS: Sequence[tuple[str, Callable[[Result], str], Callable[[Result], float]]] = (
    (
        "µs CPU a delivery",
        lambda r: f"{r.cpu_per_delivery_us:.2f}",
        lambda r: r.cpu_per_delivery_us,
    ),
    # Who falls behind spends less: no merit.
    ("CPU %", lambda r: f"{100 * r.cpu_share:.0f}", lambda r: 0),
    ("p50 ms", lambda r: _milliseconds(r.p50_ms), lambda r: r.p50_ms),
    ("p99 ms", lambda r: _milliseconds(r.p99_ms), lambda r: r.p99_ms),
    ("max ms", lambda r: _milliseconds(r.max_ms), lambda r: r.max_ms),
    ("lost", lambda r: f"{r.lost:,} of {r.expected:,}", lambda r: r.lost),
    ("KiB a connection", lambda r: f"{r.kib_per_connection:.0f}", lambda r: r.kib_per_connection),
    ("s until all are in", lambda r: f"{r.connect_seconds:.1f}", lambda r: r.connect_seconds),
    ("s until all know", lambda r: f"{r.rest_seconds:.1f}", lambda r: r.rest_seconds),
    ("client CPU %", lambda r: f"{100 * r.client_cpu_share:.0f}", lambda r: 0),
)


def document(content: Mapping[str, Any]) -> str:
    """The page's part, from what is kept of a run."""
    comparison = decode(content)
    about = f"Machine: {in_words(content['machine'])}."
    lines = [f"{about} The run took {comparison.seconds / 60:.0f} minutes.", ""]
    lines += list(_versions(comparison))
    lines += ["", "### Side by side"]
    loads: dict[tuple[int, float], list[Cell]] = {}
    compared = {cell.observers for cell in comparison.cells if cell.server not in _OURS}
    for cell in sorted(comparison.cells, key=lambda cell: (cell.observers, cell.changes)):
        if cell.observers in compared or not compared:
            loads.setdefault((cell.observers, cell.changes), []).append(cell)
    for (observers, changes), cells in loads.items():
        lines += ["", f"#### {observers:,} observers, {changes:g} changes a second", ""]
        lines += list(_table(cells, comparison.limit(observers, changes)))
    lines += ["", "### Where we are not ahead", "", *_behind(loads)]
    lines += ["", "### Against the limit", "", *_limits(comparison)]
    lines += ["", "### How the cost grows", "", *_growth(comparison)]
    return "\n".join(lines)


def _versions(comparison: Comparison) -> Iterator[str]:
    for server, versions in comparison.versions.items():
        those = ", ".join(f"{name} {version}" for name, version in versions.items())
        yield f"- {NAMES[server]}: {those}"
    for server, reason in comparison.absent.items():
        yield f"- {NAMES[server]}: not measured. {reason}"


def _table(cells: Sequence[Cell], limit: Limit | None) -> Iterator[str]:
    yield "| | " + " | ".join(name for name, _, _ in COLUMNS) + " | |"
    yield "|---" * (len(COLUMNS) + 2) + "|"
    order = list(NAMES)
    for cell in sorted(cells, key=lambda cell: order.index(cell.server)):
        row = [text(cell.result) if cell.result else "" for _, text, _ in COLUMNS]
        yield f"| {NAMES[cell.server]} | " + " | ".join(row) + f" | {cell.words} |"
    if limit:
        blank = " | ".join([""] * (len(COLUMNS) - 2))
        share = 100 * limit.cpu_seconds / limit.seconds
        yield f"| the bare loop | {limit.cpu_per_delivery_us:.2f} | {share:.0f} | {blank} | |"


def _behind(loads: dict[tuple[int, float], list[Cell]]) -> Iterator[str]:
    """Every cell in which somebody who still does the work has less than we have with Redis."""
    found = False
    for (observers, changes), cells in loads.items():
        working = {cell.server: cell.result for cell in cells if cell.result and not cell.trouble}
        ours = working.get("ours")
        if ours is None:
            continue
        for column, text, value in COLUMNS:
            best = min(working, key=lambda name: value(working[name]))
            if best in _OURS or text(working[best]) == text(ours):
                continue
            if value(working[best]) < value(ours):
                found = True
                yield (
                    f"- {observers:,} observers, {changes:g}/s, {column}: {NAMES[best]}"
                    f" {text(working[best])}, ours {text(ours)}"
                )
    if not found:
        yield "Nowhere in this run."


def _limits(comparison: Comparison) -> Iterator[str]:
    yield "| observers | changes/s | writes | µs a write | µs a delivery | ours | ours to it |"
    yield "|---|---|---|---|---|---|---|"
    for limit in sorted(comparison.limits, key=lambda limit: (limit.observers, limit.changes)):
        ours = comparison.result("ours-alone", limit.observers, limit.changes)
        if ours is None:
            continue
        ratio = ours.cpu_per_delivery_us / limit.cpu_per_delivery_us
        yield (
            f"| {limit.observers:,} | {limit.changes:g} | {limit.writes:,}"
            f" | {limit.cpu_per_write_us:.1f} | {limit.cpu_per_delivery_us:.2f}"
            f" | {ours.cpu_per_delivery_us:.2f} | {ratio:.2f} |"
        )


def _growth(comparison: Comparison) -> Iterator[str]:
    for name, (chart, words) in charts(comparison).items():
        yield f"![{chart.title}](pictures/growth-{name}.svg)"
        yield ""
        yield words
        yield ""


def charts(comparison: Comparison) -> dict[str, tuple[Chart, str]]:
    """Each curve that has points, and what it says in words."""
    drawn: dict[str, tuple[Chart, str]] = {}
    ours = comparison.ours()
    rates = sorted({result.changes for result in ours})
    if ours:
        drawn["observers"] = _observers(ours, rates, comparison.limits)
        drawn["delay"] = _delay(ours, rates)
    if comparison.accounts:
        drawn["accounts"] = _accounts(comparison.accounts)
    if comparison.nodes:
        drawn["nodes"] = _nodes(comparison.nodes)
    return drawn


def _observers(
    ours: Sequence[Result], rates: Sequence[float], limits: Sequence[Limit]
) -> tuple[Chart, str]:
    series = []
    words = []
    for rate in rates:
        points = sorted((r.observers, 100 * r.cpu_share) for r in ours if r.changes == rate)
        series.append(Series(f"{rate:g} changes/s", points, fitted=True))
        slope, _ = fit(points)
        more = f"{1000 * slope:.1f} % of a core" if slope > 0 else "no more"
        words.append(f"{more} at {rate:g} changes a second")
    top = max(rates)
    bare = sorted(
        (limit.observers, 100 * limit.cpu_seconds / limit.seconds)
        for limit in limits
        if limit.changes == top
    )
    if bare:
        series.append(Series(f"bare loop, {top:g}/s", bare))
    up = "% of a core (dashed: the straight line that fits best)"
    chart = Chart("CPU of the server, by observers", "observers", up, series)
    return chart, "Every further thousand observers takes " + " and ".join(words) + "."


def _delay(ours: Sequence[Result], rates: Sequence[float]) -> tuple[Chart, str]:
    series = []
    for rate in rates:
        points = sorted((r.observers, r.p99_ms) for r in ours if r.changes == rate)
        series.append(Series(f"p99, {rate:g} changes/s", points))
    chart = Chart("From handshake to delivery, by observers", "observers", "milliseconds", series)
    most = max(ours, key=lambda r: (r.observers, r.changes))
    return chart, (
        f"With {most.observers:,} observers and {most.changes:g} changes a second the p99 is"
        f" {most.p99_ms:,.0f} ms."
    )


def _accounts(points: Sequence[Accounts]) -> tuple[Chart, str]:
    series = [
        Series("median ms", [(p.accounts, p.median_ms) for p in points]),
        Series("p99 ms", [(p.accounts, p.p99_ms) for p in points]),
        Series("ms CPU a page", [(p.accounts, p.cpu_ms) for p in points]),
    ]
    chart = Chart("GET / by accounts", "accounts", "milliseconds", series, powers=True)
    first, last = points[0], points[-1]
    return chart, (
        f"The page of {first.accounts:,} accounts takes {first.cpu_ms:.1f} ms of CPU and"
        f" {first.kilobytes:.0f} KB, that of {last.accounts:,} takes {last.cpu_ms:.1f} ms and"
        f" {last.kilobytes:.0f} KB; the server's memory is {first.server_mib:.0f} and"
        f" {last.server_mib:.0f} MiB."
    )


def _nodes(points: Sequence[Nodes]) -> tuple[Chart, str]:
    all_nodes = [(float(p.nodes), p.nodes_cpu_us / 1000) for p in points]
    in_redis = [(float(p.nodes), p.redis_cpu_us / 1000) for p in points]
    series = [
        Series("all nodes together", all_nodes, fitted=True),
        Series("Redis", in_redis, fitted=True),
    ]
    chart = Chart("CPU for one change, by nodes", "nodes", "milliseconds of CPU", series)
    if len(points) == 1:
        return chart, "One number of nodes alone was measured: what more of them cost is not known."
    return chart, (
        f"With {points[0].observers:,} observers in all and {points[0].changes:g} changes a second,"
        f" every further node adds {1000 * fit(all_nodes)[0]:,.0f} µs to what all nodes spend on a"
        f" change, and {1000 * fit(in_redis)[0]:,.0f} µs to what Redis spends."
    )


def write(content: Mapping[str, Any]) -> None:
    """Into the documentation: tables, pictures, figures, and what is extrapolated from them."""
    RESULTS.write_text(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    comparison = decode(content)
    for name, (chart, _) in charts(comparison).items():
        (PICTURES / f"growth-{name}.svg").write_text(chart.svg())
    figures.put_between(PAGE, "make compare", document(content))
    beyond.write(comparison.ours(), comparison.limits, comparison.nodes)
    figures.fill_in()


def encode(comparison: Comparison) -> dict[str, Any]:
    """What is kept of a run."""
    return {"machine": machine(), **_plain(dataclasses.asdict(comparison))}


def decode(content: Mapping[str, Any]) -> Comparison:
    return Comparison(
        cells=[Cell(**{**cell, "result": _result(cell["result"])}) for cell in content["cells"]],
        limits=[Limit(**limit) for limit in content["limits"]],
        accounts=[Accounts(**point) for point in content["accounts"]],
        nodes=[Nodes(**point) for point in content["nodes"]],
        versions=content["versions"],
        absent=content["absent"],
        seconds=content["seconds"],
    )


def _result(kept: dict[str, Any] | None) -> Result | None:
    if kept is None:
        return None
    never: Any = math.inf
    return Result(**{name: never if value is None else value for name, value in kept.items()})


def _plain(value: Any) -> Any:
    """JSON has no word for what never happened."""
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
