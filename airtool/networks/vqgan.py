"""VQGAN's autoencoder with a codebook (Esser et al., CVPR 2021, arXiv 2012.09841), under the key names of the published
ImageNet checkpoints (without what their training alone needs: keys that begin with ``loss.``)."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from airtool.networks.vqgan_codebook import Codebook, Quantised


@dataclass(frozen=True)
class VQGANConfig:
    """Sizes of the autoencoder. The defaults are the ImageNet model with 1024 codes: 72,141,699 parameters."""

    width: int = 128
    """Channels behind the first convolution."""
    multipliers: tuple[int, ...] = (1, 1, 2, 2, 4)
    """Channels of each level over `width`, finest first; each level but the last halves the resolution."""
    blocks: int = 2
    """Residual blocks of each encoder level; decoder levels have one more."""
    attention_levels: tuple[int, ...] = (4,)
    """Levels, counted from 0, whose residual blocks are each followed by attention."""
    features: int = 256
    """Channels that the encoder returns and the decoder takes, before 1x1 convolutions to and from `code_dim`."""
    codes: int = 1024
    """Number of codes."""
    code_dim: int = 256
    """Channels of a code."""
    groups: int = 32
    """Groups of the group normalisations."""

    def __post_init__(self) -> None:
        sizes = (self.width, *self.multipliers, self.blocks, self.features, self.codes, self.code_dim, self.groups)
        if not self.multipliers or min(sizes) < 1:
            raise ValueError("sizes must be at least 1 and multipliers must name a level")
        if any(channels % self.groups for channels in (self.width, *self.channels)):
            raise ValueError(f"{self.groups} groups do not divide the channels {self.channels}")
        if not set(self.attention_levels) <= set(range(len(self.multipliers))):
            raise ValueError(f"attention_levels {self.attention_levels} do not all exist")

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each level, finest first."""
        return tuple(self.width * multiplier for multiplier in self.multipliers)

    @property
    def stride(self) -> int:
        """Pixels on a side for which one code stands."""
        return 2 ** (len(self.multipliers) - 1)


class GroupNorm(nn.GroupNorm):
    def __init__(self, groups: int, channels: int) -> None:
        super().__init__(groups, channels, eps=1e-6)


class ResBlock(nn.Module):
    """x + conv(swish(norm(conv(swish(norm(x)))))) on (N, C, H, W), through a 1x1 convolution where C changes."""

    def __init__(self, channels: int, out: int, groups: int) -> None:
        super().__init__()
        self.norm1 = GroupNorm(groups, channels)
        self.conv1 = nn.Conv2d(channels, out, 3, padding=1)
        self.norm2 = GroupNorm(groups, out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        self.nin_shortcut = nn.Conv2d(channels, out, 1) if channels != out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(F.silu(self.norm1(x)))
        return self.nin_shortcut(x) + self.conv2(F.silu(self.norm2(y)))


class Attention(nn.Module):
    """Single-head attention between all positions of (N, C, H, W), added to the input."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm = GroupNorm(groups, channels)
        self.q = nn.Conv2d(channels, channels, 1)
        self.k = nn.Conv2d(channels, channels, 1)
        self.v = nn.Conv2d(channels, channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        q, k, v = (project(y).flatten(2).transpose(1, 2)[:, None] for project in (self.q, self.k, self.v))
        out = F.scaled_dot_product_attention(q, k, v)  # (N, 1, H * W, C)
        return x + self.proj_out(out[:, 0].transpose(1, 2).reshape(x.shape))


class Downsample(nn.Module):
    """3x3 convolution of stride 2, padded on the right and the bottom alone."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Each pixel four times, then a 3x3 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Level(nn.Module):
    """Residual blocks of one resolution, then the step to the next one, if any."""

    def __init__(self, config: VQGANConfig, level: int, channels: int, blocks: int) -> None:
        super().__init__()
        out = config.channels[level]
        inputs = [channels, *[out] * (blocks - 1)]
        self.block = nn.ModuleList([ResBlock(each, out, config.groups) for each in inputs])
        attends = level in config.attention_levels
        self.attn = nn.ModuleList([Attention(out, config.groups) if attends else nn.Identity() for _ in inputs])

    def forward(self, x: Tensor) -> Tensor:
        for block, attention in zip(self.block, self.attn, strict=True):
            x = attention(block(x))
        return x


class DownLevel(Level):
    def __init__(self, config: VQGANConfig, level: int, channels: int) -> None:
        super().__init__(config, level, channels, config.blocks)
        last = level == len(config.channels) - 1
        self.downsample = nn.Identity() if last else Downsample(config.channels[level])

    def forward(self, x: Tensor) -> Tensor:
        return self.downsample(super().forward(x))


class UpLevel(Level):
    def __init__(self, config: VQGANConfig, level: int, channels: int) -> None:
        super().__init__(config, level, channels, config.blocks + 1)
        self.upsample = Upsample(config.channels[level]) if level else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.upsample(super().forward(x))


class Middle(nn.Module):
    """The coarsest resolution between encoder and decoder; each of the two has its own."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.block_1 = ResBlock(channels, channels, groups)
        self.attn_1 = Attention(channels, groups)
        self.block_2 = ResBlock(channels, channels, groups)

    def forward(self, x: Tensor) -> Tensor:
        return self.block_2(self.attn_1(self.block_1(x)))


class Encoder(nn.Module):
    """(N, 3, H, W) -> (N, features, H / stride, W / stride)."""

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        channels = config.channels
        inputs = [config.width, *channels[:-1]]
        self.conv_in = nn.Conv2d(3, config.width, 3, padding=1)
        self.down = nn.Sequential(*[DownLevel(config, level, each) for level, each in enumerate(inputs)])
        self.mid = Middle(channels[-1], config.groups)
        self.norm_out = GroupNorm(config.groups, channels[-1])
        self.conv_out = nn.Conv2d(channels[-1], config.features, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_out(F.silu(self.norm_out(self.mid(self.down(self.conv_in(x))))))


class Decoder(nn.Module):
    """(N, features, h, w) -> (N, 3, h * stride, w * stride)."""

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        channels = config.channels
        inputs = [*channels[1:], channels[-1]]
        self.conv_in = nn.Conv2d(config.features, channels[-1], 3, padding=1)
        self.mid = Middle(channels[-1], config.groups)
        # Numbered as in the encoder, so run from the last to the first.
        self.up = nn.ModuleList([UpLevel(config, level, each) for level, each in enumerate(inputs)])
        self.norm_out = GroupNorm(config.groups, channels[0])
        self.conv_out = nn.Conv2d(channels[0], 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.mid(self.conv_in(x))
        for level in reversed(self.up):
            x = level(x)
        return self.conv_out(F.silu(self.norm_out(x)))


class VQGAN(nn.Module):
    """Pictures in [-1, 1] to codes and back; H and W are multiples of ``config.stride``."""

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.quantize = Codebook(config.codes, config.code_dim)
        self.quant_conv = nn.Conv2d(config.features, config.code_dim, 1)
        self.post_quant_conv = nn.Conv2d(config.code_dim, config.features, 1)

    def encode(self, pictures: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] -> features (N, code_dim, H / stride, W / stride), not yet quantised."""
        return self.quant_conv(self.encoder(pictures))

    def decode(self, codes: Tensor) -> Tensor:
        """(N, code_dim, h, w) -> (N, 3, h * stride, w * stride), about in [-1, 1], not clipped."""
        return self.decoder(self.post_quant_conv(codes))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Quantised]:
        """The pictures (N, 3, H, W) in [-1, 1] as decoded from their codes, and the codes."""
        quantised = self.quantize(self.encode(pictures))
        return self.decode(quantised.codes), quantised
