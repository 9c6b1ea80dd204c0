"""What was changed in a reduced copy of a picture, carried over to the picture itself: its tone, or everything.

A tile shows a network a small part of a large photograph, and how much to brighten or to clear cannot be told from a
wall or a piece of sky. So the picture is also restored at a reduced size, where the network sees it all, and the tiles'
result is brought to that tone: by a map from old to new values that varies slowly over the picture, as in the fast
guided filter (He & Sun, 2015, arXiv 1505.00996), so that edges stay where they are and detail is the tiles' own.

Streaks of rain as long as a training picture is high are seen at the reduced size alone. Then what the map leaves is
carried over too, as a sum.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from airtool.images.opencv import cv2

Pixels = npt.NDArray[np.float32]

REDUCED_PIXELS = 512 * 512
"""What the picture is reduced to, at most."""

LEAST_SIDE = 96
"""Pixels of a reduced picture's shorter side below which it shows a network too little."""

RADIUS = 1 / 32
"""Half the side of the windows over which the tone may vary, as a share of the reduced picture's longer side."""

STIFFNESS = np.float32(0.01)
"""Variance below which a window counts as flat (the guided filter's epsilon)."""

RATIOS = np.float32(0.5), np.float32(2.0)
"""Range of the ratio of two means; beyond it a shift makes up the difference."""

UNCHANGED = 0.02
"""Root mean square of the change of tone, of 1, below which a restoration is not one of tone, and tiles stay alone."""

LONGEST = 32766
"""Most pixels a side that OpenCV's `remap` takes, and so the most that a reduced picture may have."""

ROWS, COLUMNS = 256, 1 << 14
"""Rows and columns of the picture that are changed at a time: memory stays bounded, and below `LONGEST`."""


@dataclass(frozen=True)
class ChangeMap:
    """new = gain * old + shift + rest, each (h, w, 3) of a reduced picture, at most `LONGEST` a side, enlarged."""

    gain: Pixels
    shift: Pixels
    rest: Pixels | None = None

    def apply(self, rgb: Pixels) -> None:
        """Change `rgb` (H, W, 3), float32 in [0, 1], in place."""
        height, width = rgb.shape[:2]
        for top in range(0, height, ROWS):
            for left in range(0, width, COLUMNS):
                part = rgb[top : top + ROWS, left : left + COLUMNS]
                where = _grid(self.gain.shape, (top, left), part.shape, (height, width))
                part *= _enlarged(self.gain, where, cv2.INTER_LINEAR)
                part += _enlarged(self.shift, where, cv2.INTER_LINEAR)
                if self.rest is not None:
                    part += _enlarged(self.rest, where, cv2.INTER_CUBIC)
                np.clip(part, 0.0, 1.0, out=part)


def reduced(rgb: Pixels, largest: tuple[int, int]) -> Pixels | None:
    """The picture (H, W, 3) by averaging, at most `REDUCED_PIXELS` and within `largest` (height, width); a new array.

    None where nothing sensible is left of it: a panorama's shorter side falls below `LEAST_SIDE`.
    """
    height, width = rgb.shape[:2]
    scale = min(1.0, math.sqrt(REDUCED_PIXELS / (height * width)), largest[0] / height, largest[1] / width)
    size = int(width * scale), int(height * scale)
    if min(size) < LEAST_SIDE:
        return None
    return average(rgb, size)


def copy_size(rgb: Pixels, pixels: float) -> tuple[int, int]:
    """(width, height) of a copy of a picture (H, W, 3) that has so many pixels, in its proportions."""
    height, width = rgb.shape[:2]
    scale = math.sqrt(pixels / (height * width))
    return max(1, round(width * scale)), max(1, round(height * scale))


def average(rgb: Pixels, size: tuple[int, int]) -> Pixels:
    """`rgb` (H, W, 3) reduced to `size` (width, height) by averaging."""
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.float32)


def changes_tone(before: Pixels, after: Pixels) -> bool:
    """Whether the two (h, w, 3) differ by more than `UNCHANGED` in what is left of them out of focus."""
    difference = _mean(after - before, _radius(before))
    return bool(np.sqrt(np.mean(np.square(difference))) > UNCHANGED)


def change_map(before: Pixels, after: Pixels) -> ChangeMap:
    """All of what turned `before` into `after`, (h, w, 3) both: the tone as a map, and what that leaves as a sum."""
    tone = tone_map(before, after)
    return ChangeMap(tone.gain, tone.shift, after - (tone.gain * before + tone.shift))


def tone_map(tiled: Pixels, wanted: Pixels) -> ChangeMap:
    """What brings `tiled` to the tone of `wanted`, both (h, w, 3) at the reduced size.

    In every window the least squares fit of wanted by gain * tiled + shift, which `STIFFNESS` draws to the ratio of the
    two means where the window is flat: light that is taken back takes its noise along. Then the mean of the fits of all
    windows that a pixel is in.
    """
    radius = _radius(tiled)
    # What is finer than tone differs between the two sizes, noise above all, and is to have no say.
    tiled, wanted = (_mean(each, max(1, radius // 6)) for each in (tiled, wanted))
    mean, mean_wanted = _mean(tiled, radius), _mean(wanted, radius)
    ratio = np.asarray(np.clip(mean_wanted / np.maximum(mean, np.float32(1e-3)), *RATIOS), np.float32)
    variance = _mean(tiled * tiled, radius) - mean * mean
    covariance = _mean(tiled * wanted, radius) - mean * mean_wanted
    gain = (covariance + STIFFNESS * ratio) / (variance + STIFFNESS)
    shift = mean_wanted - gain * mean
    return ChangeMap(_mean(gain, radius), _mean(shift, radius))


def _radius(picture: Pixels) -> int:
    return max(1, round(max(picture.shape[:2]) * RADIUS))


def _mean(values: Pixels, radius: int) -> Pixels:
    side = 2 * radius + 1
    return np.asarray(cv2.blur(values, (side, side), borderType=cv2.BORDER_REFLECT), np.float32)


def _grid(
    small: tuple[int, ...], first: tuple[int, int], part: tuple[int, ...], whole: tuple[int, int]
) -> tuple[Pixels, Pixels]:
    """Where the pixels of a part of a picture lie in one of shape `small`, as columns and rows.

    first: row and column of the part's first pixel. part, whole: (height, width, ...) of the part and of the picture.
    """
    # The centre of pixel y lies at (y + 0.5) * h / height - 0.5 of the small one, as cv2.resize has it.
    ys, xs = (
        (np.arange(first[axis], first[axis] + part[axis], dtype=np.float32) + 0.5) * (small[axis] / whole[axis]) - 0.5
        for axis in (0, 1)
    )
    columns, lines = np.meshgrid(xs, ys)
    return np.asarray(columns, np.float32), np.asarray(lines, np.float32)


def _enlarged(small: Pixels, where: tuple[Pixels, Pixels], interpolation: int) -> Pixels:
    return np.asarray(
        cv2.remap(small, *where, interpolation=interpolation, borderMode=cv2.BORDER_REPLICATE), np.float32
    )
