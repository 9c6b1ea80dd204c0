"""The small autoencoder: pictures to latents of an eighth of their size and back.

In the place of the KL autoencoder of latent diffusion (Rombach et al., CVPR 2022, arXiv 2112.10752), with NAFNet's
local blocks and without a posterior: its latents are kept near zero mean and unit variance by a penalty in training.
"""

from torch import Tensor, nn

from airtool.networks.nafnet import NAFBlock

FACTOR = 8
"""Pixels of a picture's side to one of its latent's."""

GATHERED = 4
"""Side of the squares of pixels that become channels before the first convolution."""


def blocks(count: int, channels: int) -> nn.Sequential:
    """Purely local, so that tiles equal the whole picture."""
    return nn.Sequential(*[NAFBlock(channels, channel_attention=False) for _ in range(count)])


class Autoencoder(nn.Module):
    """Pictures (N, 3, H, W) in [-1, 1], H and W multiples of `FACTOR`, and latents (N, channels, H / 8, W / 8)."""

    def __init__(self, channels: int, widths: tuple[int, int], blocks_a_level: int) -> None:
        """widths: channels at a quarter and at an eighth of the resolution."""
        super().__init__()
        fine, coarse = widths
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(GATHERED),
            nn.Conv2d(3 * GATHERED**2, fine, 3, padding=1),
            blocks(blocks_a_level, fine),
            nn.Conv2d(fine, coarse, 2, stride=2),
            blocks(blocks_a_level, coarse),
            nn.Conv2d(coarse, channels, 1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(channels, coarse, 3, padding=1),
            blocks(blocks_a_level, coarse),
            nn.Conv2d(coarse, 4 * fine, 1),
            nn.PixelShuffle(2),
            blocks(blocks_a_level, fine),
            nn.Conv2d(fine, 3 * GATHERED**2, 3, padding=1),
            nn.PixelShuffle(GATHERED),
        )

    def encode(self, pictures: Tensor) -> Tensor:
        return self.encoder(pictures)

    def decode(self, latents: Tensor) -> Tensor:
        return self.decoder(latents)
