"""Blocks that several rivals share, as the public repositories of Restormer and NAFNet compute them."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LayerNorm2d(nn.Module):
    """NAFNet's normalisation over channels: mean, variance and scale as separate steps on (N, C, H, W)."""

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(1, keepdim=True)
        variance = (x - mean).pow(2).mean(1, keepdim=True)
        y = (x - mean) / (variance + self.eps).sqrt()
        return self.weight.view(1, -1, 1, 1) * y + self.bias.view(1, -1, 1, 1)


class SimpleGate(nn.Module):
    """The product of the two halves of the channels."""

    def forward(self, x: Tensor) -> Tensor:
        left, right = x.chunk(2, dim=1)
        return left * right


class NAFBlock(nn.Module):
    """NAFNet's block; without `attention` it lacks the simplified channel attention."""

    def __init__(self, channels: int, attention: bool = False) -> None:
        super().__init__()
        self.norm1 = LayerNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, 2 * channels, 1)
        self.conv2 = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1, groups=2 * channels)
        self.sg = SimpleGate()
        if attention:
            self.sca = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, channels, 1))
        self.attention = attention
        self.conv3 = nn.Conv2d(channels, channels, 1)
        self.norm2 = LayerNorm2d(channels)
        self.conv4 = nn.Conv2d(channels, 2 * channels, 1)
        self.conv5 = nn.Conv2d(channels, channels, 1)
        self.beta = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, inp: Tensor) -> Tensor:
        x = self.sg(self.conv2(self.conv1(self.norm1(inp))))
        if self.attention:
            x = x * self.sca(x)
        y = inp + self.conv3(x) * self.beta
        x = self.conv5(self.sg(self.conv4(self.norm2(y))))
        return y + x * self.gamma


def to_3d(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, H * W, C)."""
    return x.flatten(2).transpose(1, 2)


def to_4d(x: Tensor, height: int, width: int) -> Tensor:
    """(N, H * W, C) -> (N, C, H, W)."""
    return x.transpose(1, 2).unflatten(2, (height, width))


class _WithBias(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(-1, keepdim=True)
        variance = x.var(-1, keepdim=True, unbiased=False)
        return (x - mean) / torch.sqrt(variance + 1e-5) * self.weight + self.bias


class LayerNorm(nn.Module):
    """Restormer's, "WithBias": to pixels in a row and back."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = _WithBias(channels)

    def forward(self, x: Tensor) -> Tensor:
        return to_4d(self.body(to_3d(x)), *x.shape[-2:])


class Attention(nn.Module):
    """Restormer's attention between channels (MDTA)."""

    def __init__(self, channels: int, heads: int, bias: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=bias)
        self.qkv_dwconv = nn.Conv2d(3 * channels, 3 * channels, 3, padding=1, groups=3 * channels, bias=bias)
        self.project_out = nn.Conv2d(channels, channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (split_heads(each, self.heads) for each in self.qkv_dwconv(self.qkv(x)).chunk(3, dim=1))
        q, k = F.normalize(self.asked(q), dim=-1), F.normalize(k, dim=-1)
        attention = ((q @ k.transpose(-2, -1)) * self.temperature).softmax(dim=-1)
        return self.project_out((attention @ v).reshape(x.shape))

    def asked(self, q: Tensor) -> Tensor:
        """The queries (N, heads, C / heads, H * W), for a method that changes them."""
        return q


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(N, C, H, W) -> (N, heads, C / heads, H * W)."""
    return x.flatten(2).unflatten(1, (heads, -1))


class FeedForward(nn.Module):
    """Restormer's gated feed-forward network (GDFN)."""

    def __init__(self, channels: int, expansion: float = 2.66, bias: bool = False) -> None:
        super().__init__()
        hidden = int(channels * expansion)
        self.project_in = nn.Conv2d(channels, 2 * hidden, 1, bias=bias)
        self.dwconv = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden, bias=bias)
        self.project_out = nn.Conv2d(hidden, channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        x1, x2 = self.dwconv(self.project_in(x)).chunk(2, dim=1)
        return self.project_out(F.gelu(x1) * x2)


class TransformerBlock(nn.Module):
    """Restormer's block."""

    def __init__(self, channels: int, heads: int, expansion: float, bias: bool) -> None:
        super().__init__()
        self.norm1 = LayerNorm(channels)
        self.attn = Attention(channels, heads, bias)
        self.norm2 = LayerNorm(channels)
        self.ffn = FeedForward(channels, expansion, bias)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.ffn(self.norm2(x))


class Downsample(nn.Module):
    """Half the resolution, twice the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(channels, channels // 2, 3, padding=1, bias=False), nn.PixelUnshuffle(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class Upsample(nn.Module):
    """Twice the resolution, half the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(channels, 2 * channels, 3, padding=1, bias=False), nn.PixelShuffle(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


def blocks(
    kind: str, count: int, channels: int, heads: int = 1, expansion: float = 1.0, bias: bool = False
) -> nn.Sequential:
    """`count` blocks of kind "nafnet", without channel attention, or "restormer", to which the rest applies."""
    if kind == "nafnet":
        return nn.Sequential(*[NAFBlock(channels) for _ in range(count)])
    return nn.Sequential(*[TransformerBlock(channels, heads, expansion, bias) for _ in range(count)])


class CrossAttention(nn.Module):
    """softmax(q k^T / sqrt(d)) v between all positions of (N, L, C) and all tokens, the whole map in memory."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """q: (N, L, C). k, v: (N, T, C)."""
        q, k, v = (each.unflatten(-1, (self.heads, -1)).transpose(1, 2) for each in (q, k, v))
        attention = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(dim=-1)
        return (attention @ v).transpose(1, 2).flatten(2)


class FineShare(nn.Module):
    """How much of the second network a picture gets, from the encoder's features."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(14 * channels)
        self.hidden = nn.Linear(14 * channels, 32)
        self.last = nn.Linear(32, 1)

    def forward(self, *levels: Tensor) -> float:
        found = torch.cat([x.mean((2, 3)) for x in levels] + [(x * x).mean((2, 3)) for x in levels], 1)
        share = torch.sigmoid(self.last(F.gelu(self.hidden(self.norm(found)))) + 1.0)
        return float(((share - 0.1) / 0.8).clamp(0, 1))
