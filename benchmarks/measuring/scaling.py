"""Whether time grows as the pixels do, and memory does not."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from measuring.alone import alone
from measuring.contenders import OURS, Case, size_of

MEGAPIXELS = (0.1, 0.4, 1.6, 6.4, 25.0)
"""What is measured; each about four times as large as the one before."""

LARGEST = 100.0
"""What can be added."""

PANORAMA = (300, 20_000)
"""Height and width of a picture of an extreme shape."""

REPEATED, REPEATS = 2.0, 3
"""Megapixels up to which the quickest of so many counts."""

WARM = 1.0
"""Megapixels of the largest picture that is restored first, so that one-time work is not taken for the pixels'."""


def scaling(case: Case, sizes: Sequence[float], shapes: Sequence[tuple[int, int]], threads: int) -> dict[str, Any]:
    """Seconds and memory of one picture of each size in megapixels and of each (height, width) of `shapes`, each in a
    process of its own, tiled as by default, and the exponent of the power law through the sizes."""
    rows = [_one(case, *size_of(megapixels), threads) for megapixels in sizes]
    return {
        "method": case.method,
        "preset": case.preset,
        "rows": rows,
        "shapes": [_one(case, *shape, threads) for shape in shapes],
        "exponent": exponent([row["megapixels"] for row in rows], [row["seconds"] for row in rows]),
    }


def _one(case: Case, height: int, width: int, threads: int) -> dict[str, Any]:
    sized = replace(case, height=height, width=width, tile=None)
    with alone(sized, OURS, threads) as ours:
        ours.turn(size=size_of(min(sized.megapixels, WARM)))
        found = ours.turn(memory=True)
        repeats = REPEATS if sized.megapixels <= REPEATED else 1
        seconds = min([found["seconds"], *(ours.turn()["seconds"] for _ in range(repeats - 1))])
    memory = {key: found[key] for key in ("added_mib", "total_mib", "tile")}
    return {"height": height, "width": width, "megapixels": sized.megapixels, "seconds": seconds, **memory}


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float | None:
    """p of seconds = c * sizes^p by least squares of the logarithms; None for fewer than two sizes."""
    xs, ys = [math.log(each) for each in sizes], [math.log(each) for each in seconds]
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - mean_x) ** 2 for x in xs)
    if spread == 0:
        return None
    return sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread
