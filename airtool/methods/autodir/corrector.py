"""The small structural correction: what the diffusion lost is brought back from the degraded picture (Eq. 7)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from airtool.methods.autodir.conditions import Modulation
from airtool.networks.restormer import Downsample, Upsample
from airtool.networks.stages import Blocks, stage
from airtool.networks.strips import joined


class Corrector(nn.Module):
    """F([I, I_sd]) of Eq. 7, as an encoder-decoder of NAFNet's blocks in NDR-Restore's layout.

    Its weights can begin with those of NDR-Restore's `small` preset. Two things are not the paper's, whose correction
    is a NAFNet of 116 million parameters that sees the two pictures alone: the latents of a small autoencoder hold so
    little that most of the structure has to come from I, so F is written as I - I_sd plus what is learned; and the
    words are heard here too, at the skip connections, because what may come back from I depends on what was asked for.

    pack: squares of so many pixels are gathered into channels first, so that all levels are so many times coarser, and
    blocks can have more channels for the same time.
    """

    def __init__(
        self,
        dim: int,
        counts: tuple[int, int, int, int],
        refinement_blocks: int,
        words: int,
        prompted: bool,
        pack: int = 1,
    ) -> None:
        super().__init__()
        self.pack = pack
        b1, b2, b3, b4 = counts

        def blocks(count: int, channels: int) -> Blocks:
            return stage("nafnet", count, channels, 1, 1.0, False, "WithBias")

        self.entry = nn.Conv2d(6 * pack**2, dim, 3, padding=1)
        self.encoder_level1 = blocks(b1, dim)
        self.down1_2 = Downsample(dim)
        self.encoder_level2 = blocks(b2, 2 * dim)
        self.down2_3 = Downsample(2 * dim)
        self.encoder_level3 = blocks(b3, 4 * dim)
        self.down3_4 = Downsample(4 * dim)
        self.latent = blocks(b4, 8 * dim)
        self.up4_3 = Upsample(8 * dim)
        self.reduce_chan_level3 = nn.Conv2d(8 * dim, 4 * dim, 1, bias=False)
        self.decoder_level3 = blocks(b3, 4 * dim)
        self.up3_2 = Upsample(4 * dim)
        self.reduce_chan_level2 = nn.Conv2d(4 * dim, 2 * dim, 1, bias=False)
        self.decoder_level2 = blocks(b2, 2 * dim)
        self.up2_1 = Upsample(2 * dim)
        self.reduce_chan_level1 = nn.Conv2d(2 * dim, 2 * dim, 1, bias=False)
        self.decoder_level1 = blocks(b1, 2 * dim)
        self.refinement = blocks(refinement_blocks, 2 * dim)
        self.output = nn.Conv2d(2 * dim, 3 * pack**2, 3, padding=1)
        widths = (dim, 2 * dim, 4 * dim, 8 * dim, 8 * dim)
        self.tell = nn.ModuleList([Modulation(words, width) for width in widths]) if prompted else None

    def forward(self, degraded: Tensor, diffused: Tensor, words: Tensor) -> Tensor:
        """What to add to `diffused`: all (N, 3, H, W) in [0, 1], H and W multiples of 8 * pack. words: (N, W, D)."""
        condition = words.mean(1)

        def told(x: Tensor, level: int) -> Tensor:
            return x if self.tell is None else self.tell[level](x, condition)

        both = torch.cat([degraded, diffused], 1)
        if self.pack > 1:
            both = F.pixel_unshuffle(both, self.pack)
        e1 = told(self.encoder_level1(self.entry(both)), 0)
        e2 = told(self.encoder_level2(self.down1_2(e1)), 1)
        e3 = told(self.encoder_level3(self.down2_3(e2)), 2)
        y = told(self.latent(told(self.down3_4(e3), 3)), 4)
        y = self.decoder_level3(joined(self.reduce_chan_level3, self.up4_3(y), e3))
        y = self.decoder_level2(joined(self.reduce_chan_level2, self.up3_2(y), e2))
        y = self.decoder_level1(joined(self.reduce_chan_level1, self.up2_1(y), e1), spend=True)
        learned = self.output(self.refinement(y, spend=True))
        if self.pack > 1:
            learned = F.pixel_shuffle(learned, self.pack)
        return degraded - diffused + learned
