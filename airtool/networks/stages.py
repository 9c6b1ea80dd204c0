"""Runs of equal blocks, of the published kind or of the cheaper kind of the `small` presets."""

from typing import Literal

from torch import Tensor, nn

from airtool.networks.nafnet import NAFBlock
from airtool.networks.restormer import NormKind, TransformerBlock
from airtool.networks.strips import joined

BlockKind = Literal["restormer", "nafnet"]


class Blocks(nn.Sequential):
    """Blocks on (N, C, H, W), one behind the other; a 1x1 convolution may come first."""

    def forward(self, *maps: Tensor, spend: bool = False) -> Tensor:
        """maps: several where a convolution comes first, which takes them side by side. spend: a single one may be
        overwritten; what a block hands to the next one may be in any case."""
        x = maps[0]
        for index, layer in enumerate(self):
            x = joined(layer, *maps) if isinstance(layer, nn.Conv2d) else layer(x, spend=spend or index > 0)
        return x


def stage(
    kind: BlockKind, count: int, channels: int, heads: int, expansion: float, bias: bool, norm: NormKind
) -> Blocks:
    """`count` blocks on (N, channels, H, W). heads, expansion, bias and norm are of Restormer's blocks only."""
    if kind == "nafnet":
        # Without channel attention: purely local, so that tiles equal the whole picture.
        return Blocks(*[NAFBlock(channels, channel_attention=False) for _ in range(count)])
    return Blocks(*[TransformerBlock(channels, heads, expansion, bias, norm) for _ in range(count)])
