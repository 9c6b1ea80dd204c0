"""DFPIR, plain. The prompts are the orders of channels that the weights file holds, not a text encoder's output."""

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plain.blocks import Downsample, FeedForward, LayerNorm, Upsample, blocks, split_heads


class SelectiveAttention(nn.Module):
    """CAAPM: attention between channels, all but the most similar keys masked."""

    def __init__(self, channels: int, heads: int, gamma: float) -> None:
        super().__init__()
        self.heads = heads
        # gamma is a decimal, of which a float may be just too small: 0.7 * 10 is 6.999...
        self.kept = max(1, int(channels // heads * gamma + 1e-9))
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.attn4 = nn.Parameter(torch.full((1,), 0.2))
        self.q = nn.Conv2d(channels, channels, 1, bias=False)
        self.q_dwconv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.kv = nn.Conv2d(channels, 2 * channels, 1, bias=False)
        self.kv_dwconv = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1, groups=2 * channels, bias=False)
        self.project_out = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        q = F.normalize(split_heads(self.q_dwconv(self.q(x)), self.heads), dim=-1)
        k, v = (split_heads(each, self.heads) for each in self.kv_dwconv(self.kv(y)).chunk(2, dim=1))
        attention = (q @ F.normalize(k, dim=-1).transpose(-2, -1)) * self.temperature
        index = attention.topk(self.kept, dim=-1).indices
        mask = torch.zeros_like(attention).scatter_(-1, index, 1.0)
        attention = torch.where(mask > 0, attention, torch.full_like(attention, float("-inf")))
        return self.project_out((attention.softmax(dim=-1) @ v * self.attn4).reshape(y.shape))


class Perturbation(nn.Module):
    """DGPB: expand, put the channels in the prompt's order, reduce, attend, feed forward."""

    order: Tensor

    def __init__(self, config: Any, channels: int, heads: int) -> None:
        super().__init__()
        if config.perturbation != "shuffle" or not config.selective:
            raise ValueError("only the published perturbation is here, not the ablations")
        self.register_buffer("order", torch.zeros(len(config.labels), 2 * channels, dtype=torch.int64))
        self.conv1x1 = nn.Conv2d(channels, 2 * channels, 1)
        self.conv_out = nn.Conv2d(2 * channels, channels, 1)
        self.norm1, self.norm2, self.norm3 = LayerNorm(channels), LayerNorm(channels), LayerNorm(channels)
        self.select_attn = SelectiveAttention(channels, heads, config.gamma)
        self.ffn = FeedForward(channels)

    def forward(self, x: Tensor, label: int) -> Tensor:
        y = self.conv_out(self.conv1x1(x)[:, self.order[label]])
        y = self.select_attn(self.norm1(y), self.norm2(x))
        return y + self.ffn(self.norm3(y))


class PatchEmbedding(nn.Module):
    def __init__(self, channels: int, bias: bool) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, channels, 3, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x)


class PlainDFPIR(nn.Module):
    """(1, 3, H, W) in [0, 1] and the number of its label to the restored picture."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        c, (b1, b2, b3, b4), (h1, h2, h3, h4) = config.dim, config.blocks, config.heads
        local = config.block == "nafnet"
        bias = config.bias and not local

        def stage(count: int, channels: int, heads: int) -> nn.Sequential:
            return blocks(config.block, count, channels, heads, config.expansion, config.bias)

        self.patch_embed = PatchEmbedding(c, bias=local)
        self.encoder_level1, self.down1_2 = stage(b1, c, h1), Downsample(c)
        self.encoder_level2, self.down2_3 = stage(b2, 2 * c, h2), Downsample(2 * c)
        self.encoder_level3, self.down3_4 = stage(b3, 4 * c, h3), Downsample(4 * c)
        self.latent = stage(b4, 8 * c, h4)
        self.encoder_shuffle_channel1 = Perturbation(config, c, h1)
        self.encoder_shuffle_channel2 = Perturbation(config, 2 * c, h2)
        self.encoder_shuffle_channel3 = Perturbation(config, 4 * c, h3)
        self.latent_shuffle_channel = Perturbation(config, 8 * c, h4)
        self.up4_3, self.decoder_level3 = Upsample(8 * c), stage(b3, 4 * c, h3)
        self.reduce_chan_level3 = nn.Conv2d(8 * c, 4 * c, 1, bias=bias)
        self.up3_2, self.decoder_level2 = Upsample(4 * c), stage(b2, 2 * c, h2)
        self.reduce_chan_level2 = nn.Conv2d(4 * c, 2 * c, 1, bias=bias)
        self.up2_1, self.decoder_level1 = Upsample(2 * c), stage(b1, 2 * c, h1)
        self.reduce_chan_level1 = nn.Conv2d(2 * c, 2 * c, 1, bias=False) if local else nn.Identity()
        self.refinement = stage(config.refinement_blocks, 2 * c, h1)
        self.output = nn.Conv2d(2 * c, 3, 3, padding=1, bias=bias or local)
        self.of_fine = [config.labels.index(name) for name in config.fine_labels]
        if self.of_fine:
            self.fine = PlainDFPIR(replace(config, fine_labels=(), refinement_blocks=config.fine_refinement_blocks))

    def forward(self, x: Tensor, label: int) -> Tensor:
        if label in self.of_fine:
            return self.fine(x, label)
        e1 = self.encoder_level1(self.patch_embed(x))
        e2 = self.encoder_level2(self.down1_2(e1))
        e3 = self.encoder_level3(self.down2_3(e2))
        y = self.latent_shuffle_channel(self.latent(self.down3_4(e3)), label)
        y = torch.cat([self.up4_3(y), self.encoder_shuffle_channel3(e3, label)], 1)
        y = self.decoder_level3(self.reduce_chan_level3(y))
        y = torch.cat([self.up3_2(y), self.encoder_shuffle_channel2(e2, label)], 1)
        y = self.decoder_level2(self.reduce_chan_level2(y))
        y = torch.cat([self.up2_1(y), self.encoder_shuffle_channel1(e1, label)], 1)
        y = self.decoder_level1(self.reduce_chan_level1(y))
        return x + self.output(self.refinement(y))
