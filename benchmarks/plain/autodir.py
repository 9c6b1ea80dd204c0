"""AutoDIR at the small size, plain: autoencoder, latent diffusion that hears words, structural correction."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plain.blocks import CrossAttention, Downsample, LayerNorm2d, Upsample, blocks, to_3d, to_4d
from plain.diffusion import ddim, signals, trailing


class Sentences(nn.Module):
    """Sentences of the classes, mixed by their shares: (N, classes) -> (N, words, width)."""

    tokens: Tensor

    def __init__(self, tokens: Tensor, buckets: int, width: int) -> None:
        """tokens: (classes, words, pieces) int64, 0 for none, which a weights file does not hold."""
        super().__init__()
        self.register_buffer("tokens", tokens.clone(), persistent=False)
        self.pieces = nn.Embedding(1 + buckets, width, padding_idx=0)
        self.norm = nn.LayerNorm(width)
        self.positions = nn.Parameter(torch.zeros(tokens.shape[1], width))
        self.project = nn.Linear(width, width)

    def forward(self, shares: Tensor) -> Tensor:
        counts = (self.tokens != 0).sum(2, keepdim=True)
        words = self.norm(self.pieces(self.tokens).sum(2) / counts.clamp(min=1)) + self.positions
        words = self.project(words) * (counts > 0)
        return (shares[:, :, None, None] * words[None]).sum(1)


class Modulation(nn.Module):
    def __init__(self, condition: int, channels: int) -> None:
        super().__init__()
        self.project = nn.Linear(condition, 2 * channels)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.project(condition)[:, :, None, None].chunk(2, dim=1)
        return x * (1 + scale) + shift


class Autoencoder(nn.Module):
    def __init__(self, channels: int, widths: tuple[int, int], count: int) -> None:
        super().__init__()
        fine, coarse = widths
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(48, fine, 3, padding=1),
            blocks("nafnet", count, fine),
            nn.Conv2d(fine, coarse, 2, stride=2),
            blocks("nafnet", count, coarse),
            nn.Conv2d(coarse, channels, 1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(channels, coarse, 3, padding=1),
            blocks("nafnet", count, coarse),
            nn.Conv2d(coarse, 4 * fine, 1),
            nn.PixelShuffle(2),
            blocks("nafnet", count, fine),
            nn.Conv2d(fine, 48, 3, padding=1),
            nn.PixelShuffle(4),
        )


class WordAttention(nn.Module):
    def __init__(self, channels: int, words: int, heads: int) -> None:
        super().__init__()
        self.norm = LayerNorm2d(channels)
        self.query = nn.Linear(channels, channels, bias=False)
        self.key_value = nn.Linear(words, 2 * channels, bias=False)
        self.attend = CrossAttention(heads)
        self.out = nn.Linear(channels, channels)

    def forward(self, x: Tensor, words: Tensor) -> Tensor:
        q = self.query(to_3d(self.norm(x)))
        k, v = self.key_value(words).chunk(2, dim=-1)
        return x + to_4d(self.out(self.attend(q, k, v)), *x.shape[-2:])


class Stage(nn.Module):
    def __init__(self, count: int, channels: int, condition: int, words: int) -> None:
        super().__init__()
        self.tell = Modulation(condition, channels)
        self.listen = WordAttention(channels, words, heads=4)
        self.blocks = blocks("nafnet", count, channels)

    def forward(self, x: Tensor, condition: Tensor, words: Tensor) -> Tensor:
        return self.blocks(self.listen(self.tell(x, condition), words))


class Denoiser(nn.Module):
    def __init__(self, channels: int, widths: tuple[int, int], counts: tuple[int, int], words: int) -> None:
        super().__init__()
        fine, coarse = widths
        condition = 2 * fine
        self.waves = fine // 2
        self.time = nn.Sequential(nn.Linear(fine, condition), nn.SiLU(), nn.Linear(condition, condition))
        self.pool = nn.Linear(words, condition)
        self.entry = nn.Conv2d(2 * channels, fine, 3, padding=1)
        self.down = nn.Conv2d(fine, coarse, 2, stride=2)
        self.up = nn.Sequential(nn.Conv2d(coarse, 4 * fine, 1), nn.PixelShuffle(2))
        self.encoder = Stage(counts[0], fine, condition, words)
        self.middle = Stage(counts[1], coarse, condition, words)
        self.decoder = Stage(counts[0], fine, condition, words)
        self.exit = nn.Conv2d(fine, channels, 3, padding=1)

    def forward(self, z: Tensor, t: Tensor, image: Tensor, words: Tensor) -> Tensor:
        rates = torch.exp(-math.log(10000.0) * torch.arange(self.waves, device=t.device) / self.waves)
        angles = t[:, None] * rates[None]
        condition = F.silu(self.time(torch.cat([angles.sin(), angles.cos()], 1)) + self.pool(words.mean(1)))
        first = self.encoder(self.entry(torch.cat([z, image], 1)), condition, words)
        x = first + self.up(self.middle(self.down(first), condition, words))
        return self.exit(self.decoder(x, condition, words))


class Corrector(nn.Module):
    def __init__(self, config: Any, refinement_blocks: int) -> None:
        super().__init__()
        c, (b1, b2, b3, b4) = config.corrector_dim, config.corrector_blocks
        self.entry = nn.Conv2d(6, c, 3, padding=1)
        self.encoder_level1, self.down1_2 = blocks("nafnet", b1, c), Downsample(c)
        self.encoder_level2, self.down2_3 = blocks("nafnet", b2, 2 * c), Downsample(2 * c)
        self.encoder_level3, self.down3_4 = blocks("nafnet", b3, 4 * c), Downsample(4 * c)
        self.latent = blocks("nafnet", b4, 8 * c)
        self.up4_3, self.decoder_level3 = Upsample(8 * c), blocks("nafnet", b3, 4 * c)
        self.reduce_chan_level3 = nn.Conv2d(8 * c, 4 * c, 1, bias=False)
        self.up3_2, self.decoder_level2 = Upsample(4 * c), blocks("nafnet", b2, 2 * c)
        self.reduce_chan_level2 = nn.Conv2d(4 * c, 2 * c, 1, bias=False)
        self.up2_1, self.decoder_level1 = Upsample(2 * c), blocks("nafnet", b1, 2 * c)
        self.reduce_chan_level1 = nn.Conv2d(2 * c, 2 * c, 1, bias=False)
        self.refinement = blocks("nafnet", refinement_blocks, 2 * c)
        self.output = nn.Conv2d(2 * c, 3, 3, padding=1)
        widths = (c, 2 * c, 4 * c, 8 * c, 8 * c)
        self.tell = nn.ModuleList([Modulation(config.text_width, width) for width in widths])

    def forward(self, degraded: Tensor, diffused: Tensor, words: Tensor) -> Tensor:
        condition = words.mean(1)
        e1 = self.tell[0](self.encoder_level1(self.entry(torch.cat([degraded, diffused], 1))), condition)
        e2 = self.tell[1](self.encoder_level2(self.down1_2(e1)), condition)
        e3 = self.tell[2](self.encoder_level3(self.down2_3(e2)), condition)
        y = self.tell[4](self.latent(self.tell[3](self.down3_4(e3), condition)), condition)
        y = self.decoder_level3(self.reduce_chan_level3(torch.cat([self.up4_3(y), e3], 1)))
        y = self.decoder_level2(self.reduce_chan_level2(torch.cat([self.up3_2(y), e2], 1)))
        y = self.decoder_level1(self.reduce_chan_level1(torch.cat([self.up2_1(y), e1], 1)))
        return degraded - diffused + self.output(self.refinement(y))


class PlainAutoDIR(nn.Module):
    """(1, 3, H, W) in [0, 1], the shares of the classes and the latents' noise to the restored picture.

    The class for low resolution, which may weigh the correction differently, is not for this network.
    """

    def __init__(self, config: Any, tokens: Tensor) -> None:
        super().__init__()
        if config.sampler != "ddim" or not config.prompted_correction:
            raise ValueError("only what the embedded weights use is here")
        self.prediction = config.prediction
        self.times = trailing(config.sampling_steps)
        self.alpha_bar = signals("scaled-linear")
        self.sentences = Sentences(tokens, config.text_buckets, config.text_width)
        self.autoencoder = Autoencoder(config.latent_channels, config.autoencoder_widths, config.autoencoder_blocks)
        self.denoiser = Denoiser(
            config.latent_channels, config.denoiser_widths, config.denoiser_blocks, config.text_width
        )
        self.corrector = Corrector(config, config.refinement_blocks)
        self.nothing = config.classes.index("no")
        self.fine = [config.classes.index(name) for name in config.fine_classes]
        if self.fine:
            self.fine_corrector = Corrector(config, config.fine_refinement_blocks)

    def forward(self, picture: Tensor, shares: Tensor, start: Tensor) -> Tensor:
        degraded, words = 2 * picture - 1, self.sentences(shares)
        image = self.autoencoder.encoder(degraded)
        latent = ddim(
            lambda z, t: self.denoiser(z, t, image, words), start, self.alpha_bar, self.times, self.prediction
        )
        diffused = self.autoencoder.decoder(latent)
        named = set(shares[0].nonzero().flatten().tolist()) - {self.nothing}
        corrector = self.fine_corrector if named and named <= set(self.fine) else self.corrector
        correction = 2 * corrector((degraded + 1) / 2, (diffused + 1) / 2, words)
        return (diffused + correction + 1) / 2
