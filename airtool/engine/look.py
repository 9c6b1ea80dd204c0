"""A few crops that stand for a picture, where a method first has to find out what is wrong with it."""

import numpy as np

from airtool.engine.padding import round_up
from airtool.engine.tiles import Pixels

SIDE = 160
"""Pixels of a crop's side: enough to see a rain streak or a blur, small enough for a dozen passes of a network."""

PER_SIDE = 2
"""Crops along a side that is long enough."""


def crops(rgb: Pixels, multiple: int, per_side: int = PER_SIDE) -> Pixels:
    """Crops (N, h, w, 3) of a picture (H, W, 3), float32, from one up to `per_side` ** 2, spread evenly.

    Sides are at most SIDE, rounded up to `multiple`; a picture smaller than the multiple is continued by its mirror
    image. The same picture always gives the same crops.
    """
    side = round_up(SIDE, multiple)
    rows, columns = (_starts(length, side, per_side) for length in rgb.shape[:2])
    height, width = (min(side, length // multiple * multiple) or length for length in rgb.shape[:2])
    cut = np.stack([rgb[top : top + height, left : left + width] for top in rows for left in columns])
    missing = [(0, round_up(length, multiple) - length) for length in cut.shape[1:3]]
    return np.ascontiguousarray(np.pad(cut, ((0, 0), *missing, (0, 0)), mode="symmetric"))


def _starts(length: int, side: int, per_side: int) -> list[int]:
    if length <= side:
        return [0]
    count = min(per_side, length // side)
    return [round((length - side) * (index + 0.5) / count) for index in range(count)]
