"""NAFNet's block (Chen et al., ECCV 2022, arXiv 2204.04676): convolutions and gates, no attention map, no activation.

On a CPU it gives more PSNR a second than attention blocks, so the `small` presets are built from it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from airtool.networks.strips import in_strips


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of an (N, C, H, W) tensor, biased variance."""

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__(channels, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        # Autocast would move this to float32 and double the memory traffic; the kernel accumulates in float32 anyway.
        with torch.autocast(x.device.type, enabled=False):
            rows = F.layer_norm(
                x.permute(0, 2, 3, 1), self.normalized_shape, self.weight.to(x.dtype), self.bias.to(x.dtype), self.eps
            )
        return rows.permute(0, 3, 1, 2)


def simple_gate(x: Tensor) -> Tensor:
    """Multiply the two halves of the channels: (N, 2C, H, W) -> (N, C, H, W)."""
    left, right = x.chunk(2, dim=1)
    return left * right


class NAFBlock(nn.Module):
    """One NAFNet block on (N, C, H, W).

    ``channel_attention=False`` leaves out the simplified channel attention, and with it the only whole-picture
    statistic: the block is then purely local (receptive field 3 x 3), so that tiles equal the whole picture.
    """

    def __init__(self, channels: int, channel_attention: bool = True) -> None:
        super().__init__()
        self.norm1 = ChannelNorm(channels)
        self.conv1 = nn.Conv2d(channels, 2 * channels, 1)
        self.conv2 = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1, groups=2 * channels)
        self.sca = (
            nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, channels, 1)) if channel_attention else None
        )
        self.conv3 = nn.Conv2d(channels, channels, 1)
        self.norm2 = ChannelNorm(channels)
        self.conv4 = nn.Conv2d(channels, 2 * channels, 1)
        self.conv5 = nn.Conv2d(channels, channels, 1)
        # Zero, so that every block starts as the identity.
        self.beta = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor, *, spend: bool = False) -> Tensor:
        """spend: x may be overwritten."""
        return in_strips(self._layers, x, spend=spend) if self.sca is None else self._layers(x)

    def _layers(self, x: Tensor) -> Tensor:
        y = simple_gate(self.conv2(self.conv1(self.norm1(x))))
        if self.sca is not None:
            y = y * self.sca(y)
        x = x + self.conv3(y) * self.beta.to(y.dtype)
        y = self.conv5(simple_gate(self.conv4(self.norm2(x))))
        return x + y * self.gamma.to(y.dtype)
