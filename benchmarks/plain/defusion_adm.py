"""The U-Net of Defusion's published size, plain: residual blocks and attention after Dhariwal and Nichol."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plain.defusion import Bridge, InstructionAttention, TimeEmbedding


class ResBlock(nn.Module):
    def __init__(self, channels: int, out: int, embedding: int, groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, channels)
        self.conv1 = nn.Conv2d(channels, out, 3, padding=1)
        self.embed = nn.Linear(embedding, 2 * out)
        self.norm2 = nn.GroupNorm(groups, out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        self.shortcut = nn.Conv2d(channels, out, 1) if channels != out else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor, bridge: Tensor | None) -> Tensor:
        y, gate = self.norm1(x), None
        if bridge is not None:
            shift, scale, gate = bridge.chunk(3, dim=1)
            y = y * (1 + scale) + shift
        scale, shift = self.embed(embedding)[:, :, None, None].chunk(2, dim=1)
        y = self.norm2(self.conv1(F.silu(y))) * (1 + scale) + shift
        y = self.conv2(F.silu(y))
        return self.shortcut(x) + (y if gate is None else y * (1 + gate))


class SelfAttention(nn.Module):
    """Between all positions, the whole map in memory."""

    def __init__(self, channels: int, heads: int, groups: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(groups, channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.out = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        # (N, heads, C / heads, positions)
        q, k, v = (each.unflatten(1, (self.heads, -1)) for each in self.qkv(self.norm(x).flatten(2)).chunk(3, dim=1))
        attention = (q.transpose(-2, -1) @ k * q.shape[-2] ** -0.5).softmax(dim=-1)
        out = (v @ attention.transpose(-2, -1)).flatten(1, 2)
        return x + self.out(out).reshape(x.shape)


class Block(nn.Module):
    def __init__(self, config: Any, channels: int, out: int, context: int, attends: bool) -> None:
        super().__init__()
        heads = out // config.head_channels
        self.attends = attends
        self.res = ResBlock(channels, out, 4 * config.dim, config.groups)
        if attends:
            self.self_attention = SelfAttention(out, heads, config.groups)
            self.instruction_attention = InstructionAttention(out, heads, context)

    def forward(self, x: Tensor, embedding: Tensor, tokens: Tensor, bridge: Tensor | None = None) -> Tensor:
        x = self.res(x, embedding, bridge)
        return self.instruction_attention(self.self_attention(x), tokens) if self.attends else x


class ADMUNet(nn.Module):
    def __init__(self, config: Any, context: int) -> None:
        super().__init__()
        channels, c = [config.dim * multiplier for multiplier in config.multipliers], config.dim

        def block(inputs: int, level: int) -> Block:
            return Block(config, inputs, channels[level], context, level in config.attention_levels)

        self.bridge = Bridge([each // 2 for each in channels], channels, config.bridge_blocks)
        self.time = TimeEmbedding(4 * config.dim)
        self.conv_in = nn.Conv2d(3, c, 3, padding=1)
        self.encoder, self.downs, skips = nn.ModuleList(), nn.ModuleList(), [c]
        for level, out in enumerate(channels):
            self.encoder.append(nn.ModuleList([block(each, level) for each in [c] + [out] * (config.blocks - 1)]))
            c = out
            skips += [c] * config.blocks
            if level + 1 < len(channels):
                self.downs.append(nn.Conv2d(c, c, 3, stride=2, padding=1))
                skips.append(c)
        self.middle = nn.ModuleList([Block(config, c, c, context, True), Block(config, c, c, context, False)])
        self.decoder, self.ups = nn.ModuleList(), nn.ModuleList()
        for level in reversed(range(len(channels))):
            stage = nn.ModuleList()
            for _ in range(config.blocks + 1):
                stage.append(block(c + skips.pop(), level))
                c = channels[level]
            self.decoder.append(stage)
            if level:
                self.ups.append(nn.Conv2d(c, c, 3, padding=1))
        self.norm_out = nn.GroupNorm(config.groups, c)
        self.output = nn.Conv2d(c, 3, 3, padding=1)

    def forward(self, noisy: Tensor, degraded: Tensor, t: Tensor, features: list[Tensor], tokens: Tensor) -> Tensor:
        """`degraded` has had its say in `features`."""
        embedding = F.silu(self.time(t))
        x = self.conv_in(noisy)
        skips = [x]
        for level, stage in enumerate(self.encoder):
            for index, block in enumerate(stage, 1):
                told = self.bridge.modulations[level](features[level]) if index == len(stage) else None
                x = block(x, embedding, tokens, told)
                skips.append(x)
            if level < len(self.downs):
                x = self.downs[level](x)
                skips.append(x)
        for block in self.middle:
            x = block(x, embedding, tokens)
        for index, stage in enumerate(self.decoder):
            for block in stage:
                x = block(torch.cat([x, skips.pop()], 1), embedding, tokens)
            if index < len(self.ups):
                x = self.ups[index](F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return self.output(F.silu(self.norm_out(x)))
