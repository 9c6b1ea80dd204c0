"""Stamping many small soft shapes (streaks, flakes) onto a canvas."""

import numpy as np


def picture_scale(shape: tuple[int, ...]) -> float:
    """Growth of weather with the picture: 1 up to 480 px along the shorter side, in proportion above.

    The benchmark sets hold pictures of about 480x320; in a photograph of 24 megapixels a streak of the same physical
    size covers as much more pixels.
    """
    return max(1.0, min(shape[:2]) / 480.0)


def streak(half: int, along: float, across: float, angle: float, power: float = 2.0) -> np.ndarray:
    """One spindle: float32 (2 half + 1, 2 half + 1) with peak 1.

    exp(-|u / along| ** power / 2 - (v / across) ** 2 / 2), u along the direction of fall, v across it. `angle` is in
    radians from the vertical, positive to the left at the bottom. A power above 2 gives blunter ends.
    """
    offsets = np.arange(-half, half + 1, dtype=np.float32)
    u = np.float32(np.cos(angle)) * offsets[:, None] - np.float32(np.sin(angle)) * offsets[None, :]
    v = np.float32(np.sin(angle)) * offsets[:, None] + np.float32(np.cos(angle)) * offsets[None, :]
    return np.exp(-0.5 * np.abs(u / np.float32(along)) ** np.float32(power) - 0.5 * (v / np.float32(across)) ** 2)


def stamp(
    canvas: np.ndarray,
    bank: list[np.ndarray],
    which: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    gains: np.ndarray,
) -> None:
    """Add gains[i] * bank[which[i]], centred at (rows[i], columns[i]), onto the canvas (H, W), in place.

    Sprites that hang over the border are cut; those wholly outside are dropped.
    """
    height, width = canvas.shape
    halves = [sprite.shape[0] // 2 for sprite in bank]
    for index, row, column, gain in zip(
        which.tolist(), rows.astype(int).tolist(), columns.astype(int).tolist(), gains.tolist(), strict=True
    ):
        half = halves[index]
        top, left = row - half, column - half
        bottom, right = row + half + 1, column + half + 1
        if bottom <= 0 or right <= 0 or top >= height or left >= width:
            continue
        sprite = bank[index][max(0, -top) : height - top, max(0, -left) : width - left]
        canvas[max(0, top) : bottom, max(0, left) : right] += sprite * np.float32(gain)
