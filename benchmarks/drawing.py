"""Small line charts as SVG, readable on light and on dark pages."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape

Point = tuple[float, float]

_WIDTH, _HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 36, 48, 92

_STYLE = """
.page { fill: #ffffff } text { fill: #1f2328; font: 13px system-ui, sans-serif }
.title { font-weight: 600; font-size: 15px }
.grid { stroke: #d1d9e0; stroke-width: 1 } .line { fill: none; stroke-width: 2 }
.fit { fill: none; stroke-width: 1; stroke-dasharray: 5 4 }
.s0 { stroke: #0969da } .s1 { stroke: #bc4c00 } .s2 { stroke: #1a7f37 } .s3 { stroke: #8250df }
.p0 { fill: #0969da } .p1 { fill: #bc4c00 } .p2 { fill: #1a7f37 } .p3 { fill: #8250df }
@media (prefers-color-scheme: dark) {
.page { fill: #0d1117 } text { fill: #f0f6fc } .grid { stroke: #3d444d }
.s0 { stroke: #4493f8 } .s1 { stroke: #db6d28 } .s2 { stroke: #3fb950 } .s3 { stroke: #ab7df8 }
.p0 { fill: #4493f8 } .p1 { fill: #db6d28 } .p2 { fill: #3fb950 } .p3 { fill: #ab7df8 }
}
"""


@dataclass(frozen=True, slots=True)
class Series:
    name: str
    points: Sequence[Point]
    # Whether the straight line that fits best is drawn, too.
    fitted: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    title: str
    across: str
    up: str
    series: Sequence[Series] = field(default_factory=tuple)
    # Whether each step to the right is a power of ten.
    powers: bool = False

    def svg(self) -> str:
        return "\n".join(_draw(self)) + "\n"


def fit(points: Sequence[Point]) -> tuple[float, float]:
    """Slope and start of the straight line with the least squares; no slope through one point."""
    count = len(points)
    x_mean = sum(x for x, _ in points) / count
    y_mean = sum(y for _, y in points) / count
    spread = sum((x - x_mean) ** 2 for x, _ in points)
    if not spread:
        return 0.0, y_mean
    slope = sum((x - x_mean) * (y - y_mean) for x, y in points) / spread
    return slope, y_mean - slope * x_mean


def ticks(highest: float) -> list[float]:
    """Round numbers from 0 to just above the highest."""
    if highest <= 0:
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(highest / 4))
    step = next(power * n for n in (1, 2, 2.5, 5, 10) if highest / (power * n) <= 5)
    return [number * step for number in range(math.ceil(highest / step - 1e-9) + 1)]


def _draw(chart: Chart) -> Iterator[str]:
    xs = [x for series in chart.series for x, _ in series.points]
    ys = [y for series in chart.series for _, y in series.points]
    ups = ticks(max(ys))
    if chart.powers:
        low, high = math.floor(math.log10(min(xs))), math.ceil(math.log10(max(xs)))
        acrosses = [10.0**power for power in range(low, max(high, low + 1) + 1)]
    else:
        acrosses = ticks(max(xs))

    def x_of(x: float) -> float:
        share = x / acrosses[-1]
        if chart.powers:
            share = math.log10(x / acrosses[0]) / math.log10(acrosses[-1] / acrosses[0])
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y_of(y: float) -> float:
        return _HEIGHT - _BOTTOM - y / ups[-1] * (_HEIGHT - _TOP - _BOTTOM)

    def path(points: Sequence[Point]) -> str:
        return " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in points)

    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">'
    yield f"<title>{escape(chart.title)}</title><style>{_STYLE}</style>"
    yield f'<rect class="page" width="{_WIDTH}" height="{_HEIGHT}"/>'
    yield _text(_LEFT, 20, chart.title, "start", "title")
    yield _text(_LEFT, 38, chart.up, "start")
    for up in ups:
        yield f'<path class="grid" d="M{_LEFT} {y_of(up):.1f}H{_WIDTH - _RIGHT}"/>'
        yield _text(_LEFT - 8, y_of(up) + 4, _number(up), "end")
    for across in acrosses:
        yield _text(x_of(across), _HEIGHT - _BOTTOM + 20, _number(across), "middle")
    yield _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - _BOTTOM + 40, chart.across, "middle")
    key = float(_LEFT)
    for number, series in enumerate(chart.series):
        if series.fitted:
            slope, start = fit(series.points)
            ends = [(x, slope * x + start) for x in (min(xs), max(xs))]
            yield f'<polyline class="fit s{number}" points="{path(ends)}"/>'
        yield f'<polyline class="line s{number}" points="{path(series.points)}"/>'
        for x, y in series.points:
            name = f"{series.name}: {_number(x)}, {_number(y)}"
            yield f'<circle class="p{number}" cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="4">'
            yield f"<title>{escape(name)}</title></circle>"
        yield f'<rect class="p{number}" x="{key:.0f}" y="{_HEIGHT - 26}" width="12" height="12"/>'
        yield _text(key + 18, _HEIGHT - 15, series.name, "start")
        key += 40 + 7.2 * len(series.name)
    yield "</svg>"


def _text(x: float, y: float, words: str, anchor: str, style: str = "") -> str:
    kind = f' class="{style}"' if style else ""
    return f'<text{kind} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _number(value: float) -> str:
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:.3g}"
