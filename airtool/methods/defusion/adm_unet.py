"""The U-Net of the ``paper`` preset: the residual and attention blocks of Dhariwal and Nichol (NeurIPS 2021, arXiv
2105.05233), with cross-attention to an instruction.

The paper names that U-Net, pretrained on text and pixels, but no width, no levels of attention and no checkpoint:
sizes are ours, and it is trained from scratch, without a text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from airtool.methods.defusion.adapter import InstructionAttention
from airtool.methods.defusion.bridge import Bridge, Modulation, zeroed
from airtool.methods.defusion.time_embedding import TimeEmbedding


@dataclass(frozen=True)
class ADMUNetConfig:
    """Sizes of the U-Net."""

    kind: Literal["adm"] = "adm"
    """Tells this config from those of other U-Nets."""
    dim: int = 128
    """Channels at full resolution."""
    multipliers: tuple[int, ...] = (1, 1, 2, 2, 4)
    """Channels of each level over `dim`, finest first; each level but the last halves the resolution."""
    blocks: int = 2
    """Residual blocks of each encoder level; decoder levels have one more."""
    attention_levels: tuple[int, ...] = (3, 4)
    """Levels, counted from 0, whose blocks are each followed by self-attention and attention to the instruction."""
    head_channels: int = 64
    """Channels of an attention head."""
    bridge_blocks: int = 2
    """Residual blocks of the bridge a level; its channels are half of the U-Net's."""
    groups: int = 32
    """Groups of the group normalisations."""

    def __post_init__(self) -> None:
        if not self.multipliers or min(self.dim, *self.multipliers, self.head_channels, self.groups) < 1:
            raise ValueError("sizes must be at least 1 and multipliers must name a level")
        if self.blocks < 2:
            raise ValueError("blocks must be at least 2: the first of a level changes the number of channels")
        if self.bridge_blocks < 0 or self.dim % 2:
            raise ValueError("bridge_blocks must be at least 0 and dim even")
        if any(channels % self.groups for channels in self.channels):
            raise ValueError(f"{self.groups} groups do not divide the channels {self.channels}")
        if not set(self.attention_levels) <= set(range(len(self.multipliers))):
            raise ValueError(f"attention_levels {self.attention_levels} do not all exist")
        if any(self.channels[level] % self.head_channels for level in {*self.attention_levels, len(self.channels) - 1}):
            raise ValueError(f"heads of {self.head_channels} channels do not divide those of their levels")

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each level, finest first."""
        return tuple(self.dim * multiplier for multiplier in self.multipliers)


class ResBlock(nn.Module):
    """A residual block whose second normalisation is scaled and shifted by the time vector.

    A bridge modulates the first normalisation and gates the branch.
    """

    def __init__(self, channels: int, out: int, embedding: int, groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, channels)
        self.conv1 = nn.Conv2d(channels, out, 3, padding=1)
        self.embed = nn.Linear(embedding, 2 * out)
        self.norm2 = nn.GroupNorm(groups, out)
        self.conv2 = zeroed(nn.Conv2d(out, out, 3, padding=1))
        self.shortcut = nn.Conv2d(channels, out, 1) if channels != out else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor, bridge: Modulation | None = None) -> Tensor:
        """bridge: for blocks that keep the number of channels, maps of the shape of x."""
        y = self.norm1(x)
        if bridge is not None:
            y = bridge.inside(y)
        scale, shift = self.embed(embedding)[..., None, None].chunk(2, dim=1)
        y = self.norm2(self.conv1(F.silu(y))) * (1 + scale) + shift
        y = self.conv2(F.silu(y))
        return self.shortcut(x) + (y if bridge is None else y * (1 + bridge.gate))


class SelfAttention(nn.Module):
    """Attention between all positions of (N, C, H, W), added to the input."""

    def __init__(self, channels: int, heads: int, groups: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(groups, channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.out = zeroed(nn.Conv1d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(self.norm(x).flatten(2)).unflatten(1, (3, self.heads, -1)).transpose(-2, -1)
        out = F.scaled_dot_product_attention(*qkv.unbind(1))
        return x + self.out(out.transpose(-2, -1).flatten(1, 2)).reshape(x.shape)


class Block(nn.Module):
    """A residual block and, at some levels, attention to the feature itself and to the instruction."""

    def __init__(self, config: ADMUNetConfig, channels: int, out: int, context: int, attends: bool) -> None:
        super().__init__()
        heads = out // config.head_channels
        self.res = ResBlock(channels, out, 4 * config.dim, config.groups)
        self.self_attention = SelfAttention(out, heads, config.groups) if attends else None
        self.instruction_attention = InstructionAttention(out, heads, context) if attends else None

    def forward(self, x: Tensor, embedding: Tensor, tokens: Tensor, bridge: Modulation | None = None) -> Tensor:
        x = self.res(x, embedding, bridge)
        if self.self_attention is not None and self.instruction_attention is not None:
            x = self.instruction_attention(self.self_attention(x), tokens)
        return x


class ADMUNet(nn.Module):
    """Any floating dtype; H and W are multiples of 2^(levels - 1).

    As published, the degraded picture comes in through the bridge alone.
    """

    def __init__(self, config: ADMUNetConfig, context: int) -> None:
        """context: length of an instruction's tokens."""
        super().__init__()
        channels, last = config.channels, len(config.channels) - 1
        self.bridge = Bridge([c // 2 for c in channels], channels, config.bridge_blocks)
        self.time = TimeEmbedding(4 * config.dim)
        self.conv_in = nn.Conv2d(3, config.dim, 3, padding=1)
        self.encoder, self.downs = nn.ModuleList(), nn.ModuleList()
        skips, c = [config.dim], config.dim
        for level, out in enumerate(channels):
            attends = level in config.attention_levels
            inputs = [c, *[out] * (config.blocks - 1)]
            self.encoder.append(nn.ModuleList([Block(config, each, out, context, attends) for each in inputs]))
            c = out
            skips += [c] * config.blocks
            if level < last:
                self.downs.append(nn.Conv2d(c, c, 3, stride=2, padding=1))
                skips.append(c)
        self.middle = nn.ModuleList([Block(config, c, c, context, True), Block(config, c, c, context, False)])
        self.decoder, self.ups = nn.ModuleList(), nn.ModuleList()
        for level, out in reversed(list(enumerate(channels))):
            blocks = nn.ModuleList()
            for _ in range(config.blocks + 1):
                blocks.append(Block(config, c + skips.pop(), out, context, level in config.attention_levels))
                c = out
            self.decoder.append(blocks)
            if level:
                self.ups.append(nn.Conv2d(c, c, 3, padding=1))
        self.norm_out = nn.GroupNorm(config.groups, c)
        self.output = zeroed(nn.Conv2d(c, 3, 3, padding=1))

    def forward(self, noisy: Tensor, degraded: Tensor, t: Tensor, features: Sequence[Tensor], tokens: Tensor) -> Tensor:
        """As `LocalUNet.forward`; `degraded` has had its say in `features`."""
        embedding = F.silu(self.time(t))
        x = self.conv_in(noisy)
        skips = [x]
        for level, stage in enumerate(self.encoder):
            blocks = cast(nn.ModuleList, stage)
            for index, block in enumerate(blocks, 1):
                last = index == len(blocks)
                x = block(x, embedding, tokens, self.bridge.modulation(level, features[level]) if last else None)
                skips.append(x)
            if level < len(self.downs):
                x = self.downs[level](x)
                skips.append(x)
        for block in self.middle:
            x = block(x, embedding, tokens)
        for index, stage in enumerate(self.decoder):
            for block in cast(nn.ModuleList, stage):
                x = block(torch.cat([x, skips.pop()], 1), embedding, tokens)
            if index < len(self.ups):
                x = self.ups[index](F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return self.output(F.silu(self.norm_out(x)))
