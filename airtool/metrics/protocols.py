"""PSNR and SSIM under named protocols, because a figure without its protocol cannot be compared.

Papers on restoration mean different things by "PSNR": on RGB or on luma, on 8-bit or on float values, on the whole
picture or on a crop, with a Gaussian or a uniform SSIM window. Each `Protocol` below is one such set of choices.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from airtool.errors import PictureError, UsageError
from airtool.metrics.windows import GAUSSIAN_11, UNIFORM_7, Window, ssim_sum

Pixels = npt.NDArray[np.float32]

STRIP_ROWS = 128
"""Rows measured at a time: bounds the memory that float64 work on a large photograph takes."""


@dataclass(frozen=True)
class Protocol:
    """One way to measure a restored picture against its ground truth.

    `psnr` and `ssim` take two pictures of the same size: (H, W, 3), float32, R G B, sRGB encoding, range [0, 1]
    (values outside are clipped), and do all arithmetic in float64.
    """

    name: str
    """What is typed after ``--protocol``."""
    title: str
    """The name in tables."""
    statement: str
    """What exactly is measured; printed with every figure."""
    channels: Literal["rgb", "y"]
    """All three channels jointly, or ITU-R BT.601 studio-range luma alone."""
    quantise: bool
    """Round to the 8 bits that a file would hold before measuring."""
    crop_multiple: int
    """Measure the centre crop whose sides are multiples of this; 1: the whole picture."""
    window: Window
    """The SSIM window."""

    def psnr(self, restored: Pixels, ground_truth: Pixels) -> float:
        """Peak signal-to-noise ratio in dB; higher is better.

        `math.inf` when nothing differs, `math.nan` (undefined) when the crop leaves no pixels.
        Raises PictureError for pictures of different sizes or with values that are not finite.
        """
        restored, ground_truth = self._measured_parts(restored, ground_truth)
        if not restored.size:
            return math.nan
        total, count = 0.0, 0
        for rows in _strips(restored.shape[0], overlap=0):
            difference = self._values(restored[rows]) - self._values(ground_truth[rows])
            total += float(np.square(difference, out=difference).sum())
            count += difference.size
        return 10.0 * math.log10(PEAK**2 * count / total) if total else math.inf

    def ssim(self, restored: Pixels, ground_truth: Pixels) -> float:
        """Mean structural similarity (Wang et al., IEEE TIP 13(4), 2004), at most 1; higher is better.

        K1 = 0.01, K2 = 0.03; the mean is over the positions where the whole window lies inside the picture, and
        over channels. `math.nan` (undefined) when the measured part is smaller than the window.
        Raises PictureError as `psnr` does.
        """
        restored, ground_truth = self._measured_parts(restored, ground_truth)
        if min(restored.shape[:2]) < self.window.size:
            return math.nan
        total, count = 0.0, 0
        for rows in _strips(restored.shape[0], overlap=self.window.size - 1):
            values = self._values(restored[rows]), self._values(ground_truth[rows])
            strip_total, strip_count = ssim_sum(*values, window=self.window, peak=PEAK)
            total += strip_total
            count += strip_count
        return total / count

    def _measured_parts(self, restored: Pixels, ground_truth: Pixels) -> tuple[Pixels, Pixels]:
        """Views of the parts that this protocol compares, after checking that they can be compared."""
        check_comparable(restored, ground_truth)
        height, width = (side - side % self.crop_multiple for side in restored.shape[:2])
        top, left = (restored.shape[0] - height) // 2, (restored.shape[1] - width) // 2
        crop = np.s_[top : top + height, left : left + width]
        return restored[crop], ground_truth[crop]

    def _values(self, picture: Pixels) -> npt.NDArray[np.float64]:
        """(H, W, 3) in [0, 1] to (H, W, C) on the scale 0..PEAK."""
        clipped = np.clip(picture, 0.0, 1.0)
        if self.quantise:
            # In float32, as when a picture is encoded: values next to a half must fall as they do in the saved file.
            values = np.rint(clipped * np.float32(PEAK)).astype(np.float64)
        else:
            values = clipped.astype(np.float64) * PEAK
        if self.channels == "y":
            # Whole numbers as long as the values are, hence exact: halves must not fall either way by rounding errors.
            luma = values @ BT601_LUMA
            values = np.floor(luma / BT601_SCALE + 0.5) if self.quantise else luma / BT601_SCALE
            values = (values + BT601_BLACK)[..., np.newaxis]
        return values


PEAK = 255.0
"""Scale on which everything is computed. PSNR and SSIM are the same on 0..1 with a peak of 1."""

BT601_LUMA = np.array([65481.0, 128553.0, 24966.0])
"""Weights of R G B in the studio-range luma of ITU-R BT.601 (the first row of MATLAB's rgb2ycbcr)."""

BT601_SCALE = 255_000.0
"""What the weighted sum of R G B, each 0..255, is divided by."""

BT601_BLACK = 16.0
"""Luma of black; white has 235."""

RGB = Protocol(
    name="rgb",
    title="RGB",
    statement="all three channels jointly, values rounded to 8 bits, whole picture; SSIM: 11x11 Gaussian window "
    "(sigma 1.5), per channel, inside the picture only, mean over channels",
    channels="rgb",
    quantise=True,
    crop_multiple=1,
    window=GAUSSIAN_11,
)
"""What one measures on saved 8-bit files."""

Y = Protocol(
    name="y",
    title="Y",
    statement="ITU-R BT.601 studio-range luma (16..235, as MATLAB's rgb2ycbcr on 8-bit pictures: input and luma both "
    "rounded, halves up), peak 255, whole picture; SSIM: on that luma, 11x11 Gaussian window (sigma 1.5), inside "
    "the picture only",
    channels="y",
    quantise=True,
    crop_multiple=1,
    window=GAUSSIAN_11,
)
"""The convention of the deraining literature since its MATLAB scripts."""

PROMPTIR = Protocol(
    name="promptir",
    title="PromptIR",
    statement="all three channels jointly, float values clipped to [0, 1], centre crop to multiples of 16; SSIM: 7x7 "
    "uniform window with sample covariance (scikit-image's default), inside the picture only, mean over channels; the "
    "crop is made for measuring, the method saw the whole picture",
    channels="rgb",
    quantise=False,
    crop_multiple=16,
    window=UNIFORM_7,
)
"""What the all-in-one papers since AirNet and PromptIR (Potlapalli et al., NeurIPS 2023) print.

Their scripts crop before restoring. Against a Gaussian window its SSIM reads higher on noise and lower on rain; by how
much, and what every other choice costs, stands in docs/protocols.md.
"""

NDR = Protocol(
    name="ndr",
    title="NDR",
    statement="all three channels jointly, float values clipped to [0, 1], not quantised, whole picture; SSIM: 11x11 "
    "Gaussian window (sigma 1.5), per channel, inside the picture only, mean over channels",
    channels="rgb",
    quantise=False,
    crop_multiple=1,
    window=GAUSSIAN_11,
)
"""What NDR-Restore prints (Yao et al., IEEE TIP 2024, arXiv 2310.12848)."""

PROTOCOLS: dict[str, Protocol] = {protocol.name: protocol for protocol in (RGB, Y, PROMPTIR, NDR)}
"""Every protocol by the name typed after ``--protocol``."""


def parse_protocols(text: str) -> tuple[Protocol, ...]:
    """The protocols of a comma-separated list such as ``"rgb,y"``, in that order.

    Raises UsageError for an unknown, repeated or missing name.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in PROTOCOLS:
            raise UsageError(f"unknown protocol '{name}': choose from {', '.join(PROTOCOLS)}")
    if not names or len(set(names)) < len(names):
        raise UsageError(f"--protocol '{text}' must name each protocol once: choose from {', '.join(PROTOCOLS)}")
    return tuple(PROTOCOLS[name] for name in names)


def check_comparable(restored: Pixels, ground_truth: Pixels) -> None:
    """Raise PictureError unless both are (H, W, 3) of one size, at least one pixel, and finite throughout."""
    for picture in (restored, ground_truth):
        if picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
            raise PictureError(f"expected pixels of shape (height, width, 3), got {picture.shape}")
    if restored.shape != ground_truth.shape:
        sizes = " and ".join(f"{picture.shape[1]}x{picture.shape[0]}" for picture in (restored, ground_truth))
        raise PictureError(f"the sizes of picture and ground truth differ ({sizes}): only equal sizes can be measured")
    if not (np.isfinite(restored).all() and np.isfinite(ground_truth).all()):
        raise PictureError("the picture holds values that are not finite numbers, so it cannot be measured")


def _strips(height: int, overlap: int) -> Iterator[slice]:
    """Slices of rows such that windows of `overlap` + 1 rows, each counted once, cover all `height` rows."""
    for top in range(0, height - overlap, STRIP_ROWS):
        yield slice(top, min(top + STRIP_ROWS + overlap, height))
