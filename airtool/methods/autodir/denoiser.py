"""The small latent diffusion network: a U-Net that reads the words and sees the degraded picture's latent."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from airtool.methods.autodir.conditions import Modulation
from airtool.networks.nafnet import ChannelNorm, NAFBlock


class WordAttention(nn.Module):
    """Cross-attention from features (N, C, H, W) to words (N, W, D), added to the features."""

    def __init__(self, channels: int, words: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = ChannelNorm(channels)
        self.query = nn.Linear(channels, channels, bias=False)
        self.key_value = nn.Linear(words, 2 * channels, bias=False)
        self.out = nn.Linear(channels, channels)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, words: Tensor) -> Tensor:
        rows = self.norm(x).flatten(2).transpose(1, 2)
        q, k, v = (
            each.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for each in (self.query(rows), *self.key_value(words).chunk(2, dim=-1))
        )
        heard = self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return x + heard.transpose(1, 2).unflatten(2, x.shape[2:])


class Stage(nn.Module):
    """Blocks of one level, told the time step and the words."""

    def __init__(self, count: int, channels: int, condition: int, words: int, heads: int) -> None:
        super().__init__()
        self.tell = Modulation(condition, channels)
        self.listen = WordAttention(channels, words, heads)
        self.blocks = nn.Sequential(*[NAFBlock(channels, channel_attention=False) for _ in range(count)])

    def forward(self, x: Tensor, condition: Tensor, words: Tensor) -> Tensor:
        return self.blocks(self.listen(self.tell(x, condition), words))


class Denoiser(nn.Module):
    """What is noise, or what is clean, in a latent (N, C, h, w), h and w even.

    The degraded picture's latent is concatenated (paper, Sec. 3.2), the words are attended to at both levels.
    """

    def __init__(self, channels: int, widths: tuple[int, int], counts: tuple[int, int], words: int) -> None:
        super().__init__()
        fine, coarse = widths
        condition = 2 * fine
        self.time_width = fine
        self.time = nn.Sequential(nn.Linear(fine, condition), nn.SiLU(), nn.Linear(condition, condition))
        self.pool = nn.Linear(words, condition)
        self.entry = nn.Conv2d(2 * channels, fine, 3, padding=1)
        self.down = nn.Conv2d(fine, coarse, 2, stride=2)
        self.up = nn.Sequential(nn.Conv2d(coarse, 4 * fine, 1), nn.PixelShuffle(2))
        self.encoder = Stage(counts[0], fine, condition, words, heads=4)
        self.middle = Stage(counts[1], coarse, condition, words, heads=4)
        self.decoder = Stage(counts[0], fine, condition, words, heads=4)
        self.exit = nn.Conv2d(fine, channels, 3, padding=1)

    def forward(self, z: Tensor, t: Tensor, image_latent: Tensor, words: Tensor) -> Tensor:
        """z, image_latent: (N, C, h, w). t: (N,) time steps from 0 to 999. words: (N, W, D). Returns as z."""
        condition = F.silu(self.time(waves(t, self.time_width).to(z.dtype)) + self.pool(words.mean(1)))
        first = self.encoder(self.entry(torch.cat([z, image_latent], 1)), condition, words)
        x = first + self.up(self.middle(self.down(first), condition, words))
        return self.exit(self.decoder(x, condition, words))


def waves(t: Tensor, width: int) -> Tensor:
    """Sines and cosines of the time steps, (N,) -> (N, width) float32 (Vaswani et al., 2017, arXiv 1706.03762)."""
    rates = torch.exp(-math.log(10_000.0) * torch.arange(width // 2, device=t.device) / (width // 2))
    angles = t.float()[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)
