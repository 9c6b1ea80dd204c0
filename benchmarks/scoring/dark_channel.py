"""Dehazing by the dark channel prior, refined by the guided filter, as the papers' equations have them.

K. He, J. Sun and X. Tang, "Single Image Haze Removal Using Dark Channel Prior", CVPR 2009; the same, "Guided Image
Filtering", ECCV 2010, which takes the place of the first paper's soft matting as its authors propose there.
"""

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.float32]

BRIGHTEST = 0.001
"""Share of the pixels, those of the largest dark channel, among which the airlight is looked for."""

LEAST = 0.1
"""t0: transmission below which the result would be mostly noise."""


def dark_channel(rgb: Pixels, patch: int) -> Pixels:
    """D(x) = min over y in W(x) of min over c of I_c(y): (H, W, 3) to (H, W). patch: side of the square W in pixels."""
    return cv2.erode(rgb.min(axis=2), np.ones((patch, patch), np.uint8))


def airlight(rgb: Pixels, patch: int) -> Pixels:
    """A, (3,): the colour of the brightest of those pixels whose dark channel is among the largest 0.1 %."""
    dark = dark_channel(rgb, patch).ravel()
    count = max(1, round(BRIGHTEST * dark.size))
    candidates = rgb.reshape(-1, 3)[np.argpartition(dark, -count)[-count:]]
    return candidates[candidates.sum(axis=1).argmax()]


def guided_filter(guide: Pixels, target: Pixels, radius: int, smoothness: float) -> Pixels:
    """q = m(a) I + m(b), a = (m(I p) - m(I) m(p)) / (m(I I) - m(I)^2 + e), b = m(p) - a m(I).

    I is the guide, p the target, (H, W) each; m the mean over a square window of the radius, e the smoothness.
    """

    def mean(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return cv2.blur(values, (2 * radius + 1, 2 * radius + 1), borderType=cv2.BORDER_REFLECT)

    # The variances are small differences of large numbers: float64.
    i, p = guide.astype(np.float64), target.astype(np.float64)
    mean_i, mean_p = mean(i), mean(p)
    a = (mean(i * p) - mean_i * mean_p) / (mean(i * i) - mean_i**2 + smoothness)
    return (mean(a) * i + mean(mean_p - a * mean_i)).astype(np.float32)


def transmission(rgb: Pixels, light: Pixels, patch: int, keep: float, radius: int, smoothness: float) -> Pixels:
    """t(x) = 1 - w min over y in W(x) of min over c of I_c(y) / A_c, refined by the picture's grey values: (H, W).

    keep: the paper's w, which leaves a little haze for distance to be seen.
    """
    rough = 1 - np.float32(keep) * dark_channel(rgb / np.maximum(light, np.float32(1e-3)), patch)
    return guided_filter(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), rough, radius, smoothness)


def dehaze(rgb: Pixels, patch: int = 15, keep: float = 0.95, radius: int = 40, smoothness: float = 1e-3) -> Pixels:
    """J(x) = (I(x) - A) / max(t(x), t0) + A: float32 (H, W, 3) in [0, 1] to the same."""
    light = airlight(rgb, patch)
    t = np.clip(transmission(rgb, light, patch, keep, radius, smoothness), np.float32(LEAST), 1)
    return np.clip((rgb - light) / t[..., None] + light, 0, 1).astype(np.float32)
