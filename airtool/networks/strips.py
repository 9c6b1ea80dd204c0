"""Local layers on one strip of a picture after the other: the same numbers, from less memory and from nearer to it.

A block of a network widens its input and narrows it again. Over a whole picture what lies in between is many times
larger than a processor's cache, goes out to the memory and comes back; over a few rows it stays where it is.
"""

from collections.abc import Callable

import torch
from torch import Tensor

STRIP_BYTES = 2 << 20
"""Of a block's input in one strip: with what it is widened to, a few MiB."""

LEAST_ROWS = 16
"""Rows of a strip at least: each costs a row or two more than it gives."""


def in_strips(layers: Callable[..., Tensor], x: Tensor, *beside: Tensor, halo: int = 1) -> Tensor:
    """layers(x, *beside), computed strip by strip where that pays: on a CPU, without gradients, for a single picture.

    layers: from tensors (1, C, H, W) of any H to one (1, C', H, W); every row of its result depends on the same row and
    on at most `halo` rows on each side, of all its tensors, and on whether these are the last ones. beside: maps of the
    same H and W. A compiler that traces the network sees it whole.
    """
    height, width = x.shape[2:]
    rows = max(LEAST_ROWS, STRIP_BYTES // (width * x.shape[1] * x.element_size()))
    if x.device.type != "cpu" or torch.is_grad_enabled() or torch.jit.is_tracing() or len(x) > 1 or rows >= height:
        return layers(x, *beside)
    whole: Tensor | None = None
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        first, last = max(top - halo, 0), min(bottom + halo, height)
        made = layers(*(each[:, :, first:last] for each in (x, *beside)))
        if whole is None:
            shape = (1, made.shape[1], height, width)
            whole = torch.empty(shape, dtype=made.dtype, memory_format=torch.channels_last)
        whole[:, :, top:bottom] = made[:, :, top - first : bottom - first]
    assert whole is not None
    return whole
