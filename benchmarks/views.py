"""What it costs to be told of some people, and of everybody: a table, a curve and a sentence."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.drawing import Chart, Series
from benchmarks.servers import ROOT

PICTURE = ROOT / "docs" / "pictures" / "growth-people.svg"


@dataclass(frozen=True)
class Point:
    """What so many people cost who watch some, or everybody."""

    people: int
    watched: int
    cores: float
    bytes_a_minute: float
    p50_ms: float
    p99_ms: float
    lost: int

    @property
    def of_everybody(self) -> bool:
        return self.watched == self.people


def document(points: Sequence[Point]) -> Iterator[str]:
    yield "| people | each watches | cores | bytes a minute each | p50 ms | p99 ms | lost |"
    yield "|---|---|---|---|---|---|---|"
    for p in points:
        watched = "everybody" if p.of_everybody else f"{p.watched:,}"
        yield (
            f"| {p.people:,} | {watched} | {p.cores:.2f} | {p.bytes_a_minute:,.0f}"
            f" | {p.p50_ms:,.0f} | {p.p99_ms:,.0f} | {p.lost:,} |"
        )
    if drawn := chart(points):
        yield ""
        yield f"![{drawn.title}](pictures/{PICTURE.name})"
        yield ""
        yield in_words(points)


def chart(points: Sequence[Point]) -> Chart | None:
    """Only where both were measured."""
    everybody = [(float(p.people), 100 * p.cores) for p in points if p.of_everybody]
    some = [(float(p.people), 100 * p.cores) for p in points if not p.of_everybody]
    if not (everybody and some):
        return None
    watched = next(p.watched for p in points if not p.of_everybody)
    series = [
        Series("each watches everybody", sorted(everybody)),
        Series(f"each watches {watched}", sorted(some)),
    ]
    up = "% of a core, all processes together"
    return Chart("CPU by people", "people here", up, series, powers=True)


def in_words(points: Sequence[Point]) -> str:
    """From how many people on watching some is cheaper."""
    watched = next(p.watched for p in points if not p.of_everybody)
    sizes = sorted(p.people for p in points if p.of_everybody)
    least = cheaper_from(points)
    if least is None:
        return (
            f"With {sizes[-1]:,} people, the most measured, watching {watched} takes no less of the"
            " processor than watching everybody."
        )
    many = (
        f"Already at {least:,} people, the smallest number measured,"
        if least == sizes[0]
        else f"From {least:,} people on,"
    )
    return f"{many} watching {watched} takes less of the processor than watching everybody."


def cheaper_from(points: Sequence[Point]) -> int | None:
    """The least number of people from which on watching some takes less of the processor."""
    everybody = {p.people: p.cores for p in points if p.of_everybody}
    some = {p.people: p.cores for p in points if not p.of_everybody}
    least = None
    for people in sorted(everybody.keys() & some.keys(), reverse=True):
        if some[people] >= everybody[people]:
            break
        least = people
    return least
