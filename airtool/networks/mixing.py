"""Linear maps of a pixel's channels that differ from picture to picture, as 1x1 convolutions cannot."""

import torch
from torch import Tensor


def mix_channels(x: Tensor, matrix: Tensor, shift: Tensor | None = None) -> Tensor:
    """x (N, C, H, W) to (N, C', H, W): every pixel of picture n times matrix[n] (C, C'), plus shift[n] (C')."""
    n, c, h, w = x.shape
    rows = x.permute(0, 2, 3, 1).reshape(n, h * w, c)  # a view of channels_last memory
    made = rows @ matrix.to(x.dtype) if shift is None else torch.baddbmm(shift[:, None], rows, matrix)
    return made.view(n, h, w, -1).permute(0, 3, 1, 2)


def hand_out(attention: Tensor, values: Tensor, project: torch.nn.Conv2d) -> Tensor:
    """project(attention @ values): what attention between channels gives each pixel.

    attention: (N, heads, C / heads, C / heads). values: (N, C, H, W). project: a 1x1 convolution. Both are one linear
    map of a pixel's channels, so they are multiplied out first.
    """
    n, heads, length, _ = attention.shape
    with torch.autocast(values.device.type, enabled=False):
        weight = project.weight.view(-1, heads, length)
        matrix = torch.einsum("ohd,nhde->nheo", weight, attention.to(weight.dtype)).flatten(1, 2)
        shift = None if project.bias is None else project.bias.expand(n, -1)
    return mix_channels(values, matrix, shift)
