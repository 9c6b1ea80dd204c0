"""Snow: flakes of many sizes, near ones blurred and smeared, and a veil."""

import math

import cv2
import numpy as np

from airtool.degradations.base import Applied, Degradation, unit
from airtool.degradations.fields import smooth_field
from airtool.degradations.sprites import picture_scale, stamp, streak

# mean radius in pixels, share of the flakes, opacity
_LAYERS = ((0.8, 0.70, 0.55), (1.8, 0.24, 0.75), (4.0, 0.06, 0.65))
_PER_LAYER = 5


def flake(radius: float, smear: float, angle: float, rng: np.random.Generator) -> np.ndarray:
    """One flake: float32 (K, K), K odd, opacity in [0, 1]: a soft lumpy spot smeared by its fall."""
    along = radius * (1.0 + smear)
    half = math.ceil(2.2 * along) + 1
    spot = streak(half, along, radius, angle, power=3.0)
    if radius > 1.5:
        lumps = smooth_field(spot.shape, rng, cells=5, octaves=2)
        spot = np.clip(spot * (0.55 + 0.9 * lumps), 0.0, 1.0)
    return spot


def snow(image: np.ndarray, amount: float, rng: np.random.Generator) -> Applied:
    """y = v (1 - m) + c m, over the veil v = x + (c - x) h: flakes of opacity m and colour c.

    The composition of Snow100K (Liu et al., DesnowNet, TIP 2018). `amount` is the strength: it raises the number of
    flakes and the veil h, which is a smooth field.
    """
    if amount == 0:
        return image.copy(), {}
    shape = image.shape[:2]
    scale = picture_scale(shape)
    angle = float(rng.normal(0.0, 0.5))
    size = float(scale * rng.lognormal(0.0, 0.25))
    smear = float(rng.exponential(0.35))
    density = float(0.012 * amount * rng.lognormal(0.0, 0.3))
    bank = []
    for radius, _, _ in _LAYERS:
        for _ in range(_PER_LAYER):
            own = max(0.5, radius * size * rng.lognormal(0.0, 0.25))
            bank.append(flake(own, smear * rng.uniform(0.5, 1.5), angle + rng.normal(0.0, 0.15), rng))

    count = int(rng.poisson(density * shape[0] * shape[1] / scale**2))
    layer = rng.choice(len(_LAYERS), count, p=[share for _, share, _ in _LAYERS])
    which = layer * _PER_LAYER + rng.integers(0, _PER_LAYER, count)
    gains = np.array([opacity for _, _, opacity in _LAYERS])[layer] * rng.uniform(0.5, 1.3, count)
    mask = np.zeros(shape, np.float32)
    stamp(mask, bank, which, rng.uniform(0, shape[0], count), rng.uniform(0, shape[1], count), gains)
    np.minimum(mask, 1.0, out=mask)

    colour = np.clip(rng.uniform(0.85, 1.0) + rng.normal(0.0, 0.01, 3), 0.0, 1.0).astype(np.float32)
    veil = float(amount * rng.uniform(0.0, 0.3))
    opacity = mask + (1 - mask) * (np.float32(veil) * smooth_field(shape, rng, cells=2, octaves=2))
    snowy = image + (colour - image) * cv2.merge([opacity] * 3).reshape(image.shape)
    drawn = {
        "angle_degrees": math.degrees(angle),
        "size": size,
        "smear": smear,
        "flakes": count,
        "veil": veil,
        "colour": colour.tolist(),
    }
    return unit(snowy), drawn


SNOW = Degradation(
    name="snow",
    label="snow",
    summary="falling flakes of several sizes, with a veil",
    parameter="strength 0..1",
    low=0.0,
    high=1.0,
    default=0.5,
    training=(0.2, 0.9),
    apply=snow,
)
