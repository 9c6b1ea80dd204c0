"""SSIM's sliding windows and the index itself (Wang, Bovik, Sheikh and Simoncelli, IEEE TIP 13(4), 2004)."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Window:
    """A separable, normalised window over which local means, variances and covariances are taken."""

    taps: tuple[float, ...]
    """One side of the window: weights that sum to 1. The window is their outer product."""
    sample_covariance: bool
    """Divide variances by n - 1 (n = number of pixels in a uniform window) in place of n."""

    @property
    def size(self) -> int:
        """Side of the window in pixels (odd)."""
        return len(self.taps)

    def mean(self, values: Values) -> Values:
        """Weighted local means of (H, W, C) where the window fits: (H - size + 1, W - size + 1, C)."""
        taps, margin = np.array(self.taps), self.size // 2
        filtered = cv2.sepFilter2D(values, cv2.CV_64F, taps, taps, borderType=cv2.BORDER_REFLECT_101)
        # OpenCV drops a last axis of one channel.
        means = np.asarray(filtered, np.float64).reshape(values.shape)
        return means[margin : values.shape[0] - margin, margin : values.shape[1] - margin]


def _gaussian(size: int, sigma: float) -> tuple[float, ...]:
    weights = [math.exp(-0.5 * ((i - size // 2) / sigma) ** 2) for i in range(size)]
    return tuple(weight / math.fsum(weights) for weight in weights)


GAUSSIAN_11 = Window(taps=_gaussian(11, 1.5), sample_covariance=False)
"""The paper's window: 11x11, circular Gaussian of standard deviation 1.5."""

UNIFORM_7 = Window(taps=(1 / 7,) * 7, sample_covariance=True)
"""7x7 block with sample covariance, the default of scikit-image's `structural_similarity`."""


def ssim_sum(first: Values, second: Values, window: Window, peak: float) -> tuple[float, int]:
    """Sum and number of the SSIM values at every window position that fits, over all channels.

    first, second: (H, W, C), both sides at least `window.size`, range [0, peak]. Equation 13 of the paper with
    C1 = (0.01 peak)^2 and C2 = (0.03 peak)^2.
    """
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    pixels = window.size**2
    unbias = pixels / (pixels - 1) if window.sample_covariance else 1.0
    mean_first, mean_second = window.mean(first), window.mean(second)
    product, squares = mean_first * mean_second, mean_first**2 + mean_second**2
    covariance = unbias * (window.mean(first * second) - product)
    variances = unbias * (window.mean(first * first + second * second) - squares)
    index = (2 * product + c1) * (2 * covariance + c2) / ((squares + c1) * (variances + c2))
    return float(index.sum()), index.size
