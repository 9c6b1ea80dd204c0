"""What photographs have besides the damage that the detector is to name: files, soft lenses, light that is uneven."""

import cv2
import numpy as np
import torch
from torch import Tensor

from airtool.degradations.jpeg import JPEG

_GLOW = 1.5
"""Standard deviation in pixels of the blur before it is decided what is light: no hole for every dark pixel."""
_RISE = 0.25
"""Luminance from what is dark to what is light, at least: an even scene has no part that is light."""


def as_jpeg(picture: Tensor, quality: float) -> Tensor:
    """(3, H, W) in [0, 1] after a real encoder of a quality from 1 to 100. The device stays."""
    decoded, _ = JPEG.apply(_as_pixels(picture), quality, np.random.default_rng(0))  # it draws nothing
    return _as_tensor(decoded, picture)


def softened(picture: Tensor, sigma: float) -> Tensor:
    """(3, H, W) blurred by a Gaussian of `sigma` pixels, as most photographs are when every pixel is looked at."""
    return _as_tensor(_blurred(_as_pixels(picture), sigma), picture)


def backlit(dark: Tensor, clean: Tensor, kept: float) -> Tensor:
    """A scene exposed for its light parts: `dark` where `clean` is dark, towards `clean` where it is light.

    y = dark + kept * B * (clean - dark), where B runs from 0 to 1 as the luminance of `clean` goes from its median to
    its ninth decile (or to 0.25 above the median): skies and windows keep the part `kept` of their light while all else
    is underexposed.
    dark, clean: (3, H, W) in [0, 1].
    """
    luminance = _as_pixels(clean).mean(2)
    field = _blurred(luminance, _GLOW)
    middle, high = np.quantile(field, (0.5, 0.9))
    step = np.clip((field - middle) / max(float(high - middle), _RISE), 0, 1)
    light = torch.from_numpy((step * step * (3 - 2 * step)).astype(np.float32)).to(clean.device)
    return dark + kept * light * (clean - dark)


def _blurred(pixels: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(pixels, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)


def _as_pixels(picture: Tensor) -> np.ndarray:
    return np.ascontiguousarray(picture.float().cpu().numpy().transpose(1, 2, 0))


def _as_tensor(pixels: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1).to(like.device)
