"""Up-Restorer, plain: C2F-DFT with learnable queries and prompt blocks, four evaluations."""

import math
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plain.blocks import Attention, Downsample, FineShare, LayerNorm, NAFBlock, Upsample
from plain.diffusion import ddim, signals, strided


def time_vector(t: Tensor, channels: int) -> Tensor:
    """(N,) -> (N, channels, 1, 1), behind a SiLU."""
    half = channels // 2
    rates = torch.exp(torch.arange(half, device=t.device) * (-math.log(10000.0) / max(half - 1, 1)))
    angles = t[:, None] * rates[None]
    vector = torch.cat([angles.sin(), angles.cos()], dim=1)
    return F.silu(F.pad(vector, (0, channels % 2)))[:, :, None, None]


class LearnableQuery(nn.Module):
    def __init__(self, length: int) -> None:
        super().__init__()
        self.tokens = nn.Parameter(torch.zeros(5, length))
        self.norm = nn.LayerNorm(length)
        self.widen = nn.Linear(length, 2 * length)
        self.narrow = nn.Linear(2 * length, length)

    def forward(self) -> Tensor:
        refined = self.tokens + self.narrow(F.gelu(self.widen(self.norm(self.tokens))))
        return refined.mean(0)[:, None]


class QueriedAttention(Attention):
    def __init__(self, channels: int, heads: int, bias: bool) -> None:
        super().__init__(channels, heads, bias)
        self.query = LearnableQuery(channels // heads)

    def asked(self, q: Tensor) -> Tensor:
        return q + self.query()


class FeedForward(nn.Module):
    """Without gate and depthwise convolution."""

    def __init__(self, channels: int, expansion: float, bias: bool) -> None:
        super().__init__()
        hidden = int(channels * expansion)
        self.project_in = nn.Conv2d(channels, hidden, 1, bias=bias)
        self.project_out = nn.Conv2d(hidden, channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.project_out(F.gelu(self.project_in(x)))


class PublishedBlock(nn.Module):
    def __init__(self, config: Any, channels: int, heads: int) -> None:
        super().__init__()
        self.norm1 = LayerNorm(channels)
        self.attn = QueriedAttention(channels, heads, config.bias)
        self.norm2 = LayerNorm(channels)
        self.ffn = FeedForward(channels, config.expansion, config.bias)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x) + time)
        return x + self.ffn(self.norm2(x) + time)


class LocalBlock(NAFBlock):
    """The block of the small preset."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.time = nn.Conv2d(channels, channels, 1)

    def forward(self, inp: Tensor, time: Tensor | None = None) -> Tensor:
        assert time is not None
        return super().forward(inp + self.time(time))


class Stage(nn.ModuleList):
    def __init__(self, config: Any, name: str, count: int, channels: int, heads: int) -> None:
        local = name in config.local_stages
        made = [LocalBlock(channels) if local else PublishedBlock(config, channels, heads) for _ in range(count)]
        if name in config.closing_attention:
            made.append(PublishedBlock(config, channels, heads))
        super().__init__(made)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        time = time_vector(t, x.shape[1])
        for block in self:
            x = block(x, time)
        return x


class PromptUpgrade(nn.Module):
    """Eq. 14 of the paper."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.transmission = nn.Conv2d(channels, 1, 1)
        self.noise = nn.Conv2d(channels, 1, 1)
        self.M = nn.Parameter(torch.ones(1, 1, side, side))
        self.A = nn.Parameter(torch.ones(1, 1, side, side))
        self.raw_sigma = nn.Parameter(torch.zeros(()))
        self.raw_rho = nn.Parameter(torch.zeros(()))

    def forward(self, prompt: Tensor, score: Tensor, noisy: Tensor) -> Tensor:
        t, noise = torch.sigmoid(self.transmission(score)), self.noise(score)
        m, a = (F.interpolate(each, score.shape[-2:], mode="bilinear") for each in (self.M, self.A))
        sigma, rho = F.softplus(self.raw_sigma), F.softplus(self.raw_rho)
        return m * (t * (noisy - a * (1 - t) - noise) / sigma**2 + rho * prompt - score)


class PromptBlock(nn.Module):
    def __init__(self, channels: int, components: int, side: int) -> None:
        super().__init__()
        self.components = nn.Parameter(torch.zeros(components, 1, side, side))
        self.weights = nn.Linear(channels, components)
        self.match = nn.Conv2d(1, channels, 3, padding=1, bias=False)
        self.upgrade = PromptUpgrade(channels, side)
        self.fuse = nn.Conv2d(2 * channels, channels, 1, bias=False)
        self.adjust = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(self, decoded: Tensor, encoded: Tensor) -> Tensor:
        weights = self.weights(decoded.mean((2, 3))).softmax(dim=1)
        prompt = (weights[:, :, None, None, None] * self.components[None]).sum(1)
        prompt = self.match(F.interpolate(prompt, decoded.shape[-2:], mode="bilinear"))
        upgraded = self.upgrade(prompt, decoded, encoded)
        return decoded + self.adjust(self.fuse(torch.cat([decoded, upgraded], 1)))


class Backbone(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        if config.dual_pixel_task or config.norm != "WithBias":
            raise ValueError("only what published and embedded weights use is here")
        c, (b1, b2, b3, b4), (h1, h2, h3, h4) = config.dim, config.blocks, config.heads
        self.patch_embed = nn.Sequential()
        self.patch_embed.add_module("proj", nn.Conv2d(6, c, 3, padding=1, bias=False))
        self.encoder_level1, self.down1_2 = Stage(config, "encoder_level1", b1, c, h1), Downsample(c)
        self.encoder_level2, self.down2_3 = Stage(config, "encoder_level2", b2, 2 * c, h2), Downsample(2 * c)
        self.encoder_level3, self.down3_4 = Stage(config, "encoder_level3", b3, 4 * c, h3), Downsample(4 * c)
        self.latent = Stage(config, "latent", b4, 8 * c, h4)
        self.up4_3, self.decoder_level3 = Upsample(8 * c), Stage(config, "decoder_level3", b3, 4 * c, h3)
        self.reduce_chan_level3 = nn.Conv2d(8 * c, 4 * c, 1, bias=config.bias)
        self.up3_2, self.decoder_level2 = Upsample(4 * c), Stage(config, "decoder_level2", b2, 2 * c, h2)
        self.reduce_chan_level2 = nn.Conv2d(4 * c, 2 * c, 1, bias=config.bias)
        self.up2_1 = Upsample(2 * c)
        self.decoder_level1 = Stage(config, "decoder_level1", b1 + config.refinement_blocks, 2 * c, h1)
        self.mix_level1 = nn.Conv2d(2 * c, 2 * c, 1, bias=config.bias) if config.mix_level1 else nn.Identity()
        self.output = nn.Conv2d(2 * c, 3, 3, padding=1, bias=config.bias)


class PlainUpRestorer(nn.Module):
    """(1, 3, H, W) in [0, 1] and its noise to the restored picture."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.prediction = config.prediction
        self.times = strided(config.sampling_timesteps)
        self.alpha_bar = signals("linear")
        self.backbone = Backbone(config)
        c, side = config.dim, config.component_side
        self.prompt_level4 = PromptBlock(8 * c, config.components, side)
        self.prompt_level3 = PromptBlock(4 * c, config.components, 2 * side)
        self.prompt_level2 = PromptBlock(2 * c, config.components, 4 * side)
        self.has_fine = config.fine
        if config.fine:
            self.fine = PlainUpRestorer(replace(config, fine=False, refinement_blocks=config.fine_refinement_blocks))
            self.fine_share = FineShare(c)

    def forward(self, picture: Tensor, start: Tensor) -> Tensor:
        share = self.fine_share(*self.encoded(2 * picture - 1)) if self.has_fine else 0.0
        if share == 1:
            return self.fine(picture, start)
        first = self.sampled(picture, start)
        return first if share == 0 else first + share * (self.fine(picture, start) - first)

    def sampled(self, picture: Tensor, start: Tensor) -> Tensor:
        degraded = 2 * picture - 1
        restored = ddim(lambda x, t: self.predict(degraded, x, t), start, self.alpha_bar, self.times, self.prediction)
        return (restored + 1) / 2

    def encoded(self, degraded: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What chooses looks at: the features at the first time step, with zeros in place of the noise."""
        return self.encode(
            degraded, torch.zeros_like(degraded), torch.full((1,), float(self.times[0]), device=degraded.device)
        )

    def encode(self, degraded: Tensor, noisy: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        net = self.backbone
        e1 = net.encoder_level1(net.patch_embed(torch.cat([degraded, noisy], 1)), t)
        e2 = net.encoder_level2(net.down1_2(e1), t)
        return e1, e2, net.encoder_level3(net.down2_3(e2), t)

    def predict(self, degraded: Tensor, noisy: Tensor, t: Tensor) -> Tensor:
        net = self.backbone
        e1, e2, e3 = self.encode(degraded, noisy, t)
        e4 = net.down3_4(e3)
        y = self.prompt_level4(net.latent(e4, t), e4)
        y = net.decoder_level3(net.reduce_chan_level3(torch.cat([net.up4_3(y), e3], 1)), t)
        y = self.prompt_level3(y, e3)
        y = net.decoder_level2(net.reduce_chan_level2(torch.cat([net.up3_2(y), e2], 1)), t)
        y = self.prompt_level2(y, e2)
        y = net.decoder_level1(net.mix_level1(torch.cat([net.up2_1(y), e1], 1)), t)
        return net.output(y) + (degraded if self.prediction == "x0" else noisy)
