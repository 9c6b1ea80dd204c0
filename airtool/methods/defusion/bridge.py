"""The image restoration bridge: the degraded picture, brought into a U-Net at every encoder level by AdaLN-Zero.

The paper names a lightweight convolutional network after T2I-Adapter (Mou et al., arXiv 2302.08453) and the injection
(Peebles and Xie, ICCV 2023, arXiv 2212.09748), not their sizes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Modulation:
    """What AdaLN-Zero does to one residual branch: x + (1 + gate) * branch(norm(x) * (1 + scale) + shift).

    Each (N, C, 1, 1) or (N, C, H, W). The published gate is zero at first, which takes the branch away; counted from 1
    it leaves the network as it was before it had a bridge.
    """

    shift: Tensor
    scale: Tensor
    gate: Tensor

    def __add__(self, other: "Modulation") -> "Modulation":
        return Modulation(self.shift + other.shift, self.scale + other.scale, self.gate + other.gate)

    def inside(self, x: Tensor) -> Tensor:
        """The normalised feature on its way into the branch."""
        return x * (1 + self.scale) + self.shift


def zeroed(module: nn.Module) -> nn.Module:
    """The module with all its parameters set to zero."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module


class BridgeBlock(nn.Module):
    """x + conv1x1(silu(conv3x3(x)))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.silu(self.conv1(x)))


class Bridge(nn.Module):
    """A feature of the degraded picture for every level, and from each a modulation of that level's last block."""

    def __init__(self, widths: Sequence[int], channels: Sequence[int], blocks: int) -> None:
        """widths: channels of the bridge a level, finest first. channels: those of the U-Net. blocks: a level."""
        super().__init__()
        self.conv_in = nn.Conv2d(3, widths[0], 3, padding=1)
        self.levels = nn.ModuleList([nn.Sequential(*[BridgeBlock(w) for _ in range(blocks)]) for w in widths])
        self.downs = nn.ModuleList([nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(widths)])
        self.modulations = nn.ModuleList(
            [zeroed(nn.Conv2d(w, 3 * c, 1)) for w, c in zip(widths, channels, strict=True)]
        )

    def forward(self, degraded: Tensor) -> list[Tensor]:
        """Features (N, width, H / 2^level, W / 2^level), finest first, of (N, 3, H, W) in [-1, 1].

        They are the same at all time steps.
        """
        features = [self.levels[0](self.conv_in(degraded))]
        for down, level in zip(self.downs, list(self.levels)[1:], strict=True):
            features.append(level(down(features[-1])))
        return features

    def modulation(self, level: int, feature: Tensor) -> Modulation:
        """Maps of the shape of the U-Net's feature at that level, all zero at first."""
        return Modulation(*self.modulations[level](feature).chunk(3, dim=1))
