"""Raindrops on the lens or a window in front of it."""

import math

import cv2
import numpy as np

from airtool.degradations.base import Applied, Degradation, unit
from airtool.degradations.sprites import picture_scale


def _outline(radius: float, rng: np.random.Generator) -> np.ndarray:
    """A drop's outline around its centre: float32 (32, 2) in pixels (x, y); round, uneven, hanging a little."""
    turns = np.linspace(0.0, 2 * math.pi, 32, endpoint=False)
    bumps = sum(
        rng.normal(0.0, 0.12 / order) * np.cos(order * turns + rng.uniform(0.0, 2 * math.pi)) for order in (1, 2, 3)
    )
    reach = radius * (1.0 + bumps)
    stretch = rng.uniform(0.9, 1.5)
    return np.stack([reach * np.cos(turns), reach * np.sin(turns) * stretch], axis=1).astype(np.float32)


def raindrop(image: np.ndarray, amount: float, rng: np.random.Generator) -> Applied:
    """y = (1 - m) x + m g R(x): under a drop of opacity m one sees R, the scene refracted, flipped and out of focus.

    A drop is a short lens: around its centre c it shows the point c - k (p - c), upside down and a wide part of the
    scene squeezed into it; the camera is focused behind it, so it is blurred and its edge is soft (the model of Qian
    et al., "Attentive GAN for Raindrop Removal", CVPR 2018). `amount` is the share of the picture covered, roughly.
    """
    if amount == 0:
        return image.copy(), {}
    height, width = image.shape[:2]
    scale = picture_scale(image.shape)
    mean_radius = float(scale * rng.uniform(5.0, 14.0))
    softness = float(scale * rng.uniform(0.8, 3.5))
    count = max(1, int(rng.poisson(0.9 * amount * height * width / (math.pi * mean_radius**2))))
    mask = np.zeros((height, width), np.uint8)
    map_x = np.tile(np.arange(width, dtype=np.float32), (height, 1))
    map_y = np.tile(np.arange(height, dtype=np.float32)[:, None], (1, width))
    for _ in range(count):
        centre = rng.uniform((0.0, 0.0), (width, height)).astype(np.float32)
        radius = min(2.5 * mean_radius, mean_radius * rng.lognormal(-0.2, 0.5))
        squeeze = np.float32(rng.uniform(2.0, 5.0))
        outline = _outline(radius, rng) + centre
        cv2.fillPoly(mask, [np.rint(outline * 16).astype(np.int32)], 255, lineType=cv2.LINE_AA, shift=4)
        low = np.clip(np.floor(outline.min(axis=0)) - 3 * softness, 0, (width, height)).astype(int)
        high = np.clip(np.ceil(outline.max(axis=0)) + 3 * softness, 0, (width, height)).astype(int)
        columns = np.arange(low[0], high[0], dtype=np.float32)
        rows = np.arange(low[1], high[1], dtype=np.float32)
        map_x[low[1] : high[1], low[0] : high[0]] = centre[0] - squeeze * (columns - centre[0])
        map_y[low[1] : high[1], low[0] : high[0]] = (centre[1] - squeeze * (rows - centre[1]))[:, None]

    gain = float(rng.uniform(0.85, 1.15))
    blur = float(scale * rng.uniform(1.0, 3.0))
    refracted = cv2.remap(image, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    refracted = cv2.GaussianBlur(refracted.reshape(image.shape), (0, 0), blur).reshape(image.shape)
    opacity = cv2.GaussianBlur(mask, (0, 0), softness).reshape(height, width).astype(np.float32) / 255
    opacity *= np.float32(rng.uniform(0.8, 1.0))
    drops = image + (refracted * np.float32(gain) - image) * opacity[..., None]
    drawn = {
        "drops": count,
        "mean_radius_px": mean_radius,
        "edge_px": softness,
        "blur_px": blur,
        "gain": gain,
        "covered": float(opacity.mean()),
    }
    return unit(drops), drawn


RAINDROP = Degradation(
    name="raindrop",
    label="raindrop",
    summary="drops on the lens: refraction, flipped and blurred, with soft edges",
    parameter="share of the picture under drops, 0..1",
    low=0.0,
    high=1.0,
    default=0.25,
    training=(0.05, 0.5),
    apply=raindrop,
)
