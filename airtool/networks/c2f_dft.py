"""C2F-DFT's diffusion Transformer (Wang et al., "Learning A Coarse-to-Fine Diffusion Transformer for Image
Restoration", arXiv 2308.08730), under the key names of its published checkpoints.

A four-level encoder-decoder of Restormer blocks without gates, which learns the time step of a diffusion. Facts that
its paper does not give, such as the placing of the time vector, were read from the authors' code.
"""

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from airtool.networks.restormer import Downsample, LayerNorm, NormKind, TransposedAttention, Upsample
from airtool.networks.strips import in_strips, joined

StageFactory = Callable[[str, int, int, int], list[nn.Module]]
"""(name of the stage, published number of blocks, channels, heads) -> blocks that map (feature (N, C, H, W), time
vector (N, C, 1, 1)) to a feature of the same shape."""

Between = Callable[[int, Tensor, Tensor], Tensor]
"""(level, decoded, encoded) -> what goes on to the next finer decoder level. The level is 4 behind the latent stage, 3
and 2 behind decoder levels 3 and 2; `encoded` is the encoder's feature of the same shape: the input of the latent
stage, and the outputs of encoder levels 3 and 2."""

STAGES = (
    "encoder_level1",
    "encoder_level2",
    "encoder_level3",
    "latent",
    "decoder_level3",
    "decoder_level2",
    "decoder_level1",
)
"""Stages of blocks in the order of the forward pass."""


@dataclass(frozen=True)
class DFTConfig:
    """Sizes of the diffusion Transformer. The defaults are published: 25,363,344 parameters."""

    dim: int = 48
    """Channels at full resolution; doubled at each of three further levels."""
    blocks: tuple[int, int, int, int] = (4, 6, 6, 8)
    """Blocks at each level, in the encoder and again in the decoder; the last is the latent stage."""
    heads: tuple[int, int, int, int] = (1, 2, 4, 8)
    """Attention heads at each level."""
    expansion: float = 4.0
    """Width of the feed-forward part over the block's width."""
    bias: bool = False
    """Whether the blocks, the 1x1 convolutions behind concatenations and the last convolution carry a bias."""
    norm: NormKind = "WithBias"
    """Kind of layer normalisation."""
    dual_pixel_task: bool = False
    """Add the embedded input before the last convolution in place of x_t after it. No published weights do."""
    mix_level1: bool = False
    """Not published: a 1x1 convolution behind the concatenation at full resolution, as at the other levels."""
    refinement_blocks: int = 0
    """Not published: so many further blocks in decoder level 1."""

    def __post_init__(self) -> None:
        if len(self.blocks) != 4 or len(self.heads) != 4:
            raise ValueError("blocks and heads must name four levels")
        if min(self.dim, *self.blocks, *self.heads) < 1 or self.refinement_blocks < 0:
            raise ValueError("dim, blocks and heads must be at least 1")
        if any(self.dim * 2**level % heads for level, heads in enumerate(self.heads)):
            raise ValueError(f"heads {self.heads} do not divide the channels of their levels, {self.dim} at the first")


def time_vector(t: Tensor, channels: int) -> Tensor:
    """Sinusoidal embedding of time steps (N,), any number type, behind a SiLU: (N, channels, 1, 1) float32.

    The sines of all frequencies come first; nothing is learned.
    """
    half = channels // 2
    steps = torch.arange(half, dtype=torch.float32, device=t.device)
    angles = t.float()[:, None] * torch.exp(steps * (-math.log(10000.0) / max(half - 1, 1)))
    vector = torch.cat([angles.sin(), angles.cos()], 1)
    return F.silu(F.pad(vector, (0, channels % 2)))[..., None, None]


class FeedForward(nn.Module):
    """Two 1x1 convolutions around an exact (erf) GELU; no gate and no depthwise convolution, unlike Restormer's."""

    def __init__(self, channels: int, expansion: float, bias: bool) -> None:
        super().__init__()
        hidden = int(channels * expansion)
        self.project_in = nn.Conv2d(channels, hidden, 1, bias=bias)
        self.project_out = nn.Conv2d(hidden, channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.project_out(F.gelu(self.project_in(x)))


class DiffusionTransformerBlock(nn.Module):
    """x + attention(LN(x) + time), then x + FFN(LN(x) + time)."""

    def __init__(self, channels: int, attention: TransposedAttention, config: DFTConfig) -> None:
        super().__init__()
        self.norm1 = LayerNorm(channels, config.norm)
        self.attn = attention
        self.norm2 = LayerNorm(channels, config.norm)
        self.ffn = FeedForward(channels, config.expansion, config.bias)

    def forward(self, x: Tensor, time: Tensor, *, spend: bool = False) -> Tensor:
        """spend: x may be overwritten."""
        attention, values = self.attn.attend(x, lambda part: self.norm1(part) + time)

        def rest(x: Tensor, values: Tensor) -> Tensor:
            x = x + self.attn.hand_out(attention, values)
            return x + self.ffn(self.norm2(x) + time)

        return in_strips(rest, x, values, halo=0, spend=spend)


class Stage(nn.ModuleList):
    """Blocks of one level, one behind the other, all with the same time vector."""

    def forward(self, x: Tensor, t: Tensor, *, spend: bool = False) -> Tensor:
        """spend: x may be overwritten."""
        time = time_vector(t, x.shape[1]).to(x.dtype)
        for index, block in enumerate(self):
            x = block(x, time, spend=spend or index > 0)
        return x


class DiffusionTransformer(nn.Module):
    """The network of C2F-DFT. Any floating dtype; H and W are multiples of 8."""

    def __init__(self, config: DFTConfig, blocks: StageFactory | None = None) -> None:
        """blocks: makes the blocks of a stage; the published ones by default."""
        super().__init__()
        c, (b1, b2, b3, b4), (h1, h2, h3, h4) = config.dim, config.blocks, config.heads

        def published(_name: str, count: int, channels: int, heads: int) -> list[nn.Module]:
            attentions = [TransposedAttention(channels, heads, config.bias) for _ in range(count)]
            return [DiffusionTransformerBlock(channels, attention, config) for attention in attentions]

        def stage(name: str, count: int, channels: int, heads: int) -> Stage:
            return Stage((blocks or published)(name, count, channels, heads))

        def mix(channels: int, out: int) -> nn.Conv2d:
            return nn.Conv2d(channels, out, 1, bias=config.bias)

        self.patch_embed = nn.Sequential(OrderedDict(proj=nn.Conv2d(6, c, 3, padding=1, bias=False)))
        self.encoder_level1 = stage("encoder_level1", b1, c, h1)
        self.down1_2 = Downsample(c)
        self.encoder_level2 = stage("encoder_level2", b2, 2 * c, h2)
        self.down2_3 = Downsample(2 * c)
        self.encoder_level3 = stage("encoder_level3", b3, 4 * c, h3)
        self.down3_4 = Downsample(4 * c)
        self.latent = stage("latent", b4, 8 * c, h4)
        self.up4_3 = Upsample(8 * c)
        self.reduce_chan_level3 = mix(8 * c, 4 * c)
        self.decoder_level3 = stage("decoder_level3", b3, 4 * c, h3)
        self.up3_2 = Upsample(4 * c)
        self.reduce_chan_level2 = mix(4 * c, 2 * c)
        self.decoder_level2 = stage("decoder_level2", b2, 2 * c, h2)
        self.up2_1 = Upsample(2 * c)
        self.mix_level1 = mix(2 * c, 2 * c) if config.mix_level1 else nn.Identity()
        self.decoder_level1 = stage("decoder_level1", b1 + config.refinement_blocks, 2 * c, h1)
        self.skip_conv = mix(c, 2 * c) if config.dual_pixel_task else None
        self.output = nn.Conv2d(2 * c, 3, 3, padding=1, bias=config.bias)

    def forward(self, pictures: Tensor, t: Tensor) -> Tensor:
        """The noise in x_t.

        pictures: (N, 6, H, W): the degraded picture, then x_t, both in the range [-1, 1] of the diffusion. t: (N,)
        time steps 0 to 999, whole or not. Returns (N, 3, H, W).
        """
        noise = self.decode(pictures, t)
        return noise if self.skip_conv is not None else noise + pictures[:, 3:]

    def encoded(self, embedded: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the encoder makes of `patch_embed`'s features, finest first: C, 2C and 4C channels at 1, 1/2 and 1/4."""
        e1 = self.encoder_level1(embedded, t)
        e2 = self.encoder_level2(self.down1_2(e1), t)
        return e1, e2, self.encoder_level3(self.down2_3(e2), t)

    def decode(self, pictures: Tensor, t: Tensor, between: Between | None = None) -> Tensor:
        """The same without x_t added at the end; `between` may change what the decoder levels hand on."""
        hand_on = between or _as_it_is
        embedded = self.patch_embed(pictures)
        e1, e2, e3 = self.encoded(embedded, t)
        e4 = self.down3_4(e3)
        y = hand_on(4, self.latent(e4, t), e4)
        y = joined(self.reduce_chan_level3, self.up4_3(y), e3)
        y = hand_on(3, self.decoder_level3(y, t), e3)
        y = joined(self.reduce_chan_level2, self.up3_2(y), e2)
        y = hand_on(2, self.decoder_level2(y, t), e2)
        y = joined(self.mix_level1, self.up2_1(y), e1)
        y = self.decoder_level1(y, t, spend=True)
        if self.skip_conv is not None:
            y = y + self.skip_conv(embedded)
        return self.output(y)


def _as_it_is(_level: int, decoded: Tensor, _encoded: Tensor) -> Tensor:
    return decoded
