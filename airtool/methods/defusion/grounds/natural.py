"""Textures like those of nature and cloth: what photographs are full of, and restorers like to smear."""

import cv2
import numpy as np

from airtool.methods.defusion.grounds.drawing import (
    SHIFT,
    Texture,
    bars,
    coloured,
    developed,
    fibres,
    inside,
    lch,
    mix,
    sheet,
    spectral_noise,
    turned_grid,
)
from airtool.metrics.protocols import Pixels


def wood(rng: np.random.Generator, side: int) -> Pixels:
    """A plank: year rings cut lengthwise, bent by slow noise, with fibres and pores along the grain."""
    u, v = turned_grid(side, rng.uniform(-6.0, 6.0))
    ring = rng.uniform(max(3.0, side / 24), max(5.0, side / 7))
    # A far centre gives straight grain, a near one the arches of a flat cut.
    from_side = u - np.float32(rng.uniform(-0.4, 0.4) * side)
    from_end = np.float32(rng.uniform(0.05, 0.35)) * (v + np.float32(rng.uniform(-1.0, 1.0) * side))
    arch = np.hypot(from_side, from_end)
    bend = spectral_noise(rng, side, 2.2) * np.float32(ring * rng.uniform(0.3, 1.0))
    age = np.mod((arch + bend) / np.float32(ring), 1.0)
    # Early wood darkens slowly to late wood, then begins anew within about a pixel.
    late = age**2 * np.clip((1 - age) * np.float32(ring / 1.5), 0.0, 1.0)
    value = np.float32(0.75) - np.float32(0.5) * late + np.float32(0.09) * fibres(rng, side, side / 10)
    value -= np.float32(0.25) * np.clip(fibres(rng, side, 3.0) - 1.6, 0.0, 1.0)
    hue, depth = rng.uniform(45.0, 75.0), rng.uniform(0.0, 25.0)
    stops = lch(np.array([18.0, 45.0, 68.0, 82.0]) - depth, np.array([18.0, 34.0, 36.0, 26.0]), hue)
    return coloured(value, stops)


def grass(rng: np.random.Generator, side: int) -> Pixels:
    """Blades, the lower ones dark and the upper ones bright, leaning in the wind."""
    hue = rng.uniform(95.0, 135.0)
    return _strands(
        rng,
        side,
        length=rng.uniform(0.15, 0.3),
        cover=1.8,
        lean=rng.uniform(-0.5, 0.5),
        spread=0.5,
        hue=hue,
        chroma=(18.0, 55.0),
        lightness=(8.0, 78.0),
    )


def fur(rng: np.random.Generator, side: int) -> Pixels:
    """Short hair combed in one direction, in the colours of animals."""
    topmost = rng.uniform(60.0, 92.0)
    return _strands(
        rng,
        side,
        length=rng.uniform(0.1, 0.2),
        cover=2.2,
        lean=rng.uniform(-1.2, 1.2),
        spread=0.22,
        hue=rng.uniform(50.0, 85.0),
        chroma=(3.0, 26.0),
        lightness=(12.0, topmost),
    )


def _strands(
    rng: np.random.Generator,
    side: int,
    *,
    length: float,
    cover: float,
    lean: float,
    spread: float,
    hue: float,
    chroma: tuple[float, float],
    lightness: tuple[float, float],
) -> Pixels:
    """Curved lines a pixel wide, painted from dark to bright.

    length: of the patch's side. cover: how many strands lie over a pixel on average. lean, spread: mean and deviation
    of the angle from upright, in radians. hue (degrees), chroma and lightness: CIE LCh, lowest strand to topmost.
    """
    count = int(cover * side / (0.85 * length))
    depth = np.linspace(0.0, 1.0, count)
    reach = side * length * rng.uniform(0.5, 1.2, count)
    angle = lean + spread * rng.standard_normal(count)
    bend = rng.normal(0.0, 0.35, count)
    feet = rng.uniform([-0.1, 0.0], [1.1, 1.3], (count, 2)) * side
    steps = np.linspace(0.0, 1.0, 4)
    angles = angle[:, None] + bend[:, None] * steps
    points = np.empty((count, 4, 2))
    points[..., 0] = feet[:, :1] + reach[:, None] * steps * np.sin(angles)
    points[..., 1] = feet[:, 1:] - reach[:, None] * steps * np.cos(angles)
    tone = np.clip(depth + rng.normal(0.0, 0.12, count), 0.0, 1.0)
    colours = lch(
        lightness[0] + tone * (lightness[1] - lightness[0]),
        chroma[0] + tone * (chroma[1] - chroma[0]),
        hue + rng.normal(0.0, 9.0, count),
    )
    patch = sheet(side, lch(lightness[0], chroma[0], hue))
    lines = np.rint(points * 2**SHIFT).astype(np.int32)
    for line, colour in zip(lines, (255 * colours).tolist(), strict=True):
        cv2.polylines(patch, [line], False, colour, 1, cv2.LINE_AA, SHIFT)
    return developed(patch)


def foliage(rng: np.random.Generator, side: int) -> Pixels:
    """Leaves of sizes with density r^-3 over one another, each with a lit and a shaded half."""
    smallest, largest = 2.0, side / 5
    count = int(side**2 / 12)
    share = rng.random(count)
    sizes = (smallest**-2 - share * (smallest**-2 - largest**-2)) ** -0.5
    sizes = sizes * 1.6
    angle = rng.uniform(0.0, 2 * np.pi, count)
    centres = rng.uniform(-0.05 * side, 1.05 * side, (count, 1, 2))
    # Half a leaf: along its midrib and back over a bow; the other half is its mirror image.
    along = np.array([-1.0, -0.6, 0.0, 0.6, 1.0])
    bow = 0.42 * np.array([0.0, 0.75, 1.0, 0.62, 0.0])
    axis = np.stack([np.cos(angle), np.sin(angle)], axis=-1)[:, None, :]
    normal = np.stack([-np.sin(angle), np.cos(angle)], axis=-1)[:, None, :]
    ribs = axis * along[None, :, None] * sizes[:, None, None]
    bows = normal * bow[None, :, None] * sizes[:, None, None]
    halves = np.stack([ribs + bows, ribs - bows], axis=1) + centres[:, None]
    base = rng.choice([110.0, 118.0, 125.0, 60.0], p=[0.35, 0.3, 0.2, 0.15])  # the last one: autumn
    tone = np.linspace(0.0, 1.0, count)
    light = 8.0 + 58.0 * tone + rng.normal(0.0, 7.0, count)
    facing = 9.0 * np.cos(angle - rng.uniform(0.0, 2 * np.pi))
    chroma, hue = 16.0 + 34.0 * tone + rng.normal(0.0, 5.0, count), base + rng.normal(0.0, 10.0, count)
    colours = lch(np.clip(np.stack([light + facing, light - facing]), 3.0, 97.0), np.maximum(chroma, 0.0), hue)
    patch = sheet(side, lch(6.0, 10.0, base))
    shapes = np.rint(halves * 2**SHIFT).astype(np.int32)
    for shape, lit, shaded in zip(shapes, (255 * colours[0]).tolist(), (255 * colours[1]).tolist(), strict=True):
        cv2.fillConvexPoly(patch, shape[0], lit, cv2.LINE_AA, SHIFT)
        cv2.fillConvexPoly(patch, shape[1], shaded, cv2.LINE_AA, SHIFT)
    return developed(patch)


def clouds(rng: np.random.Generator, side: int) -> Pixels:
    """Clouds from a fractal sum on a sky that pales towards the horizon."""
    _, y = turned_grid(side, 0.0)
    down = y / np.float32(side) + np.float32(0.5)
    hue = rng.uniform(255.0, 275.0)
    sky = coloured(down, lch(np.array([45.0, 85.0]) + rng.uniform(-8, 8), np.array([42.0, 12.0]), hue))
    field = spectral_noise(rng, side, rng.uniform(1.5, 1.8))
    cover = np.clip((field + np.float32(rng.uniform(-0.4, 0.6))) * np.float32(0.8), 0.0, 1.0)
    cover = cover**2 * (3 - 2 * cover)
    # The clouds' lower sides, where they get thinner downwards, lie in shadow.
    slope = np.roll(field, -max(1, side // 24), axis=0) - field
    brightness = np.clip(np.float32(0.9) + np.float32(0.12) * slope + np.float32(0.05) * field, 0.45, 1.0)
    return mix(sky, np.repeat(brightness[..., None], 3, axis=-1), cover)


def terrain(rng: np.random.Generator, side: int) -> Pixels:
    """Land from above: fractal heights, coloured by height and lit from one side."""
    heights = spectral_noise(rng, side, rng.uniform(1.6, 1.9))
    east, south = np.gradient(heights, axis=1), np.gradient(heights, axis=0)
    light = rng.uniform(0.0, 2 * np.pi)
    tilt = np.float32(np.cos(light)) * east + np.float32(np.sin(light)) * south
    shade = np.float32(0.5) + np.float32(0.22) * tilt / max(float(tilt.std()), 1e-6)
    lightness, chroma = np.array([38.0, 45.0, 55.0, 62.0, 92.0]), np.array([28.0, 26.0, 24.0, 20.0, 3.0])
    hues = np.array([250.0, 125.0, 95.0, 65.0, 60.0]) + rng.normal(0.0, 12.0)
    stops = lch(lightness, chroma, hues)
    if rng.random() < 0.4:
        stops = stops[rng.permutation(4)[:3]]  # bare rock, desert, steppe
    ground = coloured(np.float32(0.5) + np.float32(0.24) * heights, stops)
    return np.clip(ground * (np.float32(0.35) + np.float32(1.3) * shade[..., None]), 0.0, 1.0)


def weave(rng: np.random.Generator, side: int) -> Pixels:
    """Cloth: threads over and under one another, round by their shading, plain or in a tartan's stripes."""
    u, v = turned_grid(side, rng.uniform(-12.0, 12.0))
    pitch = float(np.exp(rng.uniform(np.log(3.0), np.log(max(3.5, side / 9)))))
    bend = np.float32(0.12 * pitch)
    u = u + bend * spectral_noise(rng, side, 2.0)
    v = v + bend * spectral_noise(rng, side, 2.0)
    warp, weft = np.floor(u / np.float32(pitch)).astype(int), np.floor(v / np.float32(pitch)).astype(int)
    twill = int(rng.integers(2, 5))  # 2: plain weave; above: twill, whose diagonals run
    warp_on_top = np.mod(warp + weft, twill) < max(1, twill // 2)
    count = 2 * int(np.ceil(side / pitch)) + 8
    hue = rng.uniform(0.0, 360.0)
    tones = lch(rng.uniform(15.0, 90.0, 4), rng.uniform(0.0, 50.0, 4), hue + rng.uniform(-90.0, 90.0, 4))
    run = int(rng.integers(3, 8))
    stripes = np.repeat(rng.integers(0, 4 if rng.random() < 0.6 else 1, count // run + 1), run)[:count]
    of_warp = tones[stripes] * rng.uniform(0.9, 1.1, (count, 1)).astype(np.float32)
    of_weft = tones[stripes] * rng.uniform(0.8, 1.0, (count, 1)).astype(np.float32)
    colour = np.where(warp_on_top[..., None], of_warp[warp % count], of_weft[weft % count])
    # A thread is brightest along its middle and sinks where it dives under the next.
    across = np.where(warp_on_top, bars(u, pitch), bars(v, pitch)) / np.float32(pitch / 4)
    along = np.where(warp_on_top, bars(v, pitch), bars(u, pitch)) / np.float32(pitch / 4)
    shade = np.float32(0.8) + np.float32(0.22) * across + np.float32(0.1) * along
    shade += np.float32(0.05) * rng.standard_normal((side, side), dtype=np.float32)
    return np.clip(colour * shade[..., None], 0.0, 1.0).astype(np.float32)


def bricks(rng: np.random.Generator, side: int) -> Pixels:
    """A wall: rows of weathered bricks with mortar, half a brick apart."""
    u, v = turned_grid(side, rng.uniform(-3.0, 3.0))
    height = rng.uniform(max(5.0, side / 12), max(7.0, side / 5))
    width = height * rng.uniform(1.8, 2.6)
    row = np.floor(v / np.float32(height)).astype(int)
    u = u + np.where(row % 2 == 0, np.float32(0.0), np.float32(width / 2))
    column = np.floor(u / np.float32(width)).astype(int)
    from_side = np.float32(width / 2) - np.abs(np.mod(u, np.float32(width)) - np.float32(width / 2))
    from_bed = np.float32(height / 2) - np.abs(np.mod(v, np.float32(height)) - np.float32(height / 2))
    grain = spectral_noise(rng, side, 0.8)
    edge = np.minimum(from_side, from_bed) - np.float32(0.1 * height) + np.float32(0.03 * height) * grain
    table = 64
    hue = rng.uniform(35.0, 60.0)
    tones = lch(
        rng.uniform(30.0, 58.0, (table, table)),
        rng.uniform(12.0, 42.0, (table, table)),
        hue + rng.normal(0.0, 7.0, (table, table)),
    )
    stone = tones[row % table, column % table] * (1 + np.float32(0.09) * grain[..., None])
    mortar = lch(rng.uniform(60.0, 82.0), rng.uniform(0.0, 8.0), 80.0) * (1 + np.float32(0.06) * grain[..., None])
    return np.clip(mix(mortar, stone, inside(edge)), 0.0, 1.0).astype(np.float32)


NATURAL: tuple[Texture, ...] = (wood, grass, fur, foliage, clouds, terrain, weave, bricks)
