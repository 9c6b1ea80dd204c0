"""SSIM and MS-SSIM as differentiable similarities of tensors, for losses. For figures see `airtool.metrics`."""

import torch
import torch.nn.functional as F
from torch import Tensor

WINDOW, SIGMA = 11, 1.5
"""Side and standard deviation in pixels of the Gaussian window; smaller pictures get a proportionally smaller one."""

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents from the finest to the coarsest scale (Wang et al., Asilomar 2003)."""

SMALLEST = 2 ** (len(SCALE_WEIGHTS) - 1)
"""Least height and width that `ms_ssim` can halve often enough."""

LEAST = 1e-6
"""Anticorrelated pictures have negative similarities, which a broken exponent has no value for."""


def ssim(first: Tensor, second: Tensor, data_range: float) -> Tensor:
    """Mean structural similarity of two batches (N, C, H, W), a float32 scalar of at most 1.

    data_range: largest possible difference of two values, 2 for the range [-1, 1]. Beyond the border both pictures
    are taken to be zero (Wang et al., IEEE TIP 13(4), 2004, with K1 = 0.01 and K2 = 0.03).
    """
    return _similarity(first.float(), second.float(), data_range)[0]


def ms_ssim(first: Tensor, second: Tensor, data_range: float) -> Tensor:
    """Multi-scale similarity on five scales, each half of the finer one; otherwise as `ssim`.

    The product of the mean contrast-structure terms of the four finer scales and of the mean SSIM of the coarsest
    one, under their weights. Raises ValueError below `SMALLEST` pixels.
    """
    if min(first.shape[-2:]) < SMALLEST:
        raise ValueError(f"MS-SSIM needs pictures of at least {SMALLEST} pixels, not {min(first.shape[-2:])}")
    first, second = first.float(), second.float()
    product = first.new_ones(())
    for weight in SCALE_WEIGHTS[:-1]:
        contrast = _similarity(first, second, data_range)[1]
        product = product * contrast.clamp_min(LEAST) ** weight
        first, second = F.avg_pool2d(first, 2), F.avg_pool2d(second, 2)
    return product * _similarity(first, second, data_range)[0].clamp_min(LEAST) ** SCALE_WEIGHTS[-1]


def _similarity(first: Tensor, second: Tensor, data_range: float) -> tuple[Tensor, Tensor]:
    """Mean SSIM and mean of its contrast-structure part."""
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    maps = torch.cat([first, second, first * first, second * second, first * second])
    mean1, mean2, square1, square2, product = _blurred(maps).chunk(5)
    covariance = product - mean1 * mean2
    variances = square1 - mean1 * mean1 + square2 - mean2 * mean2
    contrast = (2 * covariance + c2) / (variances + c2)
    luminance = (2 * mean1 * mean2 + c1) / (mean1 * mean1 + mean2 * mean2 + c1)
    return (luminance * contrast).mean(), contrast.mean()


def _blurred(maps: Tensor) -> Tensor:
    """Gaussian means around every pixel, with zeros beyond the border."""
    channels, size = maps.shape[1], min(WINDOW, *maps.shape[-2:])
    offsets = torch.arange(size, dtype=torch.float32, device=maps.device) - size // 2
    line = torch.exp(-0.5 * (offsets / (SIGMA * size / WINDOW)) ** 2)
    line = (line / line.sum()).expand(channels, 1, 1, size)
    # Autocast would blur in half precision, and variances are small differences of large means.
    with torch.autocast(maps.device.type, enabled=False):
        rows = F.conv2d(maps, line, padding=(0, size // 2), groups=channels)
        return F.conv2d(rows, line.transpose(2, 3), padding=(size // 2, 0), groups=channels)
