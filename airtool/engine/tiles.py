"""Overlapping tiles, blended so that nobody sees where they met."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from airtool.engine.padding import round_up

Pixels = npt.NDArray[np.float32]

FLOOR = 1e-4
"""Weight of a pixel at the very edge of a tile, against 1 inside: small enough for its error to vanish (a full-range
error becomes 1/40 of an 8-bit step), yet never zero, so that every sum of weights can be divided by."""


@dataclass(frozen=True)
class Axis:
    """The tiles along one side of a picture."""

    length: int
    """Pixels of the picture along this side."""
    tile: int
    """Pixels of one tile; the last one may be cut short by the end of the picture."""
    starts: tuple[int, ...]
    """First pixel of each tile, rising, multiples of the method's size multiple."""

    def end(self, index: int) -> int:
        """One past the last pixel of a tile."""
        return min(self.starts[index] + self.tile, self.length)


def axis(length: int, tile: int, overlap: int, multiple: int) -> Axis:
    """Spread tiles evenly over `length` pixels, neighbours sharing at least `overlap` of them.

    `tile` is an upper bound: it is rounded down to `multiple` (but is at least twice that, or nothing could overlap)
    and made smaller where the same number of smaller tiles will do. `overlap` is cut to half of the tile. Tiles start
    at multiples of `multiple`, so that a network which halves its input sees the same pairs of pixels as in the whole
    picture.
    """
    padded = round_up(length, multiple)
    tile = max(tile // multiple, 2) * multiple
    if tile >= padded:
        return Axis(length, padded, (0,))
    overlap = min(round_up(max(overlap, 1), multiple), tile // 2 // multiple * multiple)
    count = -(-(padded - overlap) // (tile - overlap))
    tile = round_up(-(-(padded + (count - 1) * overlap) // count), multiple)
    # Rounding down to the multiple never stretches a step beyond tile - overlap, itself a multiple.
    steps = [(padded - tile) * index // (count - 1) // multiple * multiple for index in range(count)]
    return Axis(length, tile, tuple(steps))


def weights(along: Axis) -> list[Pixels]:
    """For each tile its share in every one of its pixels, (end - start,), above 0; shares sum to 1 at every pixel.

    In an overlap a quarter next to the tile's edge has the weight `FLOOR`, because there the network lacked the
    picture beyond; then the weight rises as a smooth step over half of the overlap to 1. Edges of the picture itself
    are not faded.
    """
    raw = []
    for index, start in enumerate(along.starts):
        end = along.end(index)
        weight = np.ones(end - start)
        if index > 0:
            shared = along.end(index - 1) - start
            weight[:shared] = np.minimum(weight[:shared], _ramp(shared))
        if index + 1 < len(along.starts):
            shared = end - along.starts[index + 1]
            weight[-shared:] = np.minimum(weight[-shared:], _ramp(shared)[::-1])
        raw.append(weight)
    total = np.zeros(along.length)
    for index, weight in enumerate(raw):
        total[along.starts[index] : along.end(index)] += weight
    return [
        (weight / total[along.starts[index] : along.end(index)]).astype(np.float32) for index, weight in enumerate(raw)
    ]


def run_tiled(
    source: Pixels, target: Pixels, rows: Axis, columns: Axis, restore: Callable[[Pixels, int, int], Pixels]
) -> None:
    """Restore `source` (H, W, 3) tile by tile into `target` of the same shape.

    `restore` gets a tile with the row and column of its first pixel. `target` may be `source` itself: a band of rows
    is written only when no later tile reads it. Beyond the two arrays, memory holds one band of tiles.
    """
    if len(rows.starts) == len(columns.starts) == 1:
        target[:] = restore(source, 0, 0)
        return
    row_weights, column_weights = weights(rows), weights(columns)
    band = np.zeros((rows.tile, source.shape[1], 3), np.float32)
    for index, top in enumerate(rows.starts):
        height = rows.end(index) - top
        for column, left in enumerate(columns.starts):
            right = columns.end(column)
            share = row_weights[index][:, None] * column_weights[column]
            restored = restore(source[top : top + height, left:right], top, left)
            band[:height, left:right] += restored * share[..., None]
        done = (rows.starts[index + 1] if index + 1 < len(rows.starts) else rows.length) - top
        target[top : top + done] = band[:done]
        # What the next band of tiles has a share in moves up.
        band[: rows.tile - done] = band[done:].copy()
        band[rows.tile - done :] = 0


def _ramp(shared: int) -> npt.NDArray[np.float64]:
    """Weights over the `shared` pixels from a tile's edge inwards."""
    position = (np.arange(shared) + 0.5) / shared
    x = np.clip((position - 0.25) / 0.5, 0, 1)
    return FLOOR + (1 - FLOOR) * x * x * (3 - 2 * x)
