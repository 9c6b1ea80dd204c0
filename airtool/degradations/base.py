"""The contract of a degradation: one record of facts with one function."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Applied = tuple[np.ndarray, dict]
"""The degraded picture and a JSON-able record of every parameter that was drawn for it."""


@dataclass(frozen=True)
class Degradation:
    """One way in which a photograph goes wrong.

    `apply(image, amount, rng)` takes a float32 picture (H, W, 3), sRGB-encoded RGB in [0, 1], of any size from 1x1,
    and returns a new one of the same shape, dtype and range, with the record of what was drawn. It never changes its
    input. The generator is the only source of chance, so the same picture, amount and generator state give the same
    result.
    """

    name: str
    """What the user types."""
    label: str
    """The class that the restoration literature uses; several degradations may share one."""
    summary: str
    """One line for a list."""
    parameter: str
    """What the amount means, with its unit."""
    low: float
    """Smallest legal amount."""
    high: float
    """Largest legal amount."""
    default: float
    """The amount used when the user gives none."""
    training: tuple[float, float]
    """The range that training draws from, evenly."""
    apply: Callable[[np.ndarray, float, np.random.Generator], Applied]
    """The physics."""


def unit(image: np.ndarray) -> np.ndarray:
    """Clip to [0, 1] as float32, in place where the input already is float32."""
    image = np.asarray(image, dtype=np.float32)
    return np.clip(image, 0.0, 1.0, out=image)
