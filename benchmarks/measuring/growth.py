"""Time and memory over the size of the picture, as SVG with logarithmic axes."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

WIDTH, HEIGHT = 900, 340
TOP, BOTTOM = 34, 280
FIELDS = (("seconds", "seconds", 60, 420), ("added_mib", "MiB beyond the decoded picture", 530, 890))
"""Key of the figure, title, and the horizontal ends of its field."""

COLOURS = ("#1b6ca8", "#c0392b", "#2e8b57", "#8e44ad", "#d68910")
STYLE = (
    "text{font:11px sans-serif;fill:#333}path{fill:none;stroke:currentColor;stroke-width:1.6}.g{color:#ddd}"
    ".r{text-anchor:end}.m{text-anchor:middle}.s{color:#999;stroke-dasharray:5 3}"
)


def growth(rows: Sequence[Mapping[str, Any]]) -> str:
    """One line for each network of `scaling`'s figures; the dashed line is linear growth from the first one's start."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"><style>{STYLE}</style>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>'
    ]
    for key, title, left, right in FIELDS:
        lines = [[(each["megapixels"], each[key]) for each in row["rows"]] for row in rows]
        parts += _field(title, left, right, lines, linear=key == "seconds")
    for index, row in enumerate(rows):
        name = escape(f"{row['method']} {row['preset']}")
        parts.append(f'<text x="{60 + 150 * index}" y="{HEIGHT - 6}" style="fill:{COLOURS[index % 5]}">{name}</text>')
    return "".join(parts) + "</svg>\n"


def _field(title: str, left: int, right: int, lines: list[list[tuple[float, float]]], linear: bool) -> list[str]:
    across, up = (_decades([point[axis] for line in lines for point in line]) for axis in (0, 1))

    def x(value: float) -> float:
        return left + (math.log10(value) - across[0]) / (across[-1] - across[0]) * (right - left)

    def y(value: float) -> float:
        return BOTTOM + (math.log10(value) - up[0]) / (up[-1] - up[0]) * (TOP - BOTTOM)

    def path(points: Sequence[tuple[float, float]], style: str) -> str:
        return f'<path {style} d="M{"L".join(f"{x(a):.1f} {y(b):.1f}" for a, b in points)}"/>'

    grid = "".join(f"M{left} {y(10.0**each):.1f}H{right}" for each in up)
    grid += "".join(f"M{x(10.0**each):.1f} {TOP}V{BOTTOM}" for each in across)
    parts = [f'<text x="{left}" y="{TOP - 16}">{title} over megapixels</text><path class="g" d="{grid}"/>']
    parts += [f'<text class="r" x="{left - 6}" y="{y(10.0**each) + 4:.1f}">{10.0**each:g}</text>' for each in up]
    parts += [f'<text class="m" x="{x(10.0**each):.1f}" y="{BOTTOM + 16}">{10.0**each:g}</text>' for each in across]
    if linear:
        (size, least), most = lines[0][0], 10.0 ** up[-1]
        largest = min(10.0 ** across[-1], size * most / least)
        parts.append(path([(size, least), (largest, least * largest / size)], 'class="s"'))
    return parts + [path(line, f'style="color:{COLOURS[index % 5]}"') for index, line in enumerate(lines)]


def _decades(values: Sequence[float]) -> range:
    """Exponents of the powers of ten from below the least value to above the largest, two at least."""
    low = math.floor(math.log10(min(values)))
    return range(low, max(low + 1, math.ceil(math.log10(max(values)))) + 1)
