"""The image side of the detector: a small convolutional network whose features are statistics of the whole crop.

Degradations are local (noise, blocks, streaks) and show in how much neighbouring pixels differ, so nothing is averaged
away before the first convolution, and every stage contributes the mean and the spread of its channels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from airtool.networks.nafnet import ChannelNorm

STEM = 2
"""Pixels are gathered 2 x 2 into channels first, which loses nothing and makes the first convolution cheap."""

FLAT = 1e-5
"""Variance of a channel below which a crop counts as flat."""


class Block(nn.Module):
    """Depthwise, then pointwise convolutions with a skip, on (N, C, H, W) (Liu et al., CVPR 2022, arXiv 2201.03545).

    Only the branch is normalised: the amplitude of what runs past it is what tells strong noise from weak.
    """

    def __init__(self, channels: int, kernel: int, expansion: int) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.norm = ChannelNorm(channels)
        self.expand = nn.Conv2d(channels, expansion * channels, 1)
        self.act = nn.ReLU()
        self.reduce = nn.Conv2d(expansion * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.reduce(self.act(self.expand(self.norm(self.spatial(x)))))


class ImageEncoder(nn.Module):
    """Maps pictures (N, 3, H, W) in [0, 1], H and W even, to vectors (N, embedding), not normalised."""

    def __init__(
        self, widths: Sequence[int], blocks: Sequence[int], kernel: int, expansion: int, hidden: int, embedding: int
    ) -> None:
        super().__init__()
        self.gather = nn.PixelUnshuffle(STEM)
        self.stages = nn.ModuleList()
        before = 3 * STEM**2
        for index, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            entry = nn.Conv2d(before, width, 3, padding=1, stride=2 if index else 1)
            self.stages.append(nn.Sequential(entry, *(Block(width, kernel, expansion) for _ in range(count))))
            before = width
        self.project = nn.Sequential(nn.Linear(2 * sum(widths), hidden), nn.GELU(), nn.Linear(hidden, embedding))

    def forward(self, pictures: Tensor) -> Tensor:
        x = self.gather(2.0 * pictures - 1.0)
        found = []
        for stage in self.stages:
            x = stage(x)
            found.append(statistics(x))
        return self.project(torch.cat(found, dim=1))


def statistics(features: Tensor) -> Tensor:
    """Mean and logarithm of the standard deviation of every channel: (N, C, H, W) -> (N, 2C) float32."""
    features = features.float()
    mean = features.mean((2, 3))
    # Not torch.var: on a CPU with channels last it takes fifteen times as long. What rounding adds is far below FLAT.
    variance = (features.square().mean((2, 3)) - mean.square()).clamp(min=0.0)
    return torch.cat([mean, 0.5 * torch.log(variance + FLAT)], dim=1)
