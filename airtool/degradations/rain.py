"""Rain: streaks of several depths, and the veil of the rain too far away to be seen as streaks."""

import math

import numpy as np

from airtool.degradations.base import Applied, Degradation, unit
from airtool.degradations.fields import depth_map, smooth_field
from airtool.degradations.sprites import picture_scale, stamp, streak

# depth factor, share of the streaks: far streaks are shorter, thinner and fainter.
_LAYERS = ((1.0, 0.3), (0.75, 0.4), (0.5, 0.3))
_PER_LAYER = 5


def streak_layer(shape: tuple[int, int], amount: float, rng: np.random.Generator) -> tuple[np.ndarray, dict]:
    """The light that rain streaks add: float32 (H, W), 0 or above, with the drawn parameters.

    Every streak is a spindle (see `sprites.streak`) along one direction of fall with a small jitter. Sizes,
    brightness and density follow the streak layers of Rain100L: grey, never negative, clustered, nearly parallel,
    long and thin, with many faint and few bright streaks. They were set by hand, on summary figures (PSNR, spread and
    autocorrelation of the layer) of a few of its training pairs and of its test pairs; no pixel of them is used.
    """
    scale = picture_scale(shape)
    angle = float(np.clip(rng.normal(0.0, 0.40), -0.8, 0.8))
    length = float(scale * rng.lognormal(math.log(11.0), 0.35))
    width = float(scale * rng.uniform(0.55, 0.95))
    bright = float(rng.lognormal(math.log(0.18), 0.25) * (0.4 + 1.2 * amount))
    density = float(rng.lognormal(math.log(0.0085), 0.25) * amount)

    bank = []
    for depth, _ in _LAYERS:
        for _ in range(_PER_LAYER):
            along = max(0.8, depth * length * rng.lognormal(0.0, 0.4))
            across = max(0.5, depth * width * rng.lognormal(0.0, 0.2))
            bank.append(streak(math.ceil(2.2 * along), along, across, angle + rng.normal(0.0, 0.015), power=3.0))

    margin = bank[0].shape[0] // 2
    height, width_px = shape[0] + 2 * margin, shape[1] + 2 * margin
    count = int(rng.poisson(density * height * width_px / scale**2))
    rows = rng.uniform(-margin, shape[0] + margin, count)
    columns = rng.uniform(-margin, shape[1] + margin, count)
    # Gusts: part of the streaks gather where a smooth field is high.
    field = smooth_field((16, 16), rng, cells=4, octaves=2)
    cell = field[np.clip(rows * 16 / shape[0], 0, 15).astype(int), np.clip(columns * 16 / shape[1], 0, 15).astype(int)]
    layer = rng.choice(len(_LAYERS), count, p=[share for _, share in _LAYERS])
    which = layer * _PER_LAYER + rng.integers(0, _PER_LAYER, count)
    depths = np.array([depth for depth, _ in _LAYERS])[layer]
    gains = bright * depths * rng.gamma(1.2, 1 / 1.2, count) * (0.3 + 1.4 * cell)
    canvas = np.zeros(shape, np.float32)
    stamp(canvas, bank, which, rows, columns, gains)
    drawn = {
        "angle_degrees": math.degrees(angle),
        "length_px": length,
        "width_px": width,
        "brightness": bright,
        "density": density,
        "streaks": count,
    }
    return canvas, drawn


def rain(image: np.ndarray, amount: float, rng: np.random.Generator) -> Applied:
    """y = clip(t x + (1 - t) A + S): streaks S over a veil of airlight A with transmission t = 1 - v d.

    The additive composition on sRGB values of Rain100L (Yang et al., CVPR 2017) with the veil of heavy rain
    (Li et al., CVPR 2019). `amount` is the strength: it raises the density and brightness of the streaks; below 0.5
    there is no veil, above it v grows, over a procedural depth d. Around 0.5 it looks like Rain100L.
    """
    if amount == 0:
        return image.copy(), {}
    streaks, drawn = streak_layer(image.shape[:2], amount, rng)
    veil = float(max(0.0, amount - 0.5) * rng.uniform(0.2, 1.2))
    drawn["veil"] = veil
    if veil > 0:
        airlight = float(rng.uniform(0.6, 0.9))
        drawn["airlight"] = airlight
        opacity = np.float32(veil) * (0.3 + 0.7 * depth_map(image, rng))
        rainy = image + (np.float32(airlight) - image) * opacity[..., None]
        rainy += streaks[..., None]
    else:
        rainy = image + streaks[..., None]
    return unit(rainy), drawn


RAIN = Degradation(
    name="rain",
    label="rain",
    summary="rain streaks of several depths, with a veil when heavy",
    parameter="strength 0..1",
    low=0.0,
    high=1.0,
    default=0.5,
    training=(0.2, 0.85),
    apply=rain,
)
