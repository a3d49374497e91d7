"""A chart of lines as SVG inside a page: no script, no library; colours come from the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from ofakit.reports.template import number, render

__all__ = ["Line", "line_chart", "ticks"]

WIDTH, HEIGHT = 360, 210
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 10, 24
COLOURS = 8
MOST_LINES = 12
MOST_POINTS = 400

Point = tuple[float, float | None]


class Line(NamedTuple):
    """A line of a chart.

    Attributes:
        name: What the legend calls it.
        points: (x, y) by ascending x; y is None if there is no number.
    """

    name: str
    points: Sequence[Point]


class Drawn(NamedTuple):
    """A line in the coordinates of the picture.

    Attributes:
        name: What the legend calls it.
        colour: Which of the style sheet's colours.
        pieces: `x,y x,y …` of each stretch without a gap.
        dots: (x, y, what it says) of the points that can be pointed at.
    """

    name: str
    colour: int
    pieces: list[str]
    dots: list[tuple[str, str, str]]


def line_chart(title: str, lines: Sequence[Line], axis: str = "step", logarithmic: bool = False) -> Markup:
    """Draw lines.

    Args:
        title: Stands above the chart.
        lines: Of those with a number at least, `MOST_LINES` are drawn; how many are left out is said.
        axis: What x is.
        logarithmic: Whether x, then above 0, is drawn by its logarithm.

    Returns:
        A figure with title, picture, legend, and the numbers as a table.
    """
    drawable = [Line(line.name, _finite(line.points)) for line in lines]
    drawable = [line for line in drawable if any(y is not None for _, y in line.points)]
    shown = drawable[:MOST_LINES]
    points = [(x, y) for line in shown for x, y in line.points if y is not None]
    if not points:
        return render("chart.html", title=title, axis=axis, empty=True)
    across = _scale([x for x, _ in points], LEFT, WIDTH - RIGHT, logarithmic)
    upwards = _scale([y for _, y in points], HEIGHT - BOTTOM, TOP)
    x_ticks = sorted({x for x, _ in points}) if logarithmic else across.ticks
    return render(
        "chart.html", title=title, axis=axis, empty=False, width=WIDTH, height=HEIGHT,
        left=LEFT, right=WIDTH - RIGHT, bottom=HEIGHT - BOTTOM,
        x_ticks=[(f"{across(x):.1f}", number(_whole(x))) for x in x_ticks],
        y_ticks=[(f"{upwards(y):.1f}", number(_whole(y))) for y in upwards.ticks],
        lines=[_drawn(line, place, across, upwards, axis) for place, line in enumerate(shown)],
        rows=[_summary(line) for line in shown], left_out=len(drawable) - len(shown),
    )  # fmt: skip


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers that cover a range.

    Args:
        low: Where it begins.
        high: Where it ends, above `low`.
        most: About how many there are.

    >>> ticks(0.0, 1.0), ticks(3, 97)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [20.0, 40.0, 60.0, 80.0])
    """
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    digits = max(0, 1 - math.floor(math.log10(step)))
    return [round(place * step, digits) for place in range(first, last + 1)]


class _Scale(NamedTuple):
    """From numbers to places in the picture."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool
    ticks: list[float]

    def __call__(self, value: float) -> float:
        value = math.log10(value) if self.logarithmic else value
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def _scale(values: Sequence[float], start: float, end: float, logarithmic: bool = False) -> _Scale:
    low, high = min(values), max(values)
    if logarithmic:
        low, high = math.log10(low), math.log10(high)
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        margin = abs(low) / 2 or 0.5
        low, high = low - margin, high + margin
    return _Scale(low, high, start, end, logarithmic, ticks(low, high))


def _drawn(line: Line, place: int, across: _Scale, upwards: _Scale, axis: str) -> Drawn:
    pieces: list[list[str]] = [[]]
    dots = []
    known = sum(y is not None for _, y in line.points)
    for x, y in _thinned(line.points):
        if y is None:
            pieces.append([])
            continue
        at = f"{across(x):.1f}", f"{upwards(y):.1f}"
        pieces[-1].append(",".join(at))
        if known <= 60:
            dots.append((*at, f"{line.name}: {number(_whole(y))} at {axis} {number(_whole(x))}"))
    return Drawn(line.name, place % COLOURS, [" ".join(piece) for piece in pieces if len(piece) > 1], dots)


def _thinned(points: Sequence[Point]) -> Sequence[Point]:
    """At most `MOST_POINTS` points: the lowest and the highest of each stretch, so that no peak is lost."""
    if len(points) <= MOST_POINTS:
        return points
    size = math.ceil(len(points) / (MOST_POINTS // 2))
    kept: list[Point] = []
    for start in range(0, len(points), size):
        stretch = [point for point in points[start : start + size] if point[1] is not None]
        ends = {min(stretch, key=_height), max(stretch, key=_height)} if stretch else {points[start]}
        kept.extend(sorted(ends, key=lambda point: point[0]))
    return kept


def _height(point: Point) -> float:
    return point[1] if point[1] is not None else math.nan


def _finite(points: Sequence[Point]) -> list[Point]:
    return [(x, y if y is not None and math.isfinite(y) else None) for x, y in points]


def _summary(line: Line) -> tuple[str, str, str, str, str]:
    """The line's name, and its last, lowest and highest number with the latter two's places."""
    known = [(x, y) for x, y in line.points if y is not None]
    low, high = min(known, key=_height), max(known, key=_height)
    lowest, highest = (f"{number(_whole(y))} ({number(_whole(x))})" for x, y in (low, high))
    return line.name, number(_whole(known[-1][1])), lowest, highest, number(len(known))


def _whole(value: float) -> float | int:
    """A number without its point where nothing stands behind it."""
    return int(value) if float(value).is_integer() and abs(value) < 1e15 else value
