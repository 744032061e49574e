"""What 100 nodes and a million people would take, extrapolated from what one machine does."""

from collections.abc import Callable, Iterator, Sequence

from benchmarks import figures
from benchmarks.bare import Limit
from benchmarks.drawing import fit
from benchmarks.fanout import Result
from benchmarks.growth import Nodes
from benchmarks.servers import ROOT
from presence_server.live.pacing import Budget

PAGE = ROOT / "docs" / "beyond-one-machine.md"

PEOPLE = 1_000_000
NODES = 100
# Everybody stays so long, and so comes once and goes once in this time.
STAY = 20 * 60.0
# Of one person in a message.
BYTES_EACH = 40


def write(ours: Sequence[Result], limits: Sequence[Limit], nodes: Sequence[Nodes]) -> None:
    lines = ["| | extrapolated | how |", "|---|---|---|", *extrapolation(ours, limits, nodes)]
    figures.put_between(PAGE, "make compare", "\n".join(lines))


def extrapolation(
    ours: Sequence[Result], limits: Sequence[Limit], nodes: Sequence[Nodes]
) -> Iterator[str]:
    changes = 2 * PEOPLE / STAY
    each = PEOPLE // NODES
    yield _row("people on each node", f"{each:,}", f"{PEOPLE:,} on {NODES} nodes")
    how = f"everybody comes and goes once in {STAY / 60:.0f} minutes"
    yield _row("changes", f"{changes:,.0f}/s", how)
    yield from _memory(ours, each)
    yield from _writes(ours, limits, each)
    yield _row(
        "to the sockets of one node",
        f"{8 * changes * BYTES_EACH * each / 1e9:.1f} Gbit/s",
        f"each change of {BYTES_EACH} bytes to each of its people",
    )
    yield _row(
        "a first message",
        f"{PEOPLE * BYTES_EACH / 1e6:.0f} MB",
        "the snapshot of everybody who is here",
    )
    yield from _relay(nodes, changes)


def _row(what: str, value: str, how: str) -> str:
    return f"| {what} | {value} | {how} |"


def _memory(ours: Sequence[Result], each: int) -> Iterator[str]:
    if ours:
        largest = max(ours, key=lambda result: result.observers)
        size = largest.kib_per_connection * each / 1024
        how = f"{largest.kib_per_connection:.0f} KiB each, as with {largest.observers:,}"
        yield _row("memory of a node for its sockets", f"{size:,.0f} MiB", how)


def _writes(ours: Sequence[Result], limits: Sequence[Limit], each: int) -> Iterator[str]:
    """A flush is one write to each socket."""
    largest = max(limits, key=lambda limit: (limit.observers, limit.changes), default=None)
    if largest is None:
        return
    spent = [
        result.cpu_share * largest.seconds / largest.writes
        for result in ours
        if (result.observers, result.changes) == (largest.observers, largest.changes)
    ]
    if spent:
        flush = spent[0] * each
        between = _from_one_to_the_next(flush)
        kernel = f"{largest.cpu_per_write_us:.1f} of them the kernel's"
        how = f"{1e6 * spent[0]:.1f} µs a write, {kernel}"
        yield _row("one flush", f"{1000 * flush:.0f} ms", how)
        how = f"{1 - flush / between:.0%} of the time is left to others, as it is paced"
        yield _row("from one flush to the next", f"{1000 * between:,.0f} ms", how)


def _from_one_to_the_next(flush: float) -> float:
    """Seconds, once there is no credit left."""
    budget, waits = Budget(0.0), []
    for _ in range(2):
        budget.spend(flush, flush)
        # As of a moment at which all of it is still to come.
        waits.append(budget.wait(-60.0))
    return waits[1] - waits[0]


def _relay(nodes: Sequence[Nodes], changes: float) -> Iterator[str]:
    """Each letter goes to all nodes; of so many nodes each has about a letter for each change."""
    several = [point for point in nodes if point.letters]
    if len(several) < 2:
        return
    letters = min(changes, NODES * 30.0)
    in_redis = _per_receipt(several, lambda point: point.redis_cpu_us)
    in_nodes = _per_receipt(several, lambda point: point.nodes_cpu_us)
    yield _row(
        "letters that Redis delivers",
        f"{letters * NODES:,.0f}/s",
        f"{letters:,.0f} letters a second, each to {NODES} nodes",
    )
    yield _row(
        "Redis",
        f"at most {letters * NODES * in_redis:.1f} cores",
        f"{1e6 * in_redis:.0f} µs for each letter and receiver, beats included",
    )
    yield _row(
        "a node, to read letters",
        f"at most {100 * letters * in_nodes:.0f} % of a core",
        f"{1e6 * in_nodes:.0f} µs for each letter, with all that one node more does by itself",
    )


def _per_receipt(nodes: Sequence[Nodes], cost: Callable[[Nodes], float]) -> float:
    """Seconds of CPU for one letter that one node reads: the slope over what they read in all."""
    points = [
        (point.letters * point.nodes / point.changes_seen, cost(point) / 1e6) for point in nodes
    ]
    return max(0.0, fit(points)[0])
