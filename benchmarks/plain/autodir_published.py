"""AutoDIR at its published size, plain.

The latent diffusion and the autoencoder are those of the package diffusers, as in many a paper's repository (and as in
airtool itself, so this rival shares them), but with every attention map in memory; sampler and correction are written
out. The text's vectors are an input.
"""

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plain.blocks import NAFBlock
from plain.diffusion import STEPS, signals


class NAFNet(nn.Module):
    """With channel attention, as published."""

    def __init__(self, width: int, encoders: tuple[int, ...], middle: int, decoders: tuple[int, ...]) -> None:
        super().__init__()

        def run(count: int, channels: int) -> nn.Sequential:
            return nn.Sequential(*[NAFBlock(channels, attention=True) for _ in range(count)])

        self.intro = nn.Conv2d(6, width, 3, padding=1)
        self.encoders, self.downs = nn.ModuleList(), nn.ModuleList()
        for count in encoders:
            self.encoders.append(run(count, width))
            self.downs.append(nn.Conv2d(width, 2 * width, 2, stride=2))
            width *= 2
        self.middle_blks = run(middle, width)
        self.ups, self.decoders = nn.ModuleList(), nn.ModuleList()
        for count in decoders:
            self.ups.append(nn.Sequential(nn.Conv2d(width, 2 * width, 1, bias=False), nn.PixelShuffle(2)))
            width //= 2
            self.decoders.append(run(count, width))
        self.ending = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        multiple = 2 ** len(self.encoders)
        x = self.intro(F.pad(x, (0, -width % multiple, 0, -height % multiple)))
        skips = []
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            x = encoder(x)
            skips.append(x)
            x = down(x)
        x = self.middle_blks(x)
        for up, decoder in zip(self.ups, self.decoders, strict=True):
            x = decoder(up(x) + skips.pop())
        return self.ending(x)[:, :, :height, :width]


class PlainPublishedAutoDIR(nn.Module):
    """(1, 3, H, W) in [0, 1], the text's vectors and the noise of every step to the restored picture."""

    def __init__(self, config: Any, unet: nn.Module, vae: nn.Module) -> None:
        """unet, vae: the package's, of the config's sizes."""
        super().__init__()
        if config.sampler != "euler-a":
            raise ValueError("only the authors' sampler is here")
        from diffusers.models.attention_processor import AttnProcessor

        self.unet, self.vae = unet, vae
        self.unet.set_attn_processor(AttnProcessor())
        self.vae.set_attn_processor(AttnProcessor())
        self.corrector = NAFNet(
            config.corrector_width, config.corrector_encoder, config.corrector_middle, config.corrector_decoder
        )
        self.scale, self.steps = config.scale_factor, config.sampling_steps
        alpha_bar = signals("scaled-linear").double().numpy()
        self.times = np.linspace(STEPS - 1, 0, self.steps).tolist()
        logs = np.interp(self.times, np.arange(STEPS), np.log(np.sqrt((1 - alpha_bar) / alpha_bar)))
        self.sigmas = [*np.exp(logs).tolist(), 0.0]

    def forward(self, picture: Tensor, context: Tensor, noise: list[Tensor]) -> Tensor:
        """noise: that of the start, then that of every step but the last."""
        degraded = 2 * picture - 1
        image = self.vae.encode(degraded).latent_dist.mode()
        x = noise[0].to(picture.device) * self.sigmas[0]
        for step, t in enumerate(self.times):
            sigma, after = self.sigmas[step], self.sigmas[step + 1]
            scaled = torch.cat([x / math.sqrt(sigma**2 + 1), image], 1)
            eps = self.unet(scaled, x.new_full((len(x),), t), encoder_hidden_states=context).sample
            up = min(after, math.sqrt(after**2 * (sigma**2 - after**2) / sigma**2))
            x = x + eps * (math.sqrt(after**2 - up**2) - sigma)
            if after:
                x = x + noise[step + 1].to(picture.device) * up
        diffused = self.vae.decode(x / self.scale).sample
        return (diffused + self.corrector(torch.cat([degraded, diffused], 1)) + 1) / 2
