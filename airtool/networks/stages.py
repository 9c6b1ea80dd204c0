"""Runs of equal blocks, of the published kind or of the cheaper kind of the `small` presets."""

from typing import Literal

from torch import nn

from airtool.networks.nafnet import NAFBlock
from airtool.networks.restormer import NormKind, TransformerBlock

BlockKind = Literal["restormer", "nafnet"]


def stage(
    kind: BlockKind, count: int, channels: int, heads: int, expansion: float, bias: bool, norm: NormKind
) -> nn.Sequential:
    """`count` blocks on (N, channels, H, W). heads, expansion, bias and norm are of Restormer's blocks only."""
    if kind == "nafnet":
        # Without channel attention: purely local, so that tiles equal the whole picture.
        return nn.Sequential(*[NAFBlock(channels, channel_attention=False) for _ in range(count)])
    return nn.Sequential(*[TransformerBlock(channels, heads, expansion, bias, norm) for _ in range(count)])
