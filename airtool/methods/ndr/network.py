"""NDR-Restore: Neural Degradation Representation Learning (Yao et al., IEEE TIP 2024, arXiv 2310.12848).

A four-level encoder-decoder whose skip connections recognise the degradation against a learned dictionary
(degradation query, DQ, paper Eq. 1-3) and inject it back (degradation injection, DI, paper Eq. 4-7). Key names are
those of the authors' checkpoints. The authors published two forward passes for the same keys; ``residual`` chooses.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from airtool.networks.fine_share import FineShare
from airtool.networks.restormer import Downsample, NormKind, Upsample
from airtool.networks.stages import BlockKind, Blocks, stage

Recognised = tuple[Tensor, Tensor, Tensor]
"""U1, U2, U3: what DQ recognised at each level, finest first."""


@dataclass(frozen=True)
class NDRConfig:
    """Sizes of NDR-Restore. The defaults are the published network (``paper`` preset)."""

    dim: int = 48
    """Channels at full resolution; doubled at each of three further levels."""
    blocks: tuple[int, int, int, int] = (4, 6, 6, 8)
    """Blocks at each level, in the encoder and again in the decoder; the last is the bottleneck."""
    refinement_blocks: int = 3
    """Blocks after the decoder, on 2 * dim channels."""
    heads: tuple[int, int, int, int] = (1, 2, 4, 6)
    """Attention heads at each level (``block='restormer'`` only)."""
    expansion: float = 2.66
    """Width of the feed-forward part over the block's width (``block='restormer'`` only)."""
    bias: bool = False
    """Whether the blocks' convolutions carry a bias (``block='restormer'`` only)."""
    norm: NormKind = "WithBias"
    """Kind of layer normalisation (``block='restormer'`` only)."""
    block: BlockKind = "restormer"
    """Backbone block: the published one, or the cheaper local one of the ``small`` preset."""
    atoms: int = 32
    """N, the number of degradation atoms in the dictionary."""
    atom_dim: int = 128
    """M, the length of one atom."""
    feature_dim: int = 64
    """Channels of the recognised degradation U at every level."""
    rank: int = 16
    """K, the number of rank-one terms of CP-Conv."""
    residual: bool = False
    """False: the pass published with the checkpoint (HEAD); True: the earlier one, residual in CP-Conv, DI, skip
    and picture, which matches the paper's Eq. 7 and parameter count."""
    degrad_dim: int = 48
    """Channels of NDR-Degrad, which exists in training only."""
    recognises: bool = True
    """False: plain skip connections, without DQ, DI and NDR-Degrad; what the paper's modules are measured against."""
    fine: bool = False
    """Whether a second network, with a dictionary of its own, restores the pictures in which the first one's encoder
    finds noise, blur, low resolution or JPEG alone. In one network of the ``small`` size what is to be won in the
    details (a decibel of JPEG) goes under in what weather, haze and darkness ask for (ten decibels)."""
    fine_refinement_blocks: int = 2
    """Its blocks after the decoder; all else is as in the first."""


class CPConv(nn.Module):
    """Low-rank gate of a feature (N, C, H, W): a sum of K outer products of channel, row and column vectors.

    The vectors come from means over the whole input (paper Eq. 4-5); ``residual`` adds the input.
    """

    def __init__(self, channels: int, rank: int, residual: bool) -> None:
        super().__init__()
        self.rank = rank
        self.residual = residual
        # Index 1 because the published Sequential pools first.
        self.conv_C = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, rank * channels, 1))
        self.conv_H = nn.Sequential(nn.AdaptiveAvgPool2d((None, 1)), nn.Conv2d(channels, rank, 1))
        self.conv_W = nn.Sequential(nn.AdaptiveAvgPool2d((1, None)), nn.Conv2d(channels, rank, 1))

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        rows = x.mean(3, keepdim=True)
        channel = self.conv_C[1](rows.mean(2, keepdim=True)).sigmoid().view(n, self.rank, c)
        row = self.conv_H[1](rows).sigmoid().view(n, self.rank, h, 1)
        column = self.conv_W[1](x.mean(2, keepdim=True)).sigmoid().view(n, self.rank, 1, w)
        # One matrix product instead of the (N, K, C, H, W) cube of the definition: same numbers, 1/K of the memory.
        planes = (row * column).view(n, self.rank, h * w).transpose(1, 2)
        gate = (planes @ channel).view(n, h, w, c).permute(0, 3, 1, 2) / self.rank
        return x + x * gate if self.residual else x * gate


class _Lookup(nn.Module):
    """The parameters of DQ's attention under the authors' names."""

    def __init__(self, feature_dim: int, atom_dim: int) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(1))
        self.qkv = nn.Conv2d(feature_dim, atom_dim, 1)
        self.project_out = nn.Conv2d(atom_dim, feature_dim, 1)


class _Projection(nn.Module):
    """The parameters of DQ's last projection under the authors' names."""

    def __init__(self, feature_dim: int) -> None:
        super().__init__()
        self.project_out = nn.Conv2d(feature_dim, feature_dim, 1)


class DegradationQuery(nn.Module):
    """DQ: looks a feature (N, F, H, W) up in the dictionary (1, atoms, M) and returns U, (N, F, H, W).

    No scaling, no normalisation of the query and no skip (paper Eq. 1-3; the temperature is in the code only).
    """

    def __init__(self, config: NDRConfig) -> None:
        super().__init__()
        f, m = config.feature_dim, config.atom_dim
        self.attn = _Lookup(f, m)
        self.ffn = _Projection(f)

    def affinity(self, feature: Tensor, dictionary: Tensor) -> Tensor:
        """Softmax weights S of every pixel over the atoms, (N, H * W, atoms)."""
        query = self.attn.qkv(feature).flatten(2).transpose(1, 2)
        return ((query @ dictionary.transpose(1, 2)) * self.attn.temperature).softmax(dim=-1)

    def forward(self, feature: Tensor, dictionary: Tensor) -> Tensor:
        n, _, h, w = feature.shape
        weights = self.affinity(feature, dictionary)
        mixed = (weights @ dictionary.to(weights.dtype)).view(n, h, w, -1).permute(0, 3, 1, 2)
        return self.ffn.project_out(self.attn.project_out(mixed))


class DegradationInjection(nn.Module):
    """DI: scale and shift a feature (N, C, H, W) by what was recognised, U (N, F, H, W) (paper Eq. 6-7)."""

    def __init__(self, feature_dim: int, channels: int, rank: int, residual: bool) -> None:
        super().__init__()
        self.residual = residual
        self.conv1 = nn.Conv2d(feature_dim, feature_dim, 1)
        self.low_rank_transform1 = CPConv(feature_dim, rank, residual)
        self.low_rank_transform3 = CPConv(channels, rank, residual)
        self.f = nn.Conv2d(feature_dim, channels, 1)
        self.g = nn.Conv2d(feature_dim, channels, 1)

    def forward(self, feature: Tensor, recognised: Tensor) -> Tensor:
        weight = self.low_rank_transform1(self.conv1(recognised))
        out = self.f(weight) * self.low_rank_transform3(feature) + self.g(weight)
        return out + feature if self.residual else out


class SkipConnection(nn.Module):
    """DQ and DI on one skip connection. Returns the feature for the decoder and the recognised degradation U."""

    def __init__(self, config: NDRConfig, channels: int) -> None:
        super().__init__()
        self.residual = config.residual
        self.mapping = nn.Conv2d(channels, config.feature_dim, 3, padding=1, bias=False)
        self.degradation_recog = DegradationQuery(config)
        self.inject_degradation = DegradationInjection(config.feature_dim, channels, config.rank, config.residual)

    def forward(self, feature: Tensor, dictionary: Tensor) -> tuple[Tensor, Tensor]:
        recognised = self.degradation_recog(self.mapping(feature), dictionary)
        out = self.inject_degradation(feature, recognised)
        # The earlier published pass adds the feature a second time, outside DI.
        return (out + feature if self.residual else out), recognised


def _stage(config: NDRConfig, count: int, channels: int, heads: int) -> Blocks:
    return stage(config.block, count, channels, heads, config.expansion, config.bias, config.norm)


class RestorationNet(nn.Module):
    """NDR-Restore. Maps (N, 3, H, W), H and W multiples of 8, to the restored (N, 3, H, W), unclipped."""

    def __init__(self, config: NDRConfig, dictionary: nn.Parameter) -> None:
        super().__init__()
        c, (b1, b2, b3, b4), (h1, h2, h3, h4) = config.dim, config.blocks, config.heads
        reduce_bias = config.bias and config.block == "restormer"
        self.residual = config.residual
        self.recognises = config.recognises
        self.extractor = nn.Conv2d(3, c, 3, padding=1)
        self.block1 = _stage(config, b1, c, h1)
        self.pool1 = Downsample(c)
        self.block2 = _stage(config, b2, 2 * c, h2)
        self.pool2 = Downsample(2 * c)
        self.block3 = _stage(config, b3, 4 * c, h3)
        self.pool3 = Downsample(4 * c)
        self.bottom = _stage(config, b4, 8 * c, h4)
        if config.recognises:
            self.dr = dictionary
            self.res_connect1 = SkipConnection(config, c)
            self.res_connect2 = SkipConnection(config, 2 * c)
            self.res_connect3 = SkipConnection(config, 4 * c)
        self.up3 = Upsample(8 * c)
        self.block_up3 = Blocks(nn.Conv2d(8 * c, 4 * c, 1, bias=reduce_bias), *_stage(config, b3, 4 * c, h3))
        self.up2 = Upsample(4 * c)
        self.block_up2 = Blocks(nn.Conv2d(4 * c, 2 * c, 1, bias=reduce_bias), *_stage(config, b2, 2 * c, h2))
        self.up1 = Upsample(2 * c)
        # The full-resolution decoder keeps 2C channels, unlike Restormer's a 1x1 convolution stands here too.
        self.block_up1 = Blocks(nn.Conv2d(2 * c, 2 * c, 1, bias=reduce_bias), *_stage(config, b1, 2 * c, h1))
        self.refinement = _stage(config, config.refinement_blocks, 2 * c, h1)
        self.reconstruction = nn.Conv2d(2 * c, 3, 3, padding=1)

        self.fine: RestorationNet | None = None
        if config.fine:
            second = replace(config, fine=False, refinement_blocks=config.fine_refinement_blocks)
            self.fine = RestorationNet(second, nn.Parameter(torch.randn(1, config.atoms, config.atom_dim)))
            self.fine_share = FineShare((1 + 2 + 4) * config.dim)

    def forward(self, x: Tensor, fine_share: float | None = None) -> Tensor:
        """fine_share: what `survey` found of the picture of which `x` is a tile; None has `x` looked at by itself."""
        if self.fine is None:
            return self.restore_and_recognise(x)[0]
        if fine_share == 1:
            return self.fine(x)
        levels = self.encoded(x)
        share = self.fine_share(levels) if fine_share is None else torch.full((1, 1, 1, 1), fine_share).to(x.device)
        if bool((share == 1).all()):
            del levels
            return self.fine(x)
        first = self._restored(x, levels)[0]
        return first if bool((share == 0).all()) else torch.lerp(first, self.fine(x), share.to(x.dtype))

    def survey(self, x: Tensor) -> float | None:
        """The second network's share in a picture of which `x` (N, 3, H, W) are crops; None where there is none."""
        return None if self.fine is None else float(self.fine_share(self.encoded(x), together=True))

    def restore_and_recognise(self, x: Tensor) -> tuple[Tensor, Recognised | None]:
        """The picture restored by the first network and the recognised degradations that NDR-Degrad learns from.

        None for a network that recognises nothing.
        """
        return self._restored(x, self.encoded(x))

    def encoded(self, x: Tensor) -> list[Tensor]:
        """The encoder's features, finest first: (N, C, H, W), (N, 2C, H / 2, W / 2), (N, 4C, H / 4, W / 4)."""
        e1 = self.block1(self.extractor(x))
        e2 = self.block2(self.pool1(e1))
        return [e1, e2, self.block3(self.pool2(e2))]

    def _restored(self, x: Tensor, levels: list[Tensor]) -> tuple[Tensor, Recognised | None]:
        """Empties `levels`: at full resolution memory is short."""
        y = self.bottom(self.pool3(levels[2]))
        recognised: Recognised | None = None
        if self.recognises:
            levels[0], u1 = self.res_connect1(levels[0], self.dr)
            levels[1], u2 = self.res_connect2(levels[1], self.dr)
            levels[2], u3 = self.res_connect3(levels[2], self.dr)
            recognised = u1, u2, u3
        y = self.block_up3(levels.pop(), self.up3(y))
        y = self.block_up2(levels.pop(), self.up2(y))
        y = self.block_up1(levels.pop(), self.up1(y))
        y = self.reconstruction(self.refinement(y, spend=True))
        return (y + x if self.residual else y), recognised
