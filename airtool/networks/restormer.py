"""Restormer's blocks (Zamir et al., CVPR 2022, arXiv 2111.09881), under the key names of published checkpoints.

All modules map (N, C, H, W) to (N, C', H', W'); any floating dtype. Convolutions pad with zeros and keep the size.
"""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from airtool.networks.mixing import hand_out
from airtool.networks.strips import attend_in_strips, in_strips

NormKind = Literal["WithBias", "BiasFree"]


class _PixelNorm(nn.Module):
    """Normalisation over the channels of each pixel; parameters live one level down, as published."""

    def __init__(self, channels: int, kind: NormKind) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels)) if kind == "WithBias" else None

    def forward(self, x: Tensor) -> Tensor:
        rows = x.permute(0, 2, 3, 1)  # a view, already contiguous in channels_last memory
        if self.bias is not None:
            rows = F.layer_norm(rows, rows.shape[-1:], self.weight, self.bias, eps=1e-5)
        else:
            # BiasFree divides by the standard deviation about the mean but does not subtract the mean.
            variance = rows.var(-1, unbiased=False, keepdim=True)
            rows = rows * torch.rsqrt(variance + 1e-5) * self.weight
        return rows.permute(0, 3, 1, 2)


class LayerNorm(nn.Module):
    """Layer normalisation over channels, biased variance, epsilon 1e-5 inside the root."""

    def __init__(self, channels: int, kind: NormKind = "WithBias") -> None:
        super().__init__()
        self.body = _PixelNorm(channels, kind)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class TransposedAttention(nn.Module):
    """Multi-Dconv head transposed attention (MDTA): attention between channels, so linear in the pixels.

    Uses statistics of the whole input: tiles see other statistics than the whole picture.
    """

    def __init__(self, channels: int, heads: int, bias: bool = False) -> None:
        super().__init__()
        if channels % heads:
            raise ValueError(f"{channels} channels cannot be split into {heads} heads")
        self.heads = heads
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=bias)
        self.qkv_dwconv = nn.Conv2d(3 * channels, 3 * channels, 3, padding=1, groups=3 * channels, bias=bias)
        self.project_out = nn.Conv2d(channels, channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.hand_out(*self.attend(x, nn.Identity()))

    def attend(self, x: Tensor, before: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """What `hand_out` takes: attention between channels (N, heads, C / heads, C / heads) and values (N, C, H, W).

        before: layers that each pixel passes first.
        """
        cosines, values = attend_in_strips(lambda part: self.project(before(part)), x, self.heads)
        return (cosines * self.temperature).softmax(dim=-1), values

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each of the shape of x."""
        q, k, v = self.qkv_dwconv(self.qkv(x)).chunk(3, dim=1)
        return q, k, v

    def hand_out(self, attention: Tensor, values: Tensor) -> Tensor:
        """The block's result for values (N, C, H, W) of any H: each pixel's depends on its own values only."""
        return hand_out(attention, values, self.project_out)


class GatedFeedForward(nn.Module):
    """Gated-Dconv feed-forward network (GDFN) with the exact (erf) GELU as gate."""

    def __init__(self, channels: int, expansion: float = 2.66, bias: bool = False) -> None:
        super().__init__()
        hidden = int(channels * expansion)
        self.project_in = nn.Conv2d(channels, 2 * hidden, 1, bias=bias)
        self.dwconv = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden, bias=bias)
        self.project_out = nn.Conv2d(hidden, channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.dwconv(self.project_in(x)).chunk(2, dim=1)
        # In channels_last a half of the channels lies scattered, and on such numbers PyTorch's GELU takes several times
        # as long on a CPU, forward and backward, as copying them together and working on the copy.
        return self.project_out(F.gelu(gate.clone()) * value)


class TransformerBlock(nn.Module):
    """x + MDTA(LN(x)), then x + GDFN(LN(x))."""

    def __init__(
        self,
        channels: int,
        heads: int,
        expansion: float = 2.66,
        bias: bool = False,
        norm: NormKind = "WithBias",
    ) -> None:
        super().__init__()
        self.norm1 = LayerNorm(channels, norm)
        self.attn = TransposedAttention(channels, heads, bias)
        self.norm2 = LayerNorm(channels, norm)
        self.ffn = GatedFeedForward(channels, expansion, bias)

    def forward(self, x: Tensor, *, spend: bool = False) -> Tensor:
        """spend: x may be overwritten."""
        attention, values = self.attn.attend(x, self.norm1)

        def rest(x: Tensor, values: Tensor) -> Tensor:
            x = x + self.attn.hand_out(attention, values)
            return x + self.ffn(self.norm2(x))

        return in_strips(rest, x, values, spend=spend)


class Downsample(nn.Module):
    """3x3 convolution to half the channels, then pixel-unshuffle: (N, C, H, W) -> (N, 2C, H/2, W/2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(channels, channels // 2, 3, padding=1, bias=False), nn.PixelUnshuffle(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class Upsample(nn.Module):
    """3x3 convolution to twice the channels, then pixel-shuffle: (N, C, H, W) -> (N, C/2, 2H, 2W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(channels, 2 * channels, 3, padding=1, bias=False), nn.PixelShuffle(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)
