"""Colours and ramps: they show casts, veils, darkening, clipping, banding, and noise on flat fields."""

import cv2
import numpy as np

from airtool.methods.defusion.grounds.drawing import Texture, coloured, grid, inside, lch, mix, turned_grid
from airtool.metrics.protocols import Pixels


def patches(rng: np.random.Generator, side: int) -> Pixels:
    """A chart of square patches, saturated and muted colours above a row of greys, with a frame around each."""
    count = int(rng.integers(4, 7))
    hues = rng.uniform(0.0, 360.0) + np.arange(count * (count - 1)) * 137.5  # the golden angle: no two neighbours alike
    rows = np.repeat(np.arange(count - 1), count)
    lightness = 52.0 + 22.0 * np.cos(rows * 2.1) + rng.normal(0.0, 9.0, hues.size)
    chroma = np.where(rows % 2 == 0, 58.0, 26.0) + rng.normal(0.0, 7.0, hues.size)
    colours = lch(np.clip(lightness, 12.0, 95.0), np.maximum(chroma, 0.0), hues).reshape(count - 1, count, 3)
    greys = lch(np.linspace(96.0, 8.0, count), 0.0, 0.0)[None]
    return _framed(np.concatenate([colours, greys]), side, frame=rng.choice([0.04, 0.95], p=[0.75, 0.25]))


def _framed(table: Pixels, side: int, frame: float) -> Pixels:
    """A table of colours (rows, columns, 3) as patches with gaps of the grey `frame` between them."""
    rows, columns = table.shape[:2]
    x, y = (axis + np.float32(side / 2) for axis in grid(side))
    width, height = np.float32(side / columns), np.float32(side / rows)
    gap = np.float32(max(0.5, 0.05 * side / max(rows, columns)))
    row = np.minimum((y / height).astype(int), rows - 1)
    column = np.minimum((x / width).astype(int), columns - 1)
    in_x = width / 2 - np.abs(np.mod(x, width) - width / 2)
    in_y = height / 2 - np.abs(np.mod(y, height) - height / 2)
    share = inside(np.minimum(in_x, in_y) - gap)
    return mix(np.full(3, frame, np.float32), table[row, column], share)


def grey_ramps(rng: np.random.Generator, side: int) -> Pixels:
    """Three bands of greys: a step wedge from black to white, a smooth ramp, and steps that are hard to tell apart."""
    x, y = grid(side)
    across, down = x / np.float32(side) + np.float32(0.5), y / np.float32(side) + np.float32(0.5)
    steps = int(rng.integers(8, 21))
    wedge = np.floor(across * steps) / np.float32(steps - 1)
    middle, span = rng.uniform(0.25, 0.75), rng.uniform(0.06, 0.2)
    faint = np.float32(middle) + np.float32(span) * (np.floor(across * 6) / np.float32(5) - np.float32(0.5))
    smooth = across ** np.float32(rng.uniform(0.6, 1.6))
    first, second, third = ((wedge, smooth, faint)[band][:, :: rng.choice([-1, 1])] for band in rng.permutation(3))
    upper, lower = rng.uniform(0.25, 0.4), rng.uniform(0.6, 0.75)
    value = np.where(down < upper, first, np.where(down < lower, second, third))
    return np.repeat(np.clip(value, 0.0, 1.0)[..., None], 3, axis=-1)


def hue_field(rng: np.random.Generator, side: int) -> Pixels:
    """All hues across, from white over the full colour to black downwards."""
    x, y = grid(side)
    hue = np.mod((x / np.float32(side) + np.float32(0.5)) * 360 + np.float32(rng.uniform(0.0, 360.0)), 360.0)
    down = y / np.float32(side) + np.float32(0.5)
    hsv = np.stack([hue, np.clip(2 * down, 0.0, 1.0), np.clip(2 - 2 * down, 0.0, 1.0)], axis=-1)
    return np.asarray(cv2.cvtColor(hsv.astype(np.float32), cv2.COLOR_HSV2RGB), np.float32)


def colour_wheel(rng: np.random.Generator, side: int) -> Pixels:
    """Hues around, saturation outwards, at one lightness, on grey: smooth, or in sectors and rings."""
    x, y = grid(side)
    radius = np.hypot(x, y) / np.float32(0.47 * side)
    turn = np.mod(np.arctan2(y, x) / np.float32(2 * np.pi) + np.float32(rng.random()), 1.0)
    shown, level = turn, np.clip(radius, 0.0, 1.0)
    if rng.random() < 0.5:
        sectors, bands = int(rng.integers(8, 19)), int(rng.integers(3, 6))
        shown, level = np.floor(turn * sectors) / sectors, np.ceil(level * bands) / bands
    wheel = lch(rng.uniform(60.0, 78.0), 62.0 * level, 360.0 * shown)
    ground = np.full(3, rng.uniform(0.35, 0.6), np.float32)
    return mix(ground, wheel, inside((1 - radius) * np.float32(0.47 * side)))


def skin(rng: np.random.Generator, side: int) -> Pixels:
    """Strips of skin tones from pale to deep, each from shade to highlight, with a trace of pores."""
    u, v = turned_grid(side, 0.0)
    count = int(rng.integers(3, 7))
    strip = np.minimum(((u / np.float32(side) + np.float32(0.5)) * count).astype(int), count - 1)
    light = v / np.float32(side) + np.float32(0.5)
    tone = np.linspace(0.0, 1.0, count)[rng.permutation(count)]
    # Paler skin is lighter and less saturated, ruddier or yellower as it comes.
    hues = rng.uniform(45.0, 65.0, count)
    top = 88.0 - 48.0 * tone
    shade = coloured(light, np.stack([np.full(3, 0.32), np.full(3, 0.85), np.full(3, 1.12)]).astype(np.float32))
    base = lch(top, 18.0 + 10.0 * np.sin(np.pi * tone), hues)[strip]
    pores = 1 + np.float32(0.015) * rng.standard_normal((side, side, 1), dtype=np.float32)
    return np.clip(base * shade * pores, 0.0, 1.0)


def blend(rng: np.random.Generator, side: int) -> Pixels:
    """Four corner colours that run into one another."""
    hues = rng.uniform(0.0, 360.0) + np.array([[0.0, 90.0], [180.0, 270.0]]) + rng.normal(0.0, 20.0, (2, 2))
    corners = lch(rng.uniform(25.0, 92.0, (2, 2)), rng.uniform(15.0, 65.0, (2, 2)), hues)
    x, y = grid(side)
    across, down = x / np.float32(side) + np.float32(0.5), y / np.float32(side) + np.float32(0.5)
    return mix(mix(corners[0, 0], corners[0, 1], across), mix(corners[1, 0], corners[1, 1], across), down)


COLOURS: tuple[Texture, ...] = (patches, grey_ramps, hue_field, colour_wheel, skin, blend)
