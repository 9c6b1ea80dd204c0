"""Prompt Blocks with the Prompt Upgrade Module: prompts that take one step of an unrolled physical model.

What the paper says is marked [paper]. It leaves sizes and several inputs open and no code of it is public, so the
rest is our design [ours], chosen to come within 0.03 % of the parameters that the paper's module has.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SCORE_SIGN = -1.0
"""Sign of s_theta in Eq. 14 as printed; Eq. 10 with Eq. 13 would give a plus."""

UNIT = math.log(math.expm1(1.0))
"""Where softplus is 1."""


@dataclass(frozen=True)
class Upgrade:
    """All quantities of Eq. 14 for one feature (N, C, H, W)."""

    t: Tensor
    """Transmission, (N, 1, H, W) in (0, 1)."""
    N: Tensor
    """Noise, (N, 1, H, W)."""
    M: Tensor
    """Learned map in the place of 1 / (t^2 / sigma^2 + rho), (1, 1, H, W)."""
    A: Tensor
    """Atmospheric light, learned, (1, 1, H, W)."""
    rho: Tensor
    """Weight of the prompt, a scalar above 0."""
    sigma: Tensor
    """Standard deviation of the noise, a scalar above 0."""
    prompt: Tensor
    """P before the step, (N, C, H, W)."""
    upgraded: Tensor
    """P after the step, (N, C, H, W)."""


class PromptUpgrade(nn.Module):
    """Eq. 14: P <- M * (t * (x_t - A * (1 - t) - N) / sigma^2 + rho * P - s_theta).

    [paper] t is the sigmoid of a linear map of the feature, N another linear map; M and A are learned maps. [ours] The
    linear maps are 1x1 convolutions to one channel (the paper shows t as a grey picture); M and A are square maps,
    stretched to the feature; sigma and rho, which the paper does not specify, are learned scalars, kept positive by a
    softplus; all broadcast over the channels.
    """

    def __init__(self, channels: int, side: int) -> None:
        """side: of the maps M and A before they are stretched."""
        super().__init__()
        self.transmission = nn.Conv2d(channels, 1, 1)
        self.noise = nn.Conv2d(channels, 1, 1)
        self.M = nn.Parameter(torch.ones(1, 1, side, side))
        self.A = nn.Parameter(torch.ones(1, 1, side, side))
        self.raw_sigma = nn.Parameter(torch.tensor(UNIT))
        self.raw_rho = nn.Parameter(torch.tensor(UNIT))

    def forward(self, prompt: Tensor, score: Tensor, noisy: Tensor) -> Upgrade:
        """prompt, score (s_theta, from which t and N are read too) and noisy (x_t): (N, C, H, W) each."""
        t, noise = self.transmission(score).sigmoid(), self.noise(score)
        m, a = (stretched(each, score) for each in (self.M, self.A))
        sigma, rho = (F.softplus(each).to(score.dtype) for each in (self.raw_sigma, self.raw_rho))
        observed = t * (noisy - a * (1 - t) - noise) / sigma.square()
        upgraded = m * (observed + rho * prompt + SCORE_SIGN * score)
        return Upgrade(t, noise, m, a, rho, sigma, prompt, upgraded)


class PromptBlock(nn.Module):
    """Generates a prompt for a decoder's feature, upgrades it, and adjusts the feature by it.

    [paper] Components of one channel are weighted by the softmax of a linear map of the feature's mean, summed,
    resized and brought to the feature's channels by a 3x3 convolution; the upgraded prompt is concatenated with the
    feature and goes through convolutions. [ours] Square components, bilinear resizing; x_t is the encoder's feature of
    the same shape and s_theta the decoder's, which is on its way to the noise; the last convolution is zero at first
    and its result is added to the feature, so that an untrained block changes nothing.
    """

    def __init__(self, channels: int, components: int, side: int) -> None:
        """side: of the components before they are stretched."""
        super().__init__()
        self.components = nn.Parameter(torch.rand(components, 1, side, side))
        self.weights = nn.Linear(channels, components)
        self.match = nn.Conv2d(1, channels, 3, padding=1, bias=False)
        self.upgrade = PromptUpgrade(channels, side)
        self.fuse = nn.Conv2d(2 * channels, channels, 1, bias=False)
        self.adjust = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        nn.init.zeros_(self.adjust.weight)

    def generate(self, feature: Tensor) -> Tensor:
        """P for a feature (N, C, H, W), of the same shape."""
        weights = self.weights(feature.mean((2, 3))).softmax(1)
        prompt = torch.einsum("nk,kchw->nchw", weights, self.components.to(weights.dtype))
        return self.match(stretched(prompt, feature))

    def forward(self, decoded: Tensor, encoded: Tensor) -> tuple[Tensor, Upgrade]:
        """The adjusted `decoded` (N, C, H, W) and how it came about."""
        upgrade = self.upgrade(self.generate(decoded), decoded, encoded)
        both = torch.cat([decoded, upgrade.upgraded.to(decoded.dtype)], 1)
        return decoded + self.adjust(self.fuse(both)), upgrade


def stretched(maps: Tensor, feature: Tensor) -> Tensor:
    """Maps (N, C, S, S) resized bilinearly to the feature's height, width and dtype."""
    return F.interpolate(maps, feature.shape[-2:], mode="bilinear", align_corners=False).to(feature.dtype)
