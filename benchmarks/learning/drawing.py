"""One picture a run, as SVG: how each validation figure changed, and the training loss."""

from html import escape

from airtool.reports.plots import Axis, ticks
from learning.events import Curve, Points

WIDTH, HEIGHT = 900, 330
TOP, BOTTOM = 30, 290
"""Vertical ends of both fields."""

FIGURES, LOSS = (60, 400), (640, 880)
"""Horizontal ends of the field of the figures, right of which their names stand, and of that of the loss."""

GAP = 12
"""Least distance of two names."""

COLOURS = dict(
    zip("ABCDEFGH", ("#1b6ca8", "#c0392b", "#2e8b57", "#8e44ad", "#d68910", "#16a0a0", "#7f5539", "#555"), strict=True)
)
"""By their classes."""

STYLE = (
    "svg{color:#333}text{font:11px sans-serif;fill:currentColor}path{fill:none;stroke:currentColor;stroke-width:1.6}"
    ".g{color:#ddd}.r{text-anchor:end}.m{text-anchor:middle}.d{stroke-dasharray:5 3}.e{stroke-dasharray:1 3}"
    + "".join(f".{name}{{color:{colour}}}" for name, colour in COLOURS.items())
)
DASHES = ("", " d", " e")
CLASSES = [colour + dash for dash in DASHES for colour in COLOURS]
"""Of one line after the other."""


def drawing(curve: Curve) -> str:
    """SVG of a run; without its left half where there are fewer than two validations."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"><style>{STYLE}</style>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>'
    ]
    changes = {
        kind: [(step, value - points[0][1]) for step, value in points]
        for kind, points in curve.validation.items()
        if len(points) > 1
    }
    if changes:
        parts += _figures(curve, changes)
    parts += _field(f"{curve.run}: training loss", LOSS, curve.steps, [value for _, value in curve.loss], [curve.loss])
    return "".join(parts) + "</svg>\n"


def _figures(curve: Curve, changes: dict[str, Points]) -> list[str]:
    first = min(points[0][0] for points in changes.values())
    title = f"{curve.run}: validation, {curve.unit} since step {first:,}"
    values = [value for points in changes.values() for _, value in points]
    still = [kind for kind, points in changes.items() if not any(value for _, value in points)]
    kinds = sorted({*changes} - {*still}, key=lambda kind: (-changes[kind][-1][1], kind))
    parts = _field(title, FIGURES, curve.steps, values, [changes[kind] for kind in kinds])
    y, place = _vertical(values), TOP - GAP
    shifts = max(0.0, TOP + GAP * (len(kinds) - 1) - BOTTOM)  # so many names do not fit beside the field
    names = []
    for index, kind in enumerate(kinds):
        at = y.at(changes[kind][-1][1])
        room = BOTTOM + shifts - GAP * (len(kinds) - 1 - index)
        place = max(place + GAP, min(at, room))
        text = f"{kind} {changes[kind][-1][1]:+.2f}"
        names.append(f'<text y="{place + 4:.0f}" class="{CLASSES[index % 24][0]}">{escape(text)}</text>')
    if still:
        names.append(f'<text y="{BOTTOM + 32}">no change: {len(still)} more</text>')
    return [*parts, f'<g transform="translate({FIGURES[1] + 8})">', *names, "</g>"]


def _vertical(values: list[float]) -> Axis:
    return Axis("", ticks(min(values), max(values), 6), BOTTOM, TOP)


def _field(title: str, ends: tuple[int, int], steps: int, values: list[float], lines: list[Points]) -> list[str]:
    """A title, axes and one line for each list of points."""
    y, x = _vertical(values), Axis("", ticks(0, steps, 4, whole=True), *ends)
    grid = "".join(f"M{ends[0]} {y.at(tick):.0f}H{ends[1]}" for tick in y.ticks)
    parts = [
        f'<text x="{ends[0]}" y="{TOP - 14}">{escape(title)}</text><path class="g" d="{grid}"/>',
        *_texts("r", [(ends[0] - 6, y.at(tick) + 4, y.text(tick)) for tick in y.ticks]),
        *_texts("m", [(x.at(tick), BOTTOM + 18, f"{tick:,.0f}") for tick in x.ticks]),
    ]
    for index, points in enumerate(lines):
        corners = "L".join(f"{x.at(step):.0f} {y.at(value):.0f}" for step, value in points)
        parts.append(f'<path class="{CLASSES[index % 24]}" d="M{corners}"/>')
    return parts


def _texts(style: str, each: list[tuple[float, float, str]]) -> list[str]:
    texts = [f'<text x="{x:.0f}" y="{y:.0f}">{escape(text)}</text>' for x, y, text in each]
    return [f'<g class="{style}">', *texts, "</g>"]
