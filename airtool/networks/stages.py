"""Runs of equal blocks, of the published kind or of the cheaper kind of the `small` presets."""

from typing import Literal

from torch import Tensor, nn

from airtool.networks.nafnet import NAFBlock
from airtool.networks.restormer import NormKind, TransformerBlock

BlockKind = Literal["restormer", "nafnet"]


class Blocks(nn.Sequential):
    """Blocks on (N, C, H, W), one behind the other; a convolution may come first."""

    def forward(self, x: Tensor, *, spend: bool = False) -> Tensor:
        """spend: x may be overwritten; what a block hands to the next one may be in any case."""
        for index, layer in enumerate(self):
            x = layer(x) if isinstance(layer, nn.Conv2d) else layer(x, spend=spend or index > 0)
        return x


def stage(
    kind: BlockKind, count: int, channels: int, heads: int, expansion: float, bias: bool, norm: NormKind
) -> Blocks:
    """`count` blocks on (N, channels, H, W). heads, expansion, bias and norm are of Restormer's blocks only."""
    if kind == "nafnet":
        # Without channel attention: purely local, so that tiles equal the whole picture.
        return Blocks(*[NAFBlock(channels, channel_attention=False) for _ in range(count)])
    return Blocks(*[TransformerBlock(channels, heads, expansion, bias, norm) for _ in range(count)])
