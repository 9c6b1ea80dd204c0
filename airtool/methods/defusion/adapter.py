"""The visual instruction adapter: how a U-Net listens to an instruction's tokens.

Nothing here has a bias between the tokens and the feature: an instruction that says nothing, whose tokens are all
zero, adds exactly nothing.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from airtool.methods.defusion.bridge import zeroed
from airtool.networks.cross_attention import DecoupledCrossAttention
from airtool.networks.nafnet import ChannelNorm


class InstructionAttention(nn.Module):
    """Cross-attention of all positions of a feature (N, C, H, W) to tokens (N, T, context), added to the feature.

    Zero at first. The published network also attends to a text, which ours has not.
    """

    def __init__(self, channels: int, heads: int, context: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.attn = DecoupledCrossAttention(channels, heads, context, out_bias=False)
        zeroed(self.attn.to_out)

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        queries = self.norm(x).flatten(2).transpose(1, 2)
        out = self.attn(queries, tokens.to(queries.dtype))
        return x + out.transpose(1, 2).reshape(x.shape)


class InstructionSummary(nn.Module):
    """All tokens (N, T, context) as one vector (N, width), which does not depend on their order.

    Not published: with it an instruction reaches also the levels where attention would cost too much.
    """

    def __init__(self, context: int, width: int) -> None:
        super().__init__()
        self.read = nn.Linear(context, 2 * width, bias=False)
        self.mix = nn.Linear(2 * width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        # The mean of functions of the tokens tells distributions apart, not just means.
        return self.out(F.silu(self.mix(F.silu(self.read(tokens)).mean(1))))
