"""Defusion, plain: the diffusion, the small preset's U-Net, and the parts that the published one shares with it.

The instruction's tokens are an input: making them (the chart, its damage, the tokenizer) is not timed here.
"""

import math
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plain.blocks import CrossAttention, Downsample, LayerNorm2d, NAFBlock, Upsample, to_3d, to_4d
from plain.diffusion import ddim, signals, trailing


class BridgeBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.silu(self.conv1(x)))


class Bridge(nn.Module):
    """The degraded picture for every level: shift, scale and gate."""

    def __init__(self, widths: list[int], channels: list[int], count: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, widths[0], 3, padding=1)
        self.levels = nn.ModuleList([nn.Sequential(*[BridgeBlock(w) for _ in range(count)]) for w in widths])
        self.downs = nn.ModuleList([nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(widths)])
        self.modulations = nn.ModuleList([nn.Conv2d(w, 3 * c, 1) for w, c in zip(widths, channels, strict=True)])

    def forward(self, degraded: Tensor) -> list[Tensor]:
        features = [self.levels[0](self.conv_in(degraded))]
        for down, level in zip(self.downs, list(self.levels)[1:], strict=True):
            features.append(level(down(features[-1])))
        return features


class TimeEmbedding(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.waves = max(1, width // 2)
        self.net = nn.Sequential(nn.Linear(2 * self.waves, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, t: Tensor) -> Tensor:
        rates = torch.exp(torch.arange(self.waves, device=t.device) * (-math.log(10000.0) / self.waves))
        angles = t[:, None] * rates[None]
        return self.net(torch.cat([angles.cos(), angles.sin()], 1))


class _Adapter(nn.Module):
    """The projections of the attention to the tokens; the published adapter has the same names."""

    def __init__(self, channels: int, heads: int, context: int) -> None:
        super().__init__()
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k_ip = nn.Linear(context, channels, bias=False)
        self.to_v_ip = nn.Linear(context, channels, bias=False)
        self.attend = CrossAttention(heads)
        self.to_out = nn.Sequential(nn.Linear(channels, channels, bias=False))

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        return self.to_out(self.attend(self.to_q(x), self.to_k_ip(tokens), self.to_v_ip(tokens)))


class InstructionAttention(nn.Module):
    def __init__(self, channels: int, heads: int, context: int) -> None:
        super().__init__()
        self.norm = LayerNorm2d(channels)
        self.attn = _Adapter(channels, heads, context)

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        return x + to_4d(self.attn(to_3d(self.norm(x)), tokens), *x.shape[-2:])


class Summary(nn.Module):
    def __init__(self, context: int, width: int) -> None:
        super().__init__()
        self.read = nn.Linear(context, 2 * width, bias=False)
        self.mix = nn.Linear(2 * width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.out(F.silu(self.mix(F.silu(self.read(tokens)).mean(1))))


class ModulatedBlock(NAFBlock):
    """Modulated by the embedding, and where a bridge is given also by that."""

    def __init__(self, channels: int, embedding: int) -> None:
        super().__init__(channels)
        self.modulation = nn.Linear(embedding, 4 * channels)

    def forward(self, inp: Tensor, embedding: Tensor | None = None, bridge: Tensor | None = None) -> Tensor:
        assert embedding is not None
        shift, scale, gate, second = self.modulation(embedding)[:, :, None, None].chunk(4, dim=1)
        if bridge is not None:
            more_shift, more_scale, more_gate = bridge.chunk(3, dim=1)
            shift, scale, gate = shift + more_shift, scale + more_scale, gate + more_gate
        x = self.norm1(inp) * (1 + scale) + shift
        y = inp + self.conv3(self.sg(self.conv2(self.conv1(x)))) * self.beta * (1 + gate)
        x = self.conv5(self.sg(self.conv4(self.norm2(y))))
        return y + x * self.gamma * (1 + second)


class Stage(nn.ModuleList):
    def __init__(self, count: int, channels: int, embedding: int) -> None:
        super().__init__([ModulatedBlock(channels, embedding) for _ in range(count)])

    def forward(self, x: Tensor, embedding: Tensor, bridge: Tensor | None = None) -> Tensor:
        for index, block in enumerate(self, 1):
            x = block(x, embedding, bridge if index == len(self) else None)
        return x


class LocalUNet(nn.Module):
    """The U-Net of the small preset."""

    def __init__(self, config: Any, context: int) -> None:
        super().__init__()
        c, (b1, b2, b3, b4), width = config.dim, config.blocks, config.embedding
        self.bridge = Bridge(list(config.bridge), [c, 2 * c, 4 * c, 8 * c], config.bridge_blocks)
        self.time, self.summary = TimeEmbedding(width), Summary(context, width)
        self.patch_embed = nn.Conv2d(6, c, 3, padding=1)
        self.encoder_level1, self.down1_2 = Stage(b1, c, width), Downsample(c)
        self.encoder_level2, self.down2_3 = Stage(b2, 2 * c, width), Downsample(2 * c)
        self.encoder_level3, self.down3_4 = Stage(b3, 4 * c, width), Downsample(4 * c)
        self.encoder_attention3 = InstructionAttention(4 * c, config.heads, context)
        self.latent = Stage(b4, 8 * c, width)
        self.latent_attention = InstructionAttention(8 * c, config.heads, context)
        self.up4_3, self.decoder_level3 = Upsample(8 * c), Stage(b3, 4 * c, width)
        self.reduce_chan_level3 = nn.Conv2d(8 * c, 4 * c, 1)
        self.decoder_attention3 = InstructionAttention(4 * c, config.heads, context)
        self.up3_2, self.decoder_level2 = Upsample(4 * c), Stage(b2, 2 * c, width)
        self.reduce_chan_level2 = nn.Conv2d(4 * c, 2 * c, 1)
        self.up2_1, self.decoder_level1 = Upsample(2 * c), Stage(b1 + config.refinement_blocks, 2 * c, width)
        self.mix_level1 = nn.Conv2d(2 * c, 2 * c, 1)
        self.output = nn.Conv2d(2 * c, 3, 3, padding=1)

    def forward(self, noisy: Tensor, degraded: Tensor, t: Tensor, features: list[Tensor], tokens: Tensor) -> Tensor:
        vector = F.silu(self.time(t) + self.summary(tokens))
        told = [project(each) for project, each in zip(self.bridge.modulations, features, strict=True)]
        e1 = self.encoder_level1(self.patch_embed(torch.cat([degraded, noisy], 1)), vector, told[0])
        e2 = self.encoder_level2(self.down1_2(e1), vector, told[1])
        e3 = self.encoder_attention3(self.encoder_level3(self.down2_3(e2), vector, told[2]), tokens)
        y = self.latent_attention(self.latent(self.down3_4(e3), vector, told[3]), tokens)
        y = self.decoder_level3(self.reduce_chan_level3(torch.cat([self.up4_3(y), e3], 1)), vector)
        y = self.decoder_attention3(y, tokens)
        y = self.decoder_level2(self.reduce_chan_level2(torch.cat([self.up3_2(y), e2], 1)), vector)
        y = self.decoder_level1(self.mix_level1(torch.cat([self.up2_1(y), e1], 1)), vector)
        return self.output(y)


class PlainDefusion(nn.Module):
    """(1, 3, H, W) in [0, 1], an instruction's tokens (1, T, context) and noise to the restored picture."""

    def __init__(self, config: Any, unet: nn.Module, fine: nn.Module | None = None) -> None:
        """unet: a `LocalUNet` or the published one's like, without weights. fine: the second one, if any."""
        super().__init__()
        if config.space != "degradation" or config.condition != "instruction":
            raise ValueError("only the published kind of diffusion and condition is here, not the ablations")
        self.prediction, self.gain = config.prediction, config.gain
        self.times = trailing(config.evaluations)
        self.alpha_bar = signals(config.schedule)
        self.unet = unet
        self.fine = fine

    def forward(self, picture: Tensor, tokens: Tensor, start: Tensor, asks_fine: bool) -> Tensor:
        degraded = 2 * picture - 1
        unet = self.fine if asks_fine and self.fine is not None else self.unet
        features = unet.bridge(degraded)  # the same at every time step
        y0 = ddim(
            lambda y, t: unet(y, degraded, t, features, tokens),
            start,
            self.alpha_bar,
            self.times,
            self.prediction,
            lambda y: torch.minimum(torch.maximum(y, self.gain * (degraded - 1)), self.gain * (degraded + 1)),
        )
        return (degraded - y0 / self.gain + 1) / 2
