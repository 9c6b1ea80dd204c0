"""FID: how far pictures as a whole are from their ground truths, where every other metric judges one picture.

M. Heusel et al., GANs Trained by a Two Time-Scale Update Rule, NeurIPS 2017, with the resizing of G. Parmar et al., On
Aliased Resizing and Surprising Subtleties in GAN Evaluation, CVPR 2022 ("clean-fid"), which is also pyiqa's default.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.float32]
Features = npt.NDArray[np.float32]

SIDE = 299
"""Width and height of what the network sees, whatever the shape of the picture."""

STATEMENT = (
    "all pictures together against all ground truths: Fréchet distance of Inception features, resized as in clean-fid; "
    "the fewer pictures, the larger: compare only figures over the same pictures"
)


class InceptionFeatures:
    """Turns pictures into what FID compares. Keeps nothing of the pictures it has seen."""

    def __init__(self, network: Any, device: Any) -> None:
        """network: pyiqa's Inception network for FID, on `device` and ready."""
        self._network = network
        self._device = device

    def of(self, pictures: Sequence[Pixels]) -> Features:
        """(N, 2048) float32, one row a picture.

        pictures: (H, W, 3) float32 RGB, sRGB, of any sizes; clipped to [0, 1] and rounded to the 8 bits of a file.
        """
        import torch

        resized = np.stack([_resized(picture) for picture in pictures]).transpose(0, 3, 1, 2)
        batch = torch.from_numpy((resized - np.float32(128)) / np.float32(128)).to(self._device)
        with torch.inference_mode():
            found = self._network(batch)[0]
        return np.asarray(found.reshape(len(pictures), -1).cpu().numpy(), np.float32)


def frechet_distance(first: Features, second: Features) -> float:
    """Fréchet distance of the Gaussians with the means and sample covariances of two sets of features.

    first, second: (N, D) and (M, D). |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)); NaN for sets of fewer than two. As
    S1 = A'A and S2 = B'B, the trace of that root is the sum of the singular values of AB', which stays exact where
    there are fewer pictures than features and the root itself is ill-conditioned.
    """
    if min(len(first), len(second)) < 2:
        return math.nan
    (mean, a), (other_mean, b) = (_mean_and_factor(features) for features in (first, second))
    shift = mean - other_mean
    spread = float(np.square(a).sum() + np.square(b).sum())
    shared = float(np.linalg.svd(a @ b.T, compute_uv=False).sum())
    return max(0.0, float(shift @ shift) + spread - 2 * shared)


def _mean_and_factor(features: Features) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The mean, and a matrix A of at most as many rows as there are features for which A'A is the covariance."""
    values = features.astype(np.float64)
    mean = values.mean(axis=0)
    factor = (values - mean) / math.sqrt(len(values) - 1)
    if len(factor) > factor.shape[1]:
        factor = np.asarray(np.linalg.qr(factor, mode="r"), np.float64)
    return mean, factor


def _resized(picture: Pixels) -> Pixels:
    """(SIDE, SIDE, 3) on the scale 0..255: bicubic with the wide kernel that keeps what is reduced from aliasing."""
    from PIL import Image

    levels = np.rint(np.clip(picture, 0.0, 1.0) * np.float32(255))
    channels = [
        np.asarray(Image.fromarray(np.ascontiguousarray(levels[..., c])).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
        for c in range(3)
    ]
    return np.stack(channels, axis=2).clip(0, 255)
