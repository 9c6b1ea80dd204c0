"""What the last doubling of a training brought."""

import math
from dataclasses import dataclass
from itertools import pairwise

from learning.events import Points

FLAT = {"dB": 0.1, "%": 1.0}
"""Change over a doubling below which a figure stands still, by unit."""


@dataclass(frozen=True)
class Doubling:
    """Of one figure, from half of the steps to all of them."""

    half: float
    """At half of the steps: between two validations, on a straight line over the logarithm of the steps; over the steps
    themselves where the first of the two is the start."""
    last: float

    @property
    def brought(self) -> float:
        return self.last - self.half

    def verdict(self, unit: str) -> str:
        """ "rising", "flat" or "falling"."""
        if abs(self.brought) < FLAT[unit]:
            return "flat"
        return "rising" if self.brought > 0 else "falling"


def doubling(points: Points) -> Doubling | None:
    """None where the first validation came after half of the steps, so that nothing is known about the first half."""
    if not points:
        return None
    last, final = points[-1]
    half = last / 2
    if points[0][0] > half:
        return None
    for (before, low), (after, high) in pairwise(points):
        if before <= half <= after:
            share = math.log(half / before) / math.log(after / before) if before else half / after
            return Doubling(low + share * (high - low), final)
    return None
