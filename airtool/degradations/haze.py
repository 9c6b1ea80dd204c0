"""Haze and fog."""

import numpy as np

from airtool.degradations.base import Applied, Degradation, unit
from airtool.degradations.fields import depth_map


def scatter(image: np.ndarray, transmission: np.ndarray, airlight: np.ndarray) -> np.ndarray:
    """I = J t + A (1 - t) (Koschmieder 1924): float32 (H, W, 3) from J (H, W, 3), t (H, W), A (3,), all in [0, 1]."""
    return airlight + (image - airlight) * transmission[..., None]


def haze(image: np.ndarray, amount: float, rng: np.random.Generator) -> Applied:
    """I = J t + A (1 - t), t = exp(-beta d), on sRGB values as RESIDE does (Li et al., TIP 2019).

    `amount` is beta; the procedural depth d runs from a drawn nearest distance to 1, so the farthest part of the
    picture keeps exp(-beta) of its light. A is drawn in 0.7..1 with a slight colour.
    """
    if amount == 0:
        return image.copy(), {}
    nearest = float(rng.uniform(0.05, 0.5))
    airlight = np.clip(rng.uniform(0.7, 1.0) + rng.normal(0.0, 0.015, 3), 0.0, 1.0).astype(np.float32)
    depth = np.float32(nearest) + np.float32(1.0 - nearest) * depth_map(image, rng)
    transmission = np.exp(np.float32(-amount) * depth)
    drawn = {
        "airlight": airlight.tolist(),
        "nearest_depth": nearest,
        "mean_transmission": float(transmission.mean()),
    }
    return unit(scatter(image, transmission, airlight)), drawn


HAZE = Degradation(
    name="haze",
    label="haze",
    summary="scattering over a procedural depth, with a slightly coloured airlight",
    parameter="beta, the scattering coefficient; depth runs to 1",
    low=0.0,
    high=4.0,
    default=1.2,
    training=(0.4, 2.2),
    apply=haze,
)
