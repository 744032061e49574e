"""What a run found of each budget, in the words of the pages."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    what: str
    measured: str
    budget: str
    met: bool

    def __str__(self) -> str:
        return f"{'met' if self.met else 'MISSED':6} {self.what}: {self.measured} ({self.budget})"


def at_most(
    limit: float, unit: str, what: str, value: float, more: str = "", *, form: str = ""
) -> Verdict:
    measured = f"{format(value, form) if form else _number(value, limit)} {unit}"
    return Verdict(what, with_more(measured, more), f"at most {limit:g} {unit}", value <= limit)


def with_more(measured: str, more: str) -> str:
    return f"{measured} ({more})" if more else measured


def counts(of: Mapping[str, int] | Mapping[int, int]) -> str:
    """How often there was what, as a text says it."""
    return ", ".join(f"{count:,} x {what}" for what, count in sorted(of.items()))


def table(verdicts: Sequence[Verdict]) -> Iterator[str]:
    yield "| | measured | budget | |"
    yield "|---|---|---|---|"
    for v in verdicts:
        yield f"| {v.what} | {v.measured} | {v.budget} | {'met' if v.met else '**missed**'} |"


def _number(value: float, limit: float) -> str:
    """With as few digits as show on which side of the limit it is."""
    short = f"{value:,.0f}" if value >= 50 or value == int(value) else f"{value:.2g}"
    for text in (short, f"{value:,.1f}", f"{value:,.2f}", f"{value:,.3f}"):
        if (float(text.replace(",", "")) <= limit) == (value <= limit):
            return text
    return repr(value)
