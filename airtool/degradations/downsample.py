"""Low resolution: made smaller and enlarged again to the same size."""

import cv2
import numpy as np

from airtool.degradations.base import Applied, Degradation, unit


def downsample(image: np.ndarray, amount: float, rng: np.random.Generator) -> Applied:
    """Reduced by the factor `amount` with area averaging, then enlarged bicubically to its old size.

    The size stays, so that every degradation can be composed with every other and compared with its ground truth.
    """
    height, width = image.shape[:2]
    small = (max(1, round(height / amount)), max(1, round(width / amount)))
    drawn = {"small_height": small[0], "small_width": small[1]}
    if small == (height, width):
        return image.copy(), drawn
    reduced = cv2.resize(image, small[::-1], interpolation=cv2.INTER_AREA).reshape(*small, 3)
    enlarged = cv2.resize(reduced, (width, height), interpolation=cv2.INTER_CUBIC).reshape(image.shape)
    return unit(enlarged), drawn


DOWNSAMPLE = Degradation(
    name="downsample",
    label="low resolution",
    summary="made smaller by averaging and enlarged again bicubically; the size stays",
    parameter="reduction factor; 1 keeps the picture",
    low=1.0,
    high=16.0,
    default=4.0,
    training=(1.5, 4.0),
    apply=downsample,
)
