"""Classical filters as the rivals use them: float32 (H, W, 3) RGB in [0, 1] to the same."""

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.float32]


class NotInstalled(Exception):
    """A rival whose package is not there; the message says how to get it."""


def noise_level(rgb: Pixels) -> float:
    """Standard deviation of white noise on the scale 0..255, from the median of the finest diagonal details.

    sigma = median |d| / 0.6745, d the diagonal Haar coefficients of the grey values, scaled to the noise of one colour
    channel if the three are independent (D. L. Donoho and I. M. Johnstone, Biometrika 81(3), 1994). Of a camera's
    noise, which is correlated between pixels, that is a share; how large a one is left to the rival's parameter.
    """
    grey = rgb.mean(axis=2)[: rgb.shape[0] // 2 * 2, : rgb.shape[1] // 2 * 2]
    diagonal = (grey[::2, ::2] - grey[1::2, ::2] - grey[::2, 1::2] + grey[1::2, 1::2]) / 2
    return float(255 * np.sqrt(3) * np.median(np.abs(diagonal)) / 0.6745)


def nlm(rgb: Pixels, strength: float, sigma: float | None) -> Pixels:
    """OpenCV's non-local means in Lab (A. Buades, B. Coll and J.-M. Morel, CVPR 2005), filtering by strength * sigma.

    sigma: of the noise, on the scale 0..255; None: `noise_level`.
    """
    h = strength * (noise_level(rgb) if sigma is None else sigma)
    return _of_bytes(cv2.fastNlMeansDenoisingColored(_bytes(rgb), None, h, h, 7, 21))


def bm3d(rgb: Pixels, strength: float, sigma: float | None) -> Pixels:
    """The authors' colour BM3D, both stages, for white noise of strength * sigma (sigma as for `nlm`).

    K. Dabov, A. Foi, V. Katkovnik and K. Egiazarian, IEEE TIP 16(8), 2007; Y. Mäkinen, L. Azzari and A. Foi, IEEE TIP
    29, 2020. One thread, so that the result does not depend on the machine. Raises NotInstalled.
    """
    try:
        from bm3d import BM3DProfile, bm3d_rgb
    except ImportError:
        raise NotInstalled("bm3d is not installed: pip install -e '.[bench]' (for non-commercial use only)") from None
    profile = BM3DProfile()
    profile.num_threads = 1
    level = strength * (noise_level(rgb) if sigma is None else sigma) / 255
    return np.clip(bm3d_rgb(rgb.astype(np.float64), level, profile), 0, 1).astype(np.float32)


def clahe(rgb: Pixels, clip: float, tiles: int) -> Pixels:
    """Contrast-limited adaptive histogram equalisation of the lightness (K. Zuiderveld, Graphics Gems IV, 1994).

    On CIE L* in 8 bits, a* and b* kept. tiles: along each side of the picture.
    """
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)
    lightness = _bytes(lab[..., 0] / 100)
    lab[..., 0] = 100 * _of_bytes(cv2.createCLAHE(clip, (tiles, tiles)).apply(lightness))
    return np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1)


def gamma(rgb: Pixels, exponent: float) -> Pixels:
    """y = x ^ exponent on sRGB values."""
    return rgb ** np.float32(exponent)


def unsharp(rgb: Pixels, amount: float, sigma: float) -> Pixels:
    """y = x + amount * (x - g * x), g a Gaussian of sigma pixels."""
    return np.clip(rgb + np.float32(amount) * (rgb - cv2.GaussianBlur(rgb, (0, 0), sigma)), 0, 1)


def bright_median(rgb: Pixels, height: int, width: int, threshold: float) -> Pixels:
    """y = x - max(0, x - m - threshold), m the median over height x width pixels: only what stands out bright is cut.

    Streaks and flakes are thin and add light; a flat window lies across streaks that fall.
    """
    top, left = height // 2, width // 2
    padded = cv2.copyMakeBorder(rgb, top, top, left, left, cv2.BORDER_REFLECT_101)
    rows, columns = rgb.shape[:2]
    shifts = [padded[y : y + rows, x : x + columns] for y in range(height) for x in range(width)]
    middle = np.partition(np.stack(shifts), len(shifts) // 2, axis=0)[len(shifts) // 2]
    return rgb - np.maximum(0, rgb - middle - np.float32(threshold))


def bilateral(rgb: Pixels, colour: float, space: float) -> Pixels:
    """OpenCV's bilateral filter (C. Tomasi and R. Manduchi, ICCV 1998). colour in [0, 1], space in pixels."""
    return cv2.bilateralFilter(rgb, 0, colour, space)


def _bytes(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    return np.rint(values * 255).astype(np.uint8)


def _of_bytes(values: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    return values.astype(np.float32) / np.float32(255)
