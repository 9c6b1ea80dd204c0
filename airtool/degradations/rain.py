"""Rain: streaks of several depths, and the veil of the rain too far away to be seen as streaks."""

import math

import cv2
import numpy as np

from airtool.degradations.base import Applied, Degradation, unit
from airtool.degradations.fields import depth_map, smooth_field
from airtool.degradations.sprites import picture_scale, stamp, streak

_SPARSE_SHARE = 0.25
"""Share of the draws in the look of Rain100L: few, hard, well separated streaks. The others are a curtain."""

# depth factor, share of the streaks: far streaks are shorter, thinner and fainter.
_LAYERS = ((1.0, 0.3), (0.75, 0.4), (0.5, 0.3))
_PER_LAYER = 5

# Layers of a curtain, far to near: ranges of half length and half width in pixels, of the mean number of streaks over
# a pixel at full strength, of brightness, and the chance that the layer is there at all.
_CURTAIN = (
    ((1.2, 4.0), (0.40, 0.80), (0.40, 2.00), (0.5, 1.0), 0.85),
    ((4.0, 10.0), (0.45, 1.00), (0.15, 1.20), (0.5, 1.1), 0.90),
    ((9.0, 22.0), (0.55, 1.50), (0.03, 0.50), (0.5, 1.1), 0.70),
)


def _sparse_layer(
    shape: tuple[int, int], amount: float, angle: float, rng: np.random.Generator
) -> tuple[np.ndarray, dict]:
    """Few separate streaks: spindles with lognormal lengths, gamma-distributed brightness, gathered in gusts.

    Sizes, brightness and density follow the streak layers of Rain100L: grey, never negative, clustered, nearly
    parallel, long and thin, with many faint and few bright streaks. They were set by hand, on summary figures (PSNR,
    spread and autocorrelation of the layer) of a few of its training pairs and of its test pairs; no pixel of them is
    used.
    """
    scale = picture_scale(shape)
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

    layer = rng.choice(len(_LAYERS), _count(shape, bank, density / scale**2, rng), p=[share for _, share in _LAYERS])
    which = layer * _PER_LAYER + rng.integers(0, _PER_LAYER, layer.size)
    depths = np.array([depth for depth, _ in _LAYERS])[layer]
    canvas = np.zeros(shape, np.float32)
    _scatter(canvas, bank, which, bright * depths * rng.gamma(1.2, 1 / 1.2, layer.size), rng)
    drawn = {"length_px": length, "width_px": width, "brightness": bright, "density": density, "streaks": layer.size}
    return canvas, drawn


def _count(shape: tuple[int, int], bank: list[np.ndarray], density: float, rng: np.random.Generator) -> int:
    """A Poisson number of streaks for the picture and its surroundings, from which streaks reach into it."""
    margin = bank[0].shape[0] // 2
    return int(rng.poisson(density * (shape[0] + 2 * margin) * (shape[1] + 2 * margin)))


def _scatter(
    canvas: np.ndarray, bank: list[np.ndarray], which: np.ndarray, gains: np.ndarray, rng: np.random.Generator
) -> None:
    """Stamp streaks at even chance over the canvas and its surroundings, brighter in gusts (a smooth field)."""
    height, width = canvas.shape
    margin = bank[0].shape[0] // 2
    rows = rng.uniform(-margin, height + margin, which.size)
    columns = rng.uniform(-margin, width + margin, which.size)
    field = smooth_field((16, 16), rng, cells=4, octaves=2)
    cell = field[np.clip(rows * 16 / height, 0, 15).astype(int), np.clip(columns * 16 / width, 0, 15).astype(int)]
    stamp(canvas, bank, which, rows, columns, gains * (0.3 + 1.4 * cell))


def _curtain_layer(
    shape: tuple[int, int], amount: float, angle: float, rng: np.random.Generator
) -> tuple[np.ndarray, dict]:
    """Dense fine rain: S = b f(p) sum_k b_k (N_k * s_k)(p) + near streaks.

    Layer k is shot noise: N_k, sparse impulses of gamma-distributed brightness, convolved with one spindle s_k, so
    that streaks overlap up to a directional texture where they are far, short and thin. f is a smooth field: rain is
    not equally strong everywhere. Near streaks are few, long or broken, blurred, and stamped one by one. The texture is
    made at 480 px along the shorter side at most and enlarged.
    """
    scale = picture_scale(shape)
    small = (max(1, round(shape[0] / scale)), max(1, round(shape[1] / scale)))
    bright = float(rng.lognormal(math.log(0.17), 0.35) * (0.4 + 1.1 * amount))
    fullness = float(rng.uniform(0.5, 1.2) * (0.4 + 0.9 * amount))
    present = [rng.random() < layer[-1] for layer in _CURTAIN]
    if not any(present):
        present[1] = True

    canvas: np.ndarray = np.zeros(small, np.float32)
    lengths, widths = [], []
    for there, (length, width, coverage, gain, _) in zip(present, _CURTAIN, strict=True):
        if not there:
            continue
        along, across = float(rng.uniform(*length)), float(rng.uniform(*width))
        sprite = streak(math.ceil(2.2 * along), along, across, angle + rng.normal(0.0, 0.03), power=rng.uniform(2, 5))
        chance = min(0.5, rng.uniform(*coverage) * fullness / float(sprite.sum()))
        evenness = rng.uniform(1.0, 5.0)  # 1: many faint, few bright; 5: nearly alike
        hit = np.flatnonzero(rng.random(small, dtype=np.float32) < chance)
        impulses = np.zeros(small, np.float32)
        impulses.flat[hit] = rng.standard_gamma(evenness, hit.size) * (rng.uniform(*gain) / evenness)
        canvas += cv2.filter2D(impulses, -1, sprite, borderType=cv2.BORDER_REFLECT).reshape(small)
        lengths.append(along * scale)
        widths.append(across * scale)
    np.maximum(canvas, 0.0, out=canvas)  # the convolution by Fourier transform rounds to either side of 0
    patchy = float(rng.uniform(0.0, 1.0))
    canvas *= 1 - np.float32(patchy) + np.float32(2 * patchy) * smooth_field(small, rng, cells=2, octaves=2)
    if small != shape:
        canvas = cv2.resize(canvas, shape[::-1], interpolation=cv2.INTER_LINEAR).reshape(shape)

    broken = float(rng.uniform(0.05, 0.4)) if rng.random() < 0.3 else 1.0  # short exposures leave drops, not streaks
    near = float(rng.uniform(7.0, 24.0) * broken * scale)
    blur = float(rng.uniform(0.6, 2.0) * scale)
    bank = []
    for _ in range(8):
        along, across = near * rng.lognormal(0.0, 0.4), blur * rng.lognormal(0.0, 0.3)
        lean = angle + rng.normal(0.0, 0.03)
        bank.append(streak(math.ceil(2.2 * max(along, across)), max(along, across), across, lean, power=4.0))
    density = float(10 ** rng.uniform(-5.0, -2.8) * (0.2 + amount))
    which = rng.integers(0, len(bank), _count(shape, bank, density / scale**2, rng))
    _scatter(canvas, bank, which, rng.uniform(0.3, 1.6, which.size), rng)
    canvas *= np.float32(bright)
    drawn = {
        "lengths_px": lengths,
        "widths_px": widths,
        "brightness": bright,
        "fullness": fullness,
        "patchy": patchy,
        "near_length_px": near,
        "near_width_px": blur,
        "near_streaks": int(which.size),
    }
    return canvas, drawn


def streak_layer(shape: tuple[int, int], amount: float, rng: np.random.Generator) -> tuple[np.ndarray, dict]:
    """The light that rain streaks add: float32 (H, W), 0 or above, with the drawn parameters.

    Every streak is a spindle (see `sprites.streak`) along one direction of fall with a small jitter. One draw in four
    has the look of Rain100L ("sparse": few, bright, separate), the others that of photographs of rain ("curtain":
    dense, fine, soft, in layers). `amount` raises number and brightness in both. The ranges of the curtain were set
    by eye, beside photographs of real rain (half of RealRain); no pixel of them is used.
    """
    sparse = rng.random() < _SPARSE_SHARE
    angle = float(np.clip(rng.normal(0.0, 0.40), -0.8, 0.8) if sparse else np.clip(rng.normal(0.0, 0.45), -1.1, 1.1))
    canvas, drawn = (_sparse_layer if sparse else _curtain_layer)(shape, amount, angle, rng)
    return canvas, {"look": "sparse" if sparse else "curtain", "angle_degrees": math.degrees(angle), **drawn}


def rain(image: np.ndarray, amount: float, rng: np.random.Generator) -> Applied:
    """y = clip(z + S) or y = e^-S z + (1 - e^-S) L: streaks S over the veiled scene z = t x + (1 - t) A.

    A is the airlight, t = 1 - v d the transmission of the veil v over a procedural depth d. Sparse streaks follow the
    first, the additive composition on sRGB values of Rain100L (Yang et al., CVPR 2017), with the veil of heavy rain
    (Li et al., CVPR 2019) above amount 0.5 only; around 0.5 it looks like Rain100L. A curtain follows the second:
    dense streaks hide what is behind them (their transparencies multiply) and show the sky's light L, so that they
    fade before bright grounds, and even light rain has a veil. `amount` is the strength: it raises the density and
    brightness of the streaks and v.
    """
    if amount == 0:
        return image.copy(), {}
    streaks, drawn = streak_layer(image.shape[:2], amount, rng)
    sparse = drawn["look"] == "sparse"
    veil = float(max(0.0, amount - 0.5) * rng.uniform(0.2, 1.2) if sparse else amount * rng.uniform(0.05, 0.75))
    drawn["veil"] = veil
    rainy = image
    if veil > 0:
        airlight = float(rng.uniform(0.6, 0.9) if sparse else rng.uniform(0.45, 0.85))
        drawn["airlight"] = airlight
        opacity = np.float32(veil) * (0.3 + 0.7 * depth_map(image, rng))
        rainy = image + (np.float32(airlight) - image) * opacity[..., None]
    if sparse:
        return unit(rainy + streaks[..., None]), drawn
    light = float(rng.uniform(0.7, 1.0))
    drawn["light"] = light
    return unit(rainy + (np.float32(light) - rainy) * (1 - np.exp(-streaks))[..., None]), drawn


RAIN = Degradation(
    name="rain",
    label="rain",
    summary="rain streaks of several depths, separate or as a dense curtain, with a veil",
    parameter="strength 0..1",
    low=0.0,
    high=1.0,
    default=0.5,
    training=(0.2, 0.85),
    apply=rain,
)
