"""Standard normal noise as a field without end, so that tiles of a picture share what they overlap in."""

import numpy as np
import torch
from torch import Tensor

BLOCK = 64
"""Side in pixels of the squares in which the field is made; another value would be another field."""

WORD = 0xFFFFFFFF
"""Generators are keyed by unsigned words of 32 bits; negative numbers of blocks wrap around."""


def noise_window(seed: int, top: int, left: int, height: int, width: int, channels: int = 3) -> Tensor:
    """The field's window (channels, height, width), float32 on the CPU.

    The value at a pixel depends on the seed (at least 0) and the pixel's row, column and channel alone: windows agree
    where they overlap. Rows and columns may be negative or lie beyond any picture.
    """
    window = np.empty((channels, height, width), np.float32)
    for row in range(top // BLOCK, -(-(top + height) // BLOCK)):
        for column in range(left // BLOCK, -(-(left + width) // BLOCK)):
            y, x = row * BLOCK - top, column * BLOCK - left
            block = _block(seed, row, column, channels)
            target = window[:, max(y, 0) : y + BLOCK, max(x, 0) : x + BLOCK]
            y, x = max(-y, 0), max(-x, 0)
            target[:] = block[:, y : y + target.shape[1], x : x + target.shape[2]]
    return torch.from_numpy(window)


def _block(seed: int, row: int, column: int, channels: int) -> np.ndarray:
    # NumPy's generators give the same stream on every processor, which PyTorch's do not promise. The spawn key keeps
    # the words of the seed and of the position apart.
    key = np.random.SeedSequence(seed, spawn_key=(row & WORD, column & WORD))
    return np.random.default_rng(key).standard_normal((channels, BLOCK, BLOCK), np.float32)
