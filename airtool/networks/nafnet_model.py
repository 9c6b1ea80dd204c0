"""The whole NAFNet (Chen et al., ECCV 2022, arXiv 2204.04676), under the key names of published checkpoints."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from airtool.networks.nafnet import NAFBlock


@dataclass(frozen=True)
class NAFNetConfig:
    """Sizes of NAFNet. The defaults are AutoDIR's structural correction: 115,984,643 parameters."""

    in_channels: int = 6
    """Channels of the input; the last `out_channels` of them are what gets corrected."""
    out_channels: int = 3
    """Channels of the output."""
    width: int = 64
    """Channels at full resolution; doubled at each further level."""
    encoder_blocks: tuple[int, ...] = (2, 2, 4, 8)
    """Blocks of each encoder level, finest first."""
    middle_blocks: int = 12
    """Blocks at the coarsest resolution."""
    decoder_blocks: tuple[int, ...] = (2, 2, 2, 2)
    """Blocks of each decoder level, coarsest first."""
    channel_attention: bool = True
    """Whether blocks weigh channels by whole-picture averages. No published weights go without."""

    def __post_init__(self) -> None:
        if len(self.encoder_blocks) != len(self.decoder_blocks):
            raise ValueError("encoder_blocks and decoder_blocks must name the same number of levels")
        if not 1 <= self.out_channels <= self.in_channels:
            raise ValueError("out_channels must lie between 1 and in_channels")
        if self.width < 1 or min(self.middle_blocks, *self.encoder_blocks, *self.decoder_blocks) < 0:
            raise ValueError("width must be at least 1 and numbers of blocks at least 0")


class NAFNet(nn.Module):
    """Any floating dtype, any H and W: zeros fill up the right and the bottom to a multiple of 2^levels."""

    def __init__(self, config: NAFNetConfig) -> None:
        super().__init__()
        c = config.width

        def blocks(count: int, channels: int) -> nn.Sequential:
            return nn.Sequential(*[NAFBlock(channels, config.channel_attention) for _ in range(count)])

        self.out_channels = config.out_channels
        self.intro = nn.Conv2d(config.in_channels, c, 3, padding=1)
        self.encoders, self.downs = nn.ModuleList(), nn.ModuleList()
        for count in config.encoder_blocks:
            self.encoders.append(blocks(count, c))
            self.downs.append(nn.Conv2d(c, 2 * c, 2, stride=2))
            c *= 2
        self.middle_blks = blocks(config.middle_blocks, c)
        self.ups, self.decoders = nn.ModuleList(), nn.ModuleList()
        for count in config.decoder_blocks:
            self.ups.append(nn.Sequential(nn.Conv2d(c, 2 * c, 1, bias=False), nn.PixelShuffle(2)))
            c //= 2
            self.decoders.append(blocks(count, c))
        self.ending = nn.Conv2d(c, config.out_channels, 3, padding=1)

    def forward(self, x: Tensor, weight: float = 1.0) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H, W): the last channels plus `weight` times the correction.

        Neither clipped nor tied to a range: the range of x is that of the training.
        """
        return x[:, -self.out_channels :] + weight * self.correction(x)

    def correction(self, x: Tensor) -> Tensor:
        """What forward adds at weight 1: (N, in_channels, H, W) -> (N, out_channels, H, W)."""
        height, width = x.shape[-2:]
        multiple = 2 ** len(self.encoders)
        y = self.intro(F.pad(x, (0, -width % multiple, 0, -height % multiple)))
        skips = []
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            y = encoder(y)
            skips.append(y)
            y = down(y)
        y = self.middle_blks(y)
        for up, decoder in zip(self.ups, self.decoders, strict=True):
            y = decoder(up(y) + skips.pop())
        return self.ending(y)[..., :height, :width]
