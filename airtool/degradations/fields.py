"""Smooth random fields and structure-following maps: the procedural stand-ins for depth and density."""

import cv2
import numpy as np


def smooth_field(shape: tuple[int, int], rng: np.random.Generator, cells: float = 3.0, octaves: int = 3) -> np.ndarray:
    """Fractal value noise: float32 (H, W), scaled to fill [0, 1].

    Octave k is Gaussian noise on a grid of about cells * 2**k cells along the longer side, enlarged bicubically and
    weighted by 2**-k (Perlin's fractal sum).
    """
    height, width = shape
    field = np.zeros(shape, np.float32)
    longest = max(height, width)
    for octave in range(octaves):
        count = cells * 2**octave
        rows = max(2, round(count * height / longest)) + 2
        columns = max(2, round(count * width / longest)) + 2
        grid = rng.standard_normal((rows, columns), dtype=np.float32)
        field += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) * np.float32(0.5**octave)
    return stretch(field)


def soft(plane: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur of a plane (H, W): float32 in the plane's own units. Wide blurs work on a shrunken copy."""
    height, width = plane.shape
    shrink = max(1, int(sigma / 3))
    small = (max(1, width // shrink), max(1, height // shrink))
    blurred: np.ndarray = plane.astype(np.float32)
    if shrink > 1:
        blurred = cv2.resize(blurred, small, interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(blurred, (0, 0), sigma / shrink)
    if shrink > 1:
        blurred = cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR)
    return blurred.reshape(height, width)


def stretch(field: np.ndarray) -> np.ndarray:
    """Shift and scale to fill [0, 1]; a constant field becomes 0.5 everywhere."""
    low, high = float(field.min()), float(field.max())
    if high - low < 1e-6:
        return np.full_like(field, 0.5)
    return ((field - low) * np.float32(1 / (high - low))).astype(np.float32, copy=False)


def guided_filter(guide: np.ndarray, field: np.ndarray, radius: int, epsilon: float = 1e-3) -> np.ndarray:
    """Smooth `field` while its edges follow `guide`; all float32 (H, W).

    He, Sun, Tang, "Guided Image Filtering", TPAMI 2013: in every window field ~ a * guide + b.
    """
    size = (2 * radius + 1, 2 * radius + 1)

    def mean(values: np.ndarray) -> np.ndarray:
        return cv2.blur(values, size, borderType=cv2.BORDER_REFLECT)

    mean_guide, mean_field = mean(guide), mean(field)
    slope = (mean(guide * field) - mean_guide * mean_field) / (mean(guide * guide) - mean_guide**2 + epsilon)
    return mean(slope) * guide + mean(mean_field - slope * mean_guide)


def depth_map(image: np.ndarray, rng: np.random.Generator, side: int = 384) -> np.ndarray:
    """A plausible depth for a photograph without one: float32 (H, W), 0 near .. 1 far.

    Sum with random weights of a ramp (the ground runs away upwards), a smooth random field, and a random curve of
    the local brightness, which gives every region of the picture its own depth; a guided filter then aligns the
    steps with the picture's edges. Computed at no more than `side` pixels along the longer side and enlarged.
    """
    height, width = image.shape[:2]
    shrink = min(1.0, side / max(height, width))
    small = (max(1, round(height * shrink)), max(1, round(width * shrink)))
    luma = cv2.cvtColor(np.ascontiguousarray(image, dtype=np.float32), cv2.COLOR_RGB2GRAY).reshape(height, width)
    if small != (height, width):
        luma = cv2.resize(luma, (small[1], small[0]), interpolation=cv2.INTER_AREA).reshape(small)

    tilt = rng.normal(0.0, 0.25)
    rows = np.linspace(1.0, 0.0, small[0], dtype=np.float32)[:, None]
    columns = np.linspace(-0.5, 0.5, small[1], dtype=np.float32)[None, :]
    ramp = rows + np.float32(tilt) * columns
    weight_ramp, weight_field, weight_region = rng.uniform([0.3, 0.2, 0.2], [1.0, 0.8, 0.8])
    depth = np.float32(weight_ramp) * ramp + np.float32(weight_field) * smooth_field(small, rng)

    # Brighter is farther in most outdoor scenes (the sky), hence the rising trend under the random bends.
    knots = np.linspace(0.0, 1.0, 6) * rng.uniform(0.0, 1.0) + rng.uniform(0.0, 0.6, 6)
    region = np.interp(cv2.blur(luma, (5, 5)), np.linspace(0.0, 1.0, 6), knots).astype(np.float32)
    depth += np.float32(weight_region) * region.reshape(small)
    depth = guided_filter(luma, depth, radius=max(2, round(max(small) / 24)))
    if small == (height, width):
        return stretch(depth)
    return stretch(cv2.resize(depth, (width, height), interpolation=cv2.INTER_LINEAR).reshape(height, width))
