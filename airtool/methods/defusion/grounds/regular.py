"""Concentric and regular textures: they show what happens to resolution, edges and aliasing."""

import numpy as np

from airtool.methods.defusion.grounds.drawing import (
    Texture,
    bars,
    grid,
    inks,
    inside,
    lch,
    mix,
    turned_grid,
    wave,
)
from airtool.metrics.protocols import Pixels


def siemens_star(rng: np.random.Generator, side: int) -> Pixels:
    """A sinusoidal star: the closer to the middle, the finer, up to Nyquist's frequency and grey beyond.

    Around it are the four patches (black, white and two greys) by which such stars are linearised.
    """
    dark, light = inks(rng)
    x, y = grid(side)
    radius = np.hypot(x, y)
    rim = np.float32(0.48 * side)
    cycles = max(6, round(2 * np.pi * rim * rng.uniform(0.06, 0.14)))
    phase = np.arctan2(y, x) * np.float32(cycles / (2 * np.pi)) + np.float32(rng.random())
    star = wave(phase, cycles / (2 * np.pi * np.maximum(radius, 1e-3)))
    corners = np.float32(0.5) + np.select([(x < 0) & (y < 0), (x >= 0) & (y >= 0)], [-0.5, 0.5]).astype(np.float32)
    corners += np.select([(x >= 0) & (y < 0), (x < 0) & (y >= 0)], [-0.2, 0.2]).astype(np.float32)
    # The corner patches begin a little outside of the star.
    patch = inside(radius - np.float32(1.12) * rim)
    share = mix(np.full((1,), 0.5, np.float32), corners[..., None], patch)[..., 0]
    share += inside(rim - radius) * (star - share)
    return mix(dark, light, share)


def zone_plate(rng: np.random.Generator, side: int) -> Pixels:
    """cos(pi k r^2): rings whose frequency grows with the radius r, up to Nyquist's at the patch's rim."""
    dark, light = inks(rng)
    x, y = grid(side)
    middle = rng.choice([0.0, 0.0, 0.5]) * side  # in the middle twice out of three times, else in a corner
    squared = (x + np.float32(middle)) ** 2 + (y + np.float32(middle)) ** 2
    reach = side * (0.5 if middle == 0 else 1.0)
    k = np.float32(rng.uniform(0.4, 0.48) / reach)
    phase = np.float32(0.5) * k * squared + np.float32(rng.choice([0.25, 0.75]))
    return mix(dark, light, wave(phase, k * np.sqrt(squared)))


def rings(rng: np.random.Generator, side: int) -> Pixels:
    """Sharp rings around the middle, round, square or octagonal, whose widths grow by a constant factor."""
    dark, light = inks(rng)
    x, y = turned_grid(side, rng.uniform(0.0, 45.0))
    shape = rng.integers(3)
    if shape == 0:
        radius = np.hypot(x, y)
    else:
        radius = np.maximum(np.abs(x), np.abs(y))
        if shape == 2:
            radius = np.maximum(radius, (np.abs(x) + np.abs(y)) * np.float32(0.5**0.5))
    growth = rng.uniform(1.12, 1.35)
    # The k-th edge lies at first * growth^k; the finest ring is a pixel wide.
    first = 1.0 / (growth - 1.0)
    place = np.log(np.maximum(radius, 1e-3) / first) / np.log(growth)
    below = np.floor(place)
    lower, upper = first * growth**below, first * growth ** (below + 1)
    distance = np.minimum(radius - lower, upper - radius)
    share = inside(np.where(np.mod(below, 2) == 0, distance, -distance))
    core = inside(np.float32(first) - radius)
    return mix(dark, light, share + core * (np.float32(0.5) - share))


def slanted_edges(rng: np.random.Generator, side: int) -> Pixels:
    """Squares turned by about five degrees, on a ground: edges of several contrasts in every sub-pixel phase."""
    u, v = turned_grid(side, rng.choice([-1.0, 1.0]) * rng.uniform(4.0, 8.0))
    count = int(rng.integers(1, 4))
    cell = np.float32(side / count)
    column, row = np.floor(u / cell + np.float32(count / 2)), np.floor(v / cell + np.float32(count / 2))
    in_u = np.abs(np.mod(u + np.float32(side / 2), cell) - cell / 2)
    in_v = np.abs(np.mod(v + np.float32(side / 2), cell) - cell / 2)
    square = inside(np.float32(0.31) * cell - np.maximum(in_u, in_v))
    # Rows and columns outside of the patch exist only in its corners; they repeat those of the other side.
    cells = np.mod(row, count).astype(int), np.mod(column, count).astype(int)
    ground = lch(rng.uniform(70.0, 95.0), 0.0 if rng.random() < 0.6 else rng.uniform(10.0, 40.0), rng.uniform(0, 360))
    tinted = rng.random((count, count)) < 0.3
    squares = lch(
        rng.uniform(5.0, 60.0, (count, count)),
        tinted * rng.uniform(20.0, 70.0, (count, count)),
        rng.uniform(0.0, 360.0, (count, count)),
    )
    return mix(np.broadcast_to(ground, (side, side, 3)), squares[cells], square)


def line_pairs(rng: np.random.Generator, side: int) -> Pixels:
    """Groups of dark lines, upright and lying in turn, from coarse ones down to little more than two pixels a pair."""
    dark, light = inks(rng)
    x, y = grid(side)
    count = int(rng.integers(2, 5))
    cell = side / count
    column = np.minimum((x + np.float32(side / 2)) / np.float32(cell), count - 1e-3).astype(int)
    row = np.minimum((y + np.float32(side / 2)) / np.float32(cell), count - 1e-3).astype(int)
    order = row * count + column
    table = np.geomspace(max(2.5, cell / 3.5), 2.2, count * count)
    lines = np.maximum(2, np.round(0.86 * cell / table))
    periods, numbers = (values.astype(np.float32)[order] for values in (table, lines))
    # From the middle of the group's cell.
    in_x, in_y = (
        axis + np.float32(side / 2) - (index + 0.5).astype(np.float32) * np.float32(cell)
        for axis, index in ((x, column), (y, row))
    )
    upright = (row + column) % 2 == 0
    across, along = np.where(upright, in_x, in_y), np.where(upright, in_y, in_x)
    # An odd number of dark lines has one in the middle, an even number a gap.
    shifted = across + np.where(numbers % 2 == 1, periods / 2, np.float32(0))
    line = inside(periods / 4 - np.abs(np.mod(shifted, periods) - periods / 2))
    group = (np.abs(across) < numbers * periods / 2) * inside(np.float32(0.42 * cell) - np.abs(along))
    return mix(light, dark, line * group)


def checkerboard(rng: np.random.Generator, side: int) -> Pixels:
    """A turned checkerboard; in half of the draws its fields grow from one corner to the other."""
    dark, light = inks(rng)
    u, v = turned_grid(side, rng.uniform(0.0, 45.0))
    size = float(np.exp(rng.uniform(np.log(2.5), np.log(max(3.0, side / 5)))))
    if rng.random() < 0.5:
        return mix(dark, light, _fields(bars(u, 2 * size), bars(v, 2 * size)))
    # Coordinates that run slower with distance: fields from about two pixels up, without a seam.
    lowest = max(2.5, size / 4)
    growth = np.float32((size - lowest) / side)
    scale = np.float32(lowest) + growth * (u + np.float32(side / 2))
    stretched_u = np.log(np.maximum(scale, 1.0)) / max(float(growth), 1e-4)
    stretched_v = v / np.maximum(scale, 1.0)
    return mix(dark, light, _fields(bars(stretched_u, 2.0) * scale, bars(stretched_v, 2.0) * scale))


def _fields(across: Pixels, down: Pixels) -> Pixels:
    """Share of the light fields of a checkerboard, from the signed distances into its columns and rows."""
    nearest = np.minimum(np.abs(across), np.abs(down))
    return inside(np.where((across > 0) == (down > 0), nearest, -nearest))


def wedges(rng: np.random.Generator, side: int) -> Pixels:
    """Two hyperbolic wedges: lines that draw together until they can no longer be told apart."""
    dark, light = inks(rng)
    x, y = grid(side)
    quarter = np.float32(side / 4)
    along = np.where(y < 0, x, -x) / np.float32(side) + np.float32(0.5)
    across = np.where(y < 0, y + quarter, y - quarter)
    pairs = max(3, round(side * rng.uniform(0.035, 0.06)))
    lowest = np.float32(pairs / (0.46 * side))
    frequency = lowest + (np.float32(rng.uniform(0.25, 0.48)) - lowest) * along
    share = wave(frequency * across + np.float32(pairs / 2 + 0.25), frequency)  # light along the wedge's rim
    wedge = inside(np.float32(pairs / 2) / frequency - np.abs(across))
    wedge = wedge * inside((np.float32(0.47) - np.abs(along - np.float32(0.5))) * np.float32(side))
    return mix(dark, light, 1 + wedge * (share - 1))


REGULAR: tuple[Texture, ...] = (siemens_star, zone_plate, rings, slanted_edges, line_pairs, checkerboard, wedges)
