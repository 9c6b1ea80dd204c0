"""Defocus: the aperture's image in every point."""

import math

import cv2
import numpy as np

from airtool.degradations.base import Applied, Degradation
from airtool.degradations.motion_blur import convolve_light

_OVERSAMPLING = 8


def aperture(radius: float, blades: int, turn: float) -> np.ndarray:
    """The blur circle of a lens: float32 (K, K), K odd, sums to 1.

    A disc of `radius` pixels for blades = 0, else a regular polygon of the same area, turned by `turn` radians; drawn
    at eight times the size and averaged, so that fractions of a pixel count.
    """
    outer = radius if blades == 0 else radius * math.sqrt(2 * math.pi / (blades * math.sin(2 * math.pi / blades)))
    half = math.ceil(outer - 0.5)
    size = 2 * half + 1
    offsets = (np.arange(size * _OVERSAMPLING, dtype=np.float32) + 0.5) / _OVERSAMPLING - size / 2
    rows, columns = offsets[:, None], offsets[None, :]
    if blades == 0:
        inside = rows**2 + columns**2 <= radius**2
    else:
        apothem = outer * math.cos(math.pi / blades)
        inside = np.ones((size * _OVERSAMPLING,) * 2, bool)
        for blade in range(blades):
            normal = turn + 2 * math.pi * blade / blades
            inside &= rows * math.sin(normal) + columns * math.cos(normal) <= apothem
    kernel = cv2.resize(inside.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA).reshape(size, size)
    # So small an aperture lies between the samples, and blurs nothing.
    return kernel / kernel.sum() if kernel.any() else np.ones((1, 1), np.float32)


def defocus(image: np.ndarray, amount: float, rng: np.random.Generator) -> Applied:
    """y = encode(k * decode(x)): convolution of linear light with a disc or a polygon of 5 to 8 blades.

    `amount` is the radius in pixels. Geometric optics images a point out of focus as the shape of the aperture
    (Potmesil and Chakravarty, SIGGRAPH 1981).
    """
    if amount == 0:
        return image.copy(), {}
    blades = int(rng.choice([0, 5, 6, 7, 8]))
    turn = float(rng.uniform(0.0, 2 * math.pi))
    return convolve_light(image, aperture(amount, blades, turn)), {"blades": blades, "turn_radians": turn}


DEFOCUS = Degradation(
    name="defocus",
    label="blur",
    summary="a lens out of focus: disc or polygon aperture, in linear light",
    parameter="radius of the blur circle in pixels",
    low=0.0,
    high=40.0,
    default=2.5,
    training=(1.0, 4.0),
    apply=defocus,
)
