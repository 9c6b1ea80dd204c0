"""NDR-Restore, plain."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from plain.blocks import Downsample, FineShare, Upsample, blocks, to_3d, to_4d


class CPConv(nn.Module):
    """The gate as the mean of K outer products, all of which are in memory at once, as in the authors' code."""

    def __init__(self, channels: int, rank: int, residual: bool) -> None:
        super().__init__()
        self.rank, self.residual = rank, residual
        self.conv_C = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, rank * channels, 1), nn.Sigmoid())
        self.conv_H = nn.Sequential(nn.AdaptiveAvgPool2d((None, 1)), nn.Conv2d(channels, rank, 1), nn.Sigmoid())
        self.conv_W = nn.Sequential(nn.AdaptiveAvgPool2d((1, None)), nn.Conv2d(channels, rank, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        channel = self.conv_C(x).view(n, self.rank, c, 1, 1)
        row = self.conv_H(x).view(n, self.rank, 1, h, 1)
        column = self.conv_W(x).view(n, self.rank, 1, 1, w)
        cube = (channel * (row * column)).mean(1)  # (N, K, C, H, W), then (N, C, H, W)
        return x + x * cube if self.residual else x * cube


class Lookup(nn.Module):
    """DQ's attention to the dictionary."""

    def __init__(self, feature_dim: int, atom_dim: int) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(1))
        self.qkv = nn.Conv2d(feature_dim, atom_dim, 1)
        self.project_out = nn.Conv2d(atom_dim, feature_dim, 1)

    def forward(self, x: Tensor, dictionary: Tensor) -> Tensor:
        q = to_3d(self.qkv(x))
        attention = ((q @ dictionary.transpose(-2, -1)) * self.temperature).softmax(dim=-1)
        return self.project_out(to_4d(attention @ dictionary, *x.shape[-2:]))


class Projection(nn.Module):
    def __init__(self, feature_dim: int) -> None:
        super().__init__()
        self.project_out = nn.Conv2d(feature_dim, feature_dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.project_out(x)


class Recognition(nn.Module):
    """DQ."""

    def __init__(self, feature_dim: int, atom_dim: int) -> None:
        super().__init__()
        self.attn = Lookup(feature_dim, atom_dim)
        self.ffn = Projection(feature_dim)

    def forward(self, x: Tensor, dictionary: Tensor) -> Tensor:
        return self.ffn(self.attn(x, dictionary))


class Injection(nn.Module):
    """DI. The authors evaluate the gate of U once for the scale and once for the shift; once is enough."""

    def __init__(self, feature_dim: int, channels: int, rank: int, residual: bool) -> None:
        super().__init__()
        self.residual = residual
        self.conv1 = nn.Conv2d(feature_dim, feature_dim, 1)
        self.low_rank_transform1 = CPConv(feature_dim, rank, residual)
        self.low_rank_transform3 = CPConv(channels, rank, residual)
        self.f = nn.Conv2d(feature_dim, channels, 1)
        self.g = nn.Conv2d(feature_dim, channels, 1)

    def forward(self, feature: Tensor, degradation: Tensor) -> Tensor:
        u = self.low_rank_transform1(self.conv1(degradation))
        out = self.f(u) * self.low_rank_transform3(feature) + self.g(u)
        return out + feature if self.residual else out


class Skip(nn.Module):
    """DQ and DI on one skip connection."""

    def __init__(self, config: Any, channels: int) -> None:
        super().__init__()
        f, residual = config.feature_dim, config.residual
        self.residual = residual
        self.mapping = nn.Conv2d(channels, f, 3, padding=1, bias=False)
        self.degradation_recog = Recognition(f, config.atom_dim)
        self.inject_degradation = Injection(f, channels, config.rank, residual)

    def forward(self, feature: Tensor, dictionary: Tensor) -> Tensor:
        out = self.inject_degradation(feature, self.degradation_recog(self.mapping(feature), dictionary))
        return out + feature if self.residual else out


class PlainNDR(nn.Module):
    """(1, 3, H, W) in [0, 1] to the restored picture, both published forward passes."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        c, (b1, b2, b3, b4), (h1, h2, h3, h4) = config.dim, config.blocks, config.heads
        bias = config.bias and config.block == "restormer"
        self.residual = config.residual

        def stage(count: int, channels: int, heads: int) -> nn.Sequential:
            return blocks(config.block, count, channels, heads, config.expansion, config.bias)

        def mixed(count: int, inputs: int, channels: int, heads: int) -> nn.Sequential:
            return nn.Sequential(nn.Conv2d(inputs, channels, 1, bias=bias), *stage(count, channels, heads))

        self.dr = nn.Parameter(torch.empty(1, config.atoms, config.atom_dim))
        self.extractor = nn.Conv2d(3, c, 3, padding=1)
        self.block1, self.pool1 = stage(b1, c, h1), Downsample(c)
        self.block2, self.pool2 = stage(b2, 2 * c, h2), Downsample(2 * c)
        self.block3, self.pool3 = stage(b3, 4 * c, h3), Downsample(4 * c)
        self.bottom = stage(b4, 8 * c, h4)
        self.res_connect1, self.res_connect2, self.res_connect3 = (Skip(config, c * k) for k in (1, 2, 4))
        self.up3, self.block_up3 = Upsample(8 * c), mixed(b3, 8 * c, 4 * c, h3)
        self.up2, self.block_up2 = Upsample(4 * c), mixed(b2, 4 * c, 2 * c, h2)
        self.up1, self.block_up1 = Upsample(2 * c), mixed(b1, 2 * c, 2 * c, h1)
        self.refinement = stage(config.refinement_blocks, 2 * c, h1)
        self.reconstruction = nn.Conv2d(2 * c, 3, 3, padding=1)
        self.has_fine = config.fine
        if config.fine:
            self.fine = PlainNDR(replace(config, fine=False, refinement_blocks=config.fine_refinement_blocks))
            self.fine_share = FineShare(c)

    def forward(self, x: Tensor) -> Tensor:
        e1 = self.block1(self.extractor(x))
        e2 = self.block2(self.pool1(e1))
        e3 = self.block3(self.pool2(e2))
        share = self.fine_share(e1, e2, e3) if self.has_fine else 0.0
        if share == 1:
            return self.fine(x)
        first = self.decoded(x, e1, e2, e3)
        return first if share == 0 else first + share * (self.fine(x) - first)

    def decoded(self, x: Tensor, e1: Tensor, e2: Tensor, e3: Tensor) -> Tensor:
        y = self.bottom(self.pool3(e3))
        y = self.block_up3(torch.cat([self.res_connect3(e3, self.dr), self.up3(y)], 1))
        y = self.block_up2(torch.cat([self.res_connect2(e2, self.dr), self.up2(y)], 1))
        y = self.block_up1(torch.cat([self.res_connect1(e1, self.dr), self.up1(y)], 1))
        y = self.reconstruction(self.refinement(y))
        return y + x if self.residual else y
