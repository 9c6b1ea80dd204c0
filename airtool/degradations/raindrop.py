"""Raindrops on the lens or a window in front of it."""

import math

import cv2
import numpy as np

from airtool.degradations.base import Applied, Degradation, unit
from airtool.degradations.fields import smooth_field, soft
from airtool.degradations.sprites import picture_scale

_LENS_SHARE = 0.25
"""Share of the draws whose drops are clear lenses; in the others they are out of focus and pale."""
_CORNERS = 20


def _outlines(radii: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Outlines around their centres: float32 (N, 20, 2) in pixels (x, y); round, uneven, hanging a little."""
    turns = np.linspace(0.0, 2 * math.pi, _CORNERS, endpoint=False)
    orders = np.arange(1, 4)[:, None]
    heights = rng.normal(0.0, 0.12, (radii.size, 3)) / orders[:, 0]
    phases = rng.uniform(0.0, 2 * math.pi, (radii.size, 3, 1))
    bumps = np.einsum("nk,nkt->nt", heights, np.cos(orders * turns + phases))
    reach = radii[:, None] * (1.0 + bumps)
    hang = rng.uniform(0.9, 1.5, (radii.size, 1))
    return np.stack([reach * np.cos(turns), reach * np.sin(turns) * hang], axis=2).astype(np.float32)


def _fill(plane: np.ndarray, polygon: np.ndarray, value: int) -> None:
    cv2.fillPoly(plane, [polygon], value, lineType=cv2.LINE_AA, shift=4)


def raindrop(image: np.ndarray, amount: float, rng: np.random.Generator) -> Applied:
    """y = (1 - m) x + m B: under a drop of opacity m one sees its body B.

    A drop is a short lens: around its centre c it shows the point c - k (p - c), upside down and a wide part of the
    scene squeezed into it; the camera is focused behind it, so this refracted scene R is blurred and the drop's edge
    is soft (the model of Qian et al., "Attentive GAN for Raindrop Removal", CVPR 2018). One draw in four stops there
    ("lens"): B = g R with a gain g. The others ("blob") are so far out of focus, and bend the light so strongly, that
    B is mostly one pale colour with a bright spot, and a film of water lies between them: see `_blob`.

    `amount` is the share of the picture covered, roughly. The ranges of the blobs were set by eye, beside photographs
    (half of RainDrop's); no pixel of them is used.
    """
    if amount == 0:
        return image.copy(), {}
    height, width = image.shape[:2]
    scale = picture_scale(image.shape)
    lens = bool(rng.random() < _LENS_SHARE)
    if lens:
        mean_radius = float(scale * rng.uniform(5.0, 14.0))
        softness = float(scale * rng.uniform(0.8, 3.5))
        spread, opacities, shine = 0.5, (1.0, 1.0), 0.0
    else:
        # Dense drops have merged into larger ones.
        mean_radius = float(scale * max(7.5 * math.sqrt(amount), math.exp(rng.uniform(math.log(3.0), math.log(24.0)))))
        softness = float(mean_radius * rng.uniform(0.12, 0.6))
        spread, opacities = float(rng.uniform(0.2, 0.7)), (float(rng.uniform(0.3, 0.9)), 1.0)
        shine = float(rng.uniform(0.15, 1.0))
    count = max(1, int(rng.poisson(0.9 * amount * height * width / (math.pi * mean_radius**2))))

    centres = rng.uniform((0.0, 0.0), (width, height), (count, 2)).astype(np.float32)
    radii = np.minimum(2.5 * mean_radius, mean_radius * rng.lognormal(-0.2, spread, count))
    shapes = _outlines(radii, rng)
    outlines = shapes + centres[:, None]
    polygons = np.rint(outlines * 16).astype(np.int32)
    squeezes = rng.uniform(2.0, 5.0, count).astype(np.float32)
    lows = np.clip(np.floor(outlines.min(axis=1) - 3 * softness), 0, (width, height)).astype(int).tolist()
    highs = np.clip(np.ceil(outlines.max(axis=1) + 3 * softness), 0, (width, height)).astype(int).tolist()
    values = np.rint(255 * rng.uniform(*opacities, count)).astype(int).tolist()
    # The spot of the sky: a smaller copy of the drop, low in it, sometimes a little aside.
    aside = rng.normal(0.0, 0.12)
    size = rng.uniform(0.4, 0.8, count)
    offset = np.stack([np.full(count, aside), 0.85 - size], axis=1) * radii[:, None]
    spots = np.rint((shapes * size[:, None, None] + (centres + offset)[:, None]) * 16).astype(np.int32)
    shines = np.rint(255 * rng.uniform(0.4, 1.0, count) * (rng.random(count) < shine)).astype(int).tolist()

    mask = np.zeros((height, width), np.uint8)
    spot = np.zeros((height, width), np.uint8)
    map_x = np.tile(np.arange(width, dtype=np.float32), (height, 1))
    map_y = np.tile(np.arange(height, dtype=np.float32)[:, None], (1, width))
    columns, rows = map_x[0].copy(), map_y[:, 0].copy()
    for index, ((left, top), (right, bottom)) in enumerate(zip(lows, highs, strict=True)):
        _fill(mask, polygons[index], values[index])
        if shine:
            _fill(spot, spots[index], shines[index])
        squeeze, (x, y) = squeezes[index], centres[index]
        map_x[top:bottom, left:right] = x - squeeze * (columns[left:right] - x)
        map_y[top:bottom, left:right] = (y - squeeze * (rows[top:bottom] - y))[:, None]

    covered = float(np.count_nonzero(mask) / mask.size)
    gain = float(rng.uniform(0.85, 1.15))
    blur = float(scale * rng.uniform(1.0, 3.0))
    refracted = cv2.remap(image, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    refracted = cv2.GaussianBlur(refracted.reshape(image.shape), (0, 0), blur).reshape(image.shape)
    drawn = {
        "look": "lens" if lens else "blob",
        "drops": count,
        "mean_radius_px": mean_radius,
        "edge_px": softness,
        "blur_px": blur,
        "gain": gain,
        "covered": covered,
    }
    opacity = soft(mask, softness) * np.float32(rng.uniform(0.8, 1.0) / 255)
    body, scene = refracted * np.float32(gain), image
    if not lens:
        body, scene = _blob(image, body, opacity, soft(spot, 0.6 * softness) / np.float32(255), amount, rng, drawn)
    return unit(scene + (body - scene) * opacity[..., None]), drawn


def _blob(
    image: np.ndarray,
    refracted: np.ndarray,
    opacity: np.ndarray,
    spot: np.ndarray,
    amount: float,
    rng: np.random.Generator,
    drawn: dict,
) -> tuple[np.ndarray, np.ndarray]:
    """The bodies B of drops out of focus, and the scene x' between them: float32 (H, W, 3) each.

    B = (1 - s) (1 - 4 r m (1 - m)) ((1 - w) g R + w C) + s L and x' = (1 - u f) x + u f L. The colour C is the mean
    of the scene, tinted and paled; r darkens the rim, where m (1 - m) is largest. The sky is upside down in a drop:
    its light L is in the soft spot s, low in the drop. The film's opacity is u times a smooth field f.
    """
    light = rng.uniform(0.72, 1.0) + rng.uniform(0.0, 0.05) * np.array([-1.0, 0.0, 1.0])
    pale = rng.uniform(0.15, 0.9) if rng.random() < 0.5 else rng.uniform(0.0, 0.25)
    tint = 1 + rng.uniform(-0.02, 0.08) * np.array([1.0, 0.0, -1.0])
    colour = image.mean(axis=(0, 1)) * tint * rng.lognormal(0.05, 0.2)
    colour += pale * (light - colour)
    mixed, rim, film = rng.uniform(0.3, 1.0), rng.uniform(0.0, 0.35), amount * rng.uniform(0.0, 0.5)
    light, colour = light.astype(np.float32), colour.astype(np.float32)

    body = refracted + np.float32(mixed) * (colour - refracted)
    body *= (1 - np.float32(4 * rim) * opacity * (1 - opacity))[..., None]
    body += (light - body) * spot[..., None]
    cover = np.float32(film) * smooth_field(opacity.shape, rng, cells=2, octaves=2)
    drawn.update(light=light.tolist(), colour=colour.tolist(), mixed=float(mixed), rim=float(rim), film=float(film))
    return body, image + (light - image) * cover[..., None]


RAINDROP = Degradation(
    name="raindrop",
    label="raindrop",
    summary="drops on the lens or a window: refraction, upside down and out of focus, pale, with the sky's light",
    parameter="share of the picture under drops, 0..1",
    low=0.0,
    high=1.0,
    default=0.25,
    training=(0.05, 0.5),
    apply=raindrop,
)
