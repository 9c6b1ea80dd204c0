"""Pictures beside the restored one: before and after, and what a method saw."""

import numpy as np
import numpy.typing as npt

from airtool.images.encode import encode
from airtool.images.opencv import cv2
from airtool.images.picture import Metadata, Picture

Pixels = npt.NDArray[np.float32]

LONGEST = 1600
"""Pixels of the longer side of each half."""

LINE = 4
"""Width in pixels of the white line between the halves."""


def half(rgb: Pixels) -> Pixels:
    """One half of a comparison: (H, W, 3) in [0, 1], shrunk by area averaging to at most `LONGEST` pixels a side."""
    height, width = rgb.shape[:2]
    factor = LONGEST / max(height, width)
    if factor >= 1:
        return rgb.copy()
    size = (max(round(width * factor), 1), max(round(height * factor), 1))
    return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA).astype(np.float32, copy=False)


def side_by_side(before: Pixels, after: Pixels, picture: Picture) -> bytes:
    """A JPEG file: `before` at the left, `after` (of the same shape) at the right, a thin white line between.

    picture: what both show. They are numbers in its colour space, so that the file gets its colour profile, and one
    channel where it has one; its other metadata describe the picture alone.
    """
    line = np.ones((before.shape[0], LINE, 3), np.float32)
    rgb = np.concatenate([before, line, after], axis=1)
    return _plain(rgb, "jpeg", picture.grey, Metadata(icc=picture.metadata.icc))


def bare_png(rgb: Pixels) -> bytes:
    """A PNG file of 8 bits without metadata, from (H, W, 3) in [0, 1]."""
    return _plain(rgb, "png", False, Metadata())


def _plain(rgb: Pixels, format: str, grey: bool, metadata: Metadata) -> bytes:
    return encode(Picture(rgb, alpha=None, depth=8, grey=grey, format=format, metadata=metadata))
