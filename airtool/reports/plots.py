"""Plots as inline SVG: they take their colours from the style sheet of the page that holds them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 420, 290
"""Of the drawing, in its own units; the page scales it."""

RIGHT, TOP, BOTTOM = 14, 14, 46
"""Margins around the field of a plot, for ticks and labels; the left one is as wide as its ticks need."""

TITLE, DIGIT = 30, 7.5
"""Width of the vertical axis's label with the gaps beside it, and of a digit of its ticks."""

TICKS = 6
"""About how many ticks an axis has."""

FEWEST_BINS = 10
"""About how many bars the histogram of a small set has; larger sets get up to 24."""


@dataclass(frozen=True)
class Axis:
    """Maps values to positions along one side of the field."""

    label: str
    ticks: tuple[float, ...]
    """Round numbers in ascending order; the axis reaches from the first to the last."""
    start: float
    """Position of the first tick."""
    end: float
    """Position of the last tick."""

    def at(self, value: float) -> float:
        """Position of a value."""
        low, high = self.ticks[0], self.ticks[-1]
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def text(self, tick: float) -> str:
        """How a tick is labelled: with the digits that its step needs."""
        step = self.ticks[1] - self.ticks[0]
        return f"{tick:.{max(0, -math.floor(math.log10(step) + 1e-9))}f}"


@dataclass(frozen=True)
class Point:
    """One picture, or one method, in a plot."""

    name: str
    x: float
    y: float


def histogram(title: str, label: str, values: Sequence[float]) -> str:
    """How often values fall between round numbers; `values` must be finite and at least one.

    Bars below zero have the class ``loss``. All text is escaped.
    """
    edges = ticks(min(values), max(values), max(FEWEST_BINS, min(24, round(math.sqrt(len(values)) * 2))))
    step = edges[1] - edges[0]
    counts = [0] * (len(edges) - 1)
    for value in values:
        counts[min(int((value - edges[0]) / step), len(counts) - 1)] += 1
    every = max(1, math.ceil(len(edges) / (TICKS + 2)))
    y = Axis("pictures", ticks(0, max(counts), TICKS, whole=True), HEIGHT - BOTTOM, TOP)
    x = Axis(label, edges, _left(y), WIDTH - RIGHT)
    marks = [
        f'<rect class="{"loss" if high <= step * 1e-6 else "bar"}" x="{x.at(low) + 0.5:.1f}" y="{y.at(count):.1f}" '
        f'width="{x.at(high) - x.at(low) - 1:.1f}" height="{y.at(0) - y.at(count):.1f}">'
        f"<title>{x.text(low)} to {x.text(high)}: {count}</title></rect>"
        for low, high, count in zip(edges, edges[1:], counts, strict=False)
        if count
    ]
    if edges[0] < 0 < edges[-1]:
        marks.append(f'<line class="zero" x1="{x.at(0):.1f}" x2="{x.at(0):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
    return _figure(title, x, y, marks, every)


def scatter(title: str, x_label: str, y_label: str, points: Sequence[Point]) -> str:
    """Points against the line on which both values are equal; coordinates must be finite, at least one point.

    Points below that line have the class ``loss``. Those that fall on the same spot become one mark, which bounds the
    size of the drawing. All text is escaped.
    """
    values = [value for point in points for value in (point.x, point.y)]
    both = ticks(min(values), max(values), TICKS)
    y = Axis(y_label, both, HEIGHT - BOTTOM, TOP)
    x = Axis(x_label, both, _left(y), WIDTH - RIGHT)
    spots: dict[tuple[int, int], list[Point]] = {}
    for point in points:
        spots.setdefault((round(x.at(point.x)), round(y.at(point.y))), []).append(point)
    marks = [
        f'<line class="equal" x1="{x.start}" y1="{y.start}" x2="{x.end}" y2="{y.end}"/>',
        *(
            f'<circle class="{"loss" if here[0].y < here[0].x else "dot"}" cx="{cx}" cy="{cy}" r="3.5">'
            f"<title>{escape(_told(here))}</title></circle>"
            for (cx, cy), here in spots.items()
        ),
    ]
    return _figure(title, x, y, marks)


def labelled(title: str, x_label: str, y_label: str, points: Sequence[Point]) -> str:
    """Few points with their names beside them, the horizontal axis from zero; coordinates finite, at least one point.

    All text is escaped.
    """
    heights = [point.y for point in points]
    y = Axis(y_label, ticks(min(heights), max(heights), TICKS), HEIGHT - BOTTOM, TOP)
    # Labels of short times have many digits, half of which lie to the right of the last tick.
    x = Axis(x_label, ticks(0, max(point.x for point in points), TICKS), _left(y), WIDTH - 2 * RIGHT)
    middle = (x.start + x.end) / 2
    marks = []
    for point in points:
        cx, cy = x.at(point.x), y.at(point.y)
        side, anchor = (8, "start") if cx < middle else (-8, "end")
        marks.append(
            f'<circle class="dot" cx="{cx:.1f}" cy="{cy:.1f}" r="4"><title>{escape(point.name)}: {point.x:.2f}, '
            f"{point.y:.2f}</title></circle>"
            f'<text x="{cx + side:.1f}" y="{cy:.1f}" dy="0.32em" text-anchor="{anchor}">{escape(point.name)}</text>'
        )
    return _figure(title, x, y, marks)


def ticks(low: float, high: float, count: int, whole: bool = False) -> tuple[float, ...]:
    """Multiples of 1, 2 or 5 times a power of ten that enclose `low` to `high`: about `count`, at least two.

    whole: no fractions.
    """
    extent = max(high - low, 1e-3 * max(abs(low), abs(high)), 1e-6)
    power = 10.0 ** math.floor(math.log10(extent / count))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor * count >= extent * (1 - 1e-9))
    if whole:
        step = max(step, 1.0)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(round(index * step, 9) for index in range(first, max(last, first + 1) + 1))


def _left(y: Axis) -> float:
    """Where the field begins beside a vertical axis."""
    return TITLE + DIGIT * max(len(y.text(tick)) for tick in y.ticks)


def _told(points: Sequence[Point]) -> str:
    more = f" and {len(points) - 1} more" if len(points) > 1 else ""
    return f"{points[0].name}: {points[0].x:.2f} to {points[0].y:.2f}{more}"


def _figure(title: str, x: Axis, y: Axis, marks: Sequence[str], every: int = 1) -> str:
    lines = []
    for tick in y.ticks:
        at = f"{y.at(tick):.1f}"
        lines.append(f'<line class="grid" x1="{x.start}" x2="{x.end}" y1="{at}" y2="{at}"/>')
        lines.append(
            f'<text class="tick" x="{x.start - 6}" y="{at}" text-anchor="end" dy="0.32em">{y.text(tick)}</text>'
        )
    step = x.ticks[1] - x.ticks[0]
    for tick in (tick for tick in x.ticks if round(tick / step) % every == 0):  # so that zero is among them
        at = f"{x.at(tick):.1f}"
        lines.append(f'<text class="tick" x="{at}" y="{y.start + 16}" text-anchor="middle">{x.text(tick)}</text>')
    middle = (y.start + y.end) / 2
    lines.append(f'<text x="{(x.start + x.end) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x.label)}</text>')
    lines.append(
        f'<text x="14" y="{middle}" text-anchor="middle" transform="rotate(-90 14 {middle})">{escape(y.label)}</text>'
    )
    drawing = "".join([*lines, *marks])
    return (
        f'<figure class="plot"><figcaption>{escape(title)}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">{drawing}</svg></figure>'
    )
