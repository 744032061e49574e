"""Sets of times: sorted spans that do not touch, as (from, to)."""

from collections.abc import Iterable

Span = tuple[float, float]
Spans = list[Span]


def union(spans: Iterable[Span]) -> Spans:
    found: Spans = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        elif begin < end:
            found.append((begin, end))
    return found


def difference(spans: Spans, others: Spans) -> Spans:
    for taken_from, taken_to in others:
        spans = [
            part
            for begin, end in spans
            for part in ((begin, min(end, taken_from)), (max(begin, taken_to), end))
            if part[0] < part[1]
        ]
    return spans


def intersection(spans: Spans, others: Spans) -> Spans:
    return difference(spans, difference(spans, others))


def prolonged(spans: Spans, seconds: float) -> Spans:
    return union((begin, end + seconds) for begin, end in spans)


def total(spans: Spans) -> float:
    return sum(end - begin for begin, end in spans)


def holds(spans: Spans, moment: float) -> bool:
    return any(begin <= moment < end for begin, end in spans)
