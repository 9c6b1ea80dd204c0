"""Random textures: without any structure that a filter could latch on to, they show what becomes of fine detail."""

import cv2
import numpy as np

from airtool.methods.defusion.grounds.drawing import (
    Texture,
    coloured,
    developed,
    grid,
    inks,
    inside,
    lch,
    mix,
    sheet,
    spectral_noise,
)
from airtool.metrics.protocols import Pixels

FINER = 4
"""How many times finer than the patch leaves are drawn."""


def dead_leaves(rng: np.random.Generator, side: int) -> Pixels:
    """Discs that cover one another, with radii of density r^-3, grey or in colour.

    The model of occlusion in photographs, whose statistics do not change with scale (Lee, Mumford, Huang, "Occlusion
    Models for Natural Images", IJCV 2001).
    """
    smallest, largest = 0.9, side * rng.uniform(0.15, 0.35)
    # Enough to cover all but a few hundredths of the patch; the ground is one more grey.
    mean_area = 2 * np.pi * np.log(largest / smallest) / (smallest**-2 - largest**-2)
    count = int(3.2 * side**2 / mean_area)
    share = rng.random(count)
    radii = (smallest**-2 - share * (smallest**-2 - largest**-2)) ** -0.5
    centres = rng.uniform(-0.1 * side, 1.1 * side, (count, 2))
    vivid = rng.choice([0.0, 1.0])
    colours = lch(rng.uniform(10.0, 95.0, count), vivid * rng.uniform(0.0, 70.0, count), rng.uniform(0.0, 360.0, count))
    # OpenCV's smoothed circles are diamonds where they are small: plain ones, shrunk, are round.
    patch = sheet(side * FINER, np.full(3, 0.5, np.float32))
    places = np.rint(centres * FINER).astype(int).tolist()
    sizes = np.rint(radii * FINER).astype(int).tolist()
    for place, size, colour in zip(places, sizes, (255 * colours).tolist(), strict=True):
        cv2.circle(patch, place, size, colour, cv2.FILLED)
    return developed(cv2.resize(patch, (side, side), interpolation=cv2.INTER_AREA))


def power_noise(rng: np.random.Generator, side: int) -> Pixels:
    """Noise with amplitude 1 / f^a, a from 0.4 to 1.4: grey, or with channels that partly go their own way."""
    slope = rng.uniform(0.4, 1.4)
    own = 0.0 if rng.random() < 0.35 else rng.uniform(0.2, 1.0)
    field = np.sqrt(1 - own**2) * spectral_noise(rng, side, slope)[..., None]
    if own > 0:
        field = field + own * np.stack([spectral_noise(rng, side, slope) for _ in range(3)], axis=-1)
    base = lch(rng.uniform(45.0, 65.0), rng.uniform(0.0, 25.0), rng.uniform(0.0, 360.0))
    return np.clip(base + np.float32(rng.uniform(0.12, 0.22)) * field, 0.0, 1.0).astype(np.float32)


def noise_steps(rng: np.random.Generator, side: int) -> Pixels:
    """Fields of grain around several greys, whose contrast rises from row to row and whose size from field to field."""
    count = int(rng.integers(2, 5))
    edges = np.linspace(0, side, count + 1).round().astype(int)
    levels = rng.permuted(np.linspace(0.25, 0.75, count))
    contrasts = np.geomspace(0.03, 0.25, count)
    patch = np.empty((side, side, 3), np.float32)
    vivid = rng.random() < 0.4
    for row in range(count):
        for column in range(count):
            block = patch[edges[row] : edges[row + 1], edges[column] : edges[column + 1]]
            height, width = block.shape[:2]
            grain = 2 ** ((row + column) % 3)
            coarse = (-(-height // grain), -(-width // grain), 3 if vivid else 1)
            noise = rng.standard_normal(coarse, dtype=np.float32).repeat(grain, 0).repeat(grain, 1)
            block[:] = levels[column] + contrasts[row] * noise[:height, :width]
    return np.clip(patch, 0.0, 1.0)


def mosaic(rng: np.random.Generator, side: int) -> Pixels:
    """A Voronoi mosaic of flat colours; in half of the draws with joints between the stones."""
    cell = rng.uniform(4.5, max(5.0, side / 6))
    owner, rival, border = _voronoi(rng, side, cell)
    hue, spread = rng.uniform(0.0, 360.0), rng.uniform(30.0, 180.0)
    count = int(max(owner.max(), rival.max())) + 1
    hues = hue + spread * rng.uniform(-1.0, 1.0, count)
    colours = lch(rng.uniform(20.0, 95.0, count), rng.uniform(0.0, 60.0, count), hues)
    stones = colours[owner]
    if rng.random() < 0.5:
        joint = lch(rng.choice([10.0, 92.0]), 0.0, 0.0)
        return mix(np.broadcast_to(joint, stones.shape), stones, inside(border - np.float32(cell * 0.06)))
    return mix(colours[rival], stones, inside(border))


def cells(rng: np.random.Generator, side: int) -> Pixels:
    """Rounded cells with dark clefts, as of a skin under the microscope or a dried lake."""
    cell = rng.uniform(4.0, max(5.0, side / 5))
    _, _, border = _voronoi(rng, side, cell)
    dark, light = inks(rng)
    middle = lch(rng.uniform(40.0, 65.0), rng.uniform(0.0, 50.0), rng.uniform(0.0, 360.0))
    height = np.sqrt(np.clip(border / np.float32(cell * 0.5), 0.0, 1.0))
    return coloured(height, np.stack([dark, middle, light]))


def marble(rng: np.random.Generator, side: int) -> Pixels:
    """Veins along the zero lines of two smooth noises, broad and thin ones, on a slightly grainy stone."""
    dark, light = inks(rng)
    middle = (dark + 2 * light) / 3
    broad, thin, grain = (spectral_noise(rng, side, slope) for slope in (2.3, 2.0, 0.7))
    veins = np.minimum(np.abs(broad), np.float32(1.5) * np.abs(thin) + np.float32(0.15))
    value = np.clip(np.float32(1.4) * veins, 0.0, 1.0) ** np.float32(0.6) + np.float32(0.05) * grain
    stops = np.stack([dark, middle, light])
    return coloured(value, stops if rng.random() < 0.6 else stops[::-1])


def _voronoi(rng: np.random.Generator, side: int, cell: float) -> tuple[np.ndarray, np.ndarray, Pixels]:
    """Which of scattered points is nearest, whose realm is nearest to that, and how far (pixels) that one's border is.

    Two int and one float32 array (side, side). One point lies somewhere in every square of a grid of `cell` pixels
    (Worley, "A Cellular Texture Basis Function", SIGGRAPH 1996), so only 5 x 5 squares around a pixel are searched.
    """
    count = int(np.ceil(side / cell)) + 4
    squares = np.stack(np.meshgrid(np.arange(count), np.arange(count)), axis=-1)
    points = ((squares - 2 + rng.random((count, count, 2))) * cell).astype(np.float32).reshape(-1, 2)
    x, y = (axis + np.float32((side - 1) / 2) for axis in grid(side))
    # The first of the 25 squares; the pixel's own is two to the right and two down of it.
    corner = (y / np.float32(cell)).astype(int) * count + (x / np.float32(cell)).astype(int)
    offsets = [row * count + column for row in range(5) for column in range(5)]

    def squared_distance(index: np.ndarray) -> Pixels:
        return (points[index, 0] - x) ** 2 + (points[index, 1] - y) ** 2

    owner, nearest = corner, np.full((side, side), np.inf, np.float32)
    for offset in offsets:
        distance = squared_distance(corner + offset)
        closer = distance < nearest
        owner, nearest = np.where(closer, corner + offset, owner), np.where(closer, distance, nearest)
    rival, border = owner, np.full((side, side), np.inf, np.float32)
    for offset in offsets:
        other = corner + offset
        apart = np.hypot(points[other, 0] - points[owner, 0], points[other, 1] - points[owner, 1])
        # The border is the perpendicular bisector of the two points.
        distance = (squared_distance(other) - nearest) / np.maximum(2 * apart, np.float32(1e-6))
        closer = (distance < border) & (other != owner)
        rival, border = np.where(closer, other, rival), np.where(closer, distance, border)
    return owner, rival, border


STOCHASTIC: tuple[Texture, ...] = (dead_leaves, power_noise, noise_steps, mosaic, cells, marble)
