"""The U-Net of the ``small`` presets: NAFNet's local blocks in the places of NDR-Restore's ``small`` backbone.

Bridge, adapter and the prediction of the degradation are those of the published network. Not published: the degraded
picture is a part of the input too, so that weights of NDR-Restore are a start, and the time step and a summary of the
instruction modulate every block.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from airtool.methods.defusion.adapter import InstructionAttention, InstructionSummary
from airtool.methods.defusion.bridge import Bridge, Modulation, zeroed
from airtool.methods.defusion.time_embedding import TimeEmbedding
from airtool.networks.nafnet import NAFBlock, simple_gate
from airtool.networks.restormer import Downsample, Upsample
from airtool.networks.strips import in_strips, joined


@dataclass(frozen=True)
class LocalUNetConfig:
    """Sizes of the local U-Net."""

    kind: Literal["local"] = "local"
    """Tells this config from those of other U-Nets."""
    dim: int = 16
    """Channels at full resolution; doubled at each of three further levels."""
    blocks: tuple[int, int, int, int] = (1, 2, 3, 4)
    """Blocks at each level, in the encoder and again in the decoder; the last is the middle."""
    refinement_blocks: int = 1
    """Further blocks in the decoder at full resolution, on 2 * dim channels."""
    heads: int = 4
    """Attention heads of the adapter."""
    bridge: tuple[int, int, int, int] = (8, 16, 24, 32)
    """Channels of the bridge at each level."""
    bridge_blocks: int = 1
    """Residual blocks of the bridge a level."""
    embedding: int = 128
    """Length of the vector that says the time step and the instruction."""

    def __post_init__(self) -> None:
        if len(self.blocks) != 4 or len(self.bridge) != 4:
            raise ValueError("blocks and bridge must name four levels")
        sizes = (self.dim, *self.blocks, self.heads, *self.bridge, self.embedding)
        if min(sizes) < 1 or min(self.refinement_blocks, self.bridge_blocks) < 0:
            raise ValueError("sizes must be at least 1")
        if self.dim * 4 % self.heads:
            raise ValueError(f"{self.heads} heads do not divide {self.dim * 4} channels")


@dataclass(frozen=True)
class Crossing:
    """Where the bridge meets one level."""

    feature: Tensor
    """Of the degraded picture, (N, width, H, W)."""
    modulation: Callable[[Tensor], Modulation]
    """From rows of that to maps of as many rows."""


class ModulatedBlock(NAFBlock):
    """A local NAFNet block whose two branches are modulated by the embedding, and its first also by a bridge.

    The modulations are zero at first, which makes it a plain block.
    """

    def __init__(self, channels: int, embedding: int) -> None:
        super().__init__(channels, channel_attention=False)
        self.modulation = zeroed(nn.Linear(embedding, 4 * channels))

    def forward(
        self, x: Tensor, embedding: Tensor | None = None, crossing: Crossing | None = None, *, spend: bool = False
    ) -> Tensor:
        """x: (N, C, H, W). embedding: (N, E). spend: x may be overwritten."""
        if embedding is None:
            return super().forward(x, spend=spend)
        shift, scale, gate, second = self.modulation(embedding).to(x.dtype)[..., None, None].chunk(4, dim=1)

        def layers(x: Tensor, *feature: Tensor) -> Tensor:
            first = Modulation(shift, scale, gate)
            if crossing is not None:
                # Here and not before: three maps of the shape of x are too much to have for a whole picture.
                first = first + crossing.modulation(*feature)
            y = self.conv3(simple_gate(self.conv2(self.conv1(first.inside(self.norm1(x))))))
            x = x + y * (self.beta.to(y.dtype) * (1 + first.gate))
            y = self.conv5(simple_gate(self.conv4(self.norm2(x))))
            return x + y * (self.gamma.to(y.dtype) * (1 + second))

        return in_strips(layers, x, *(() if crossing is None else (crossing.feature,)), spend=spend)


class Stage(nn.ModuleList):
    """Blocks of one level, one behind the other; the bridge belongs to the last of them."""

    def __init__(self, count: int, channels: int, embedding: int) -> None:
        super().__init__([ModulatedBlock(channels, embedding) for _ in range(count)])

    def forward(self, x: Tensor, embedding: Tensor, crossing: Crossing | None = None, *, spend: bool = False) -> Tensor:
        """spend: x may be overwritten."""
        for index, block in enumerate(self):
            x = block(x, embedding, crossing if index == len(self) - 1 else None, spend=spend or index > 0)
        return x


class LocalUNet(nn.Module):
    """Any floating dtype; H and W are multiples of 8. Names are those of Restormer."""

    def __init__(self, config: LocalUNetConfig, context: int) -> None:
        """context: length of an instruction's tokens."""
        super().__init__()
        c, (b1, b2, b3, b4), width = config.dim, config.blocks, config.embedding

        def attention(channels: int) -> InstructionAttention:
            return InstructionAttention(channels, config.heads, context)

        self.bridge = Bridge(config.bridge, (c, 2 * c, 4 * c, 8 * c), config.bridge_blocks)
        self.time = TimeEmbedding(width)
        self.summary = InstructionSummary(context, width)
        self.patch_embed = nn.Conv2d(6, c, 3, padding=1)
        self.encoder_level1 = Stage(b1, c, width)
        self.down1_2 = Downsample(c)
        self.encoder_level2 = Stage(b2, 2 * c, width)
        self.down2_3 = Downsample(2 * c)
        self.encoder_level3 = Stage(b3, 4 * c, width)
        self.encoder_attention3 = attention(4 * c)
        self.down3_4 = Downsample(4 * c)
        self.latent = Stage(b4, 8 * c, width)
        self.latent_attention = attention(8 * c)
        self.up4_3 = Upsample(8 * c)
        self.reduce_chan_level3 = nn.Conv2d(8 * c, 4 * c, 1)
        self.decoder_level3 = Stage(b3, 4 * c, width)
        self.decoder_attention3 = attention(4 * c)
        self.up3_2 = Upsample(4 * c)
        self.reduce_chan_level2 = nn.Conv2d(4 * c, 2 * c, 1)
        self.decoder_level2 = Stage(b2, 2 * c, width)
        self.up2_1 = Upsample(2 * c)
        self.mix_level1 = nn.Conv2d(2 * c, 2 * c, 1)
        self.decoder_level1 = Stage(b1 + config.refinement_blocks, 2 * c, width)
        self.output = zeroed(nn.Conv2d(2 * c, 3, 3, padding=1))

    def forward(self, noisy: Tensor, degraded: Tensor, t: Tensor, features: Sequence[Tensor], tokens: Tensor) -> Tensor:
        """The prediction (N, 3, H, W), all zero at first.

        noisy: y_t, (N, 3, H, W). degraded: as noisy, in [-1, 1]. t: time steps (N,). features: what `bridge` makes of
        `degraded`. tokens: (N, T, context).
        """
        vector = nn.functional.silu(self.time(t) + self.summary(tokens))

        def bridge(level: int) -> Crossing:
            return Crossing(features[level], partial(self.bridge.modulation, level))

        e1 = self.encoder_level1(self.patch_embed(torch.cat([degraded, noisy], 1)), vector, bridge(0))
        e2 = self.encoder_level2(self.down1_2(e1), vector, bridge(1))
        e3 = self.encoder_level3(self.down2_3(e2), vector, bridge(2))
        e3 = self.encoder_attention3(e3, tokens)
        y = self.latent(self.down3_4(e3), vector, bridge(3))
        y = self.latent_attention(y, tokens)
        y = self.decoder_level3(joined(self.reduce_chan_level3, self.up4_3(y), e3), vector)
        y = self.decoder_attention3(y, tokens)
        y = self.decoder_level2(joined(self.reduce_chan_level2, self.up3_2(y), e2), vector)
        y = self.decoder_level1(joined(self.mix_level1, self.up2_1(y), e1), vector, spend=True)
        return self.output(y)
