"""Noise: the benchmark's Gaussian, and a camera's."""

import cv2
import numpy as np

from airtool.degradations.base import Applied, Degradation, unit
from airtool.degradations.srgb import to_linear, to_srgb


def gaussian(image: np.ndarray, amount: float, rng: np.random.Generator) -> Applied:
    """y = clip(x + n, 0, 1) with n ~ N(0, (sigma / 255)^2), independent in every pixel and channel.

    `amount` is sigma on the 0..255 scale. On sRGB values and not quantised: the protocol of the denoising benchmarks
    (CBSD68, Kodak24; DnCNN, Zhang et al., TIP 2017).
    """
    if amount == 0:
        return image.copy(), {}
    noisy = rng.standard_normal(image.shape, dtype=np.float32)
    noisy *= np.float32(amount / 255.0)
    noisy += image
    return unit(noisy), {}


# Linear sRGB = matrix @ camera RGB: a typical colour matrix of a consumer camera; every row sums to 1.
CAMERA_TO_RGB = np.array([[1.63, -0.49, -0.14], [-0.22, 1.52, -0.30], [0.03, -0.52, 1.49]], np.float32)
RGB_TO_CAMERA = np.linalg.inv(CAMERA_TO_RGB).astype(np.float32)
_GREEN = np.array([[0, 1, 0], [1, 4, 1], [0, 1, 0]], np.float32) / 4
_RED_BLUE = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]], np.float32) / 4


def sensor_noise(
    linear: np.ndarray, shot: float, read: float, gains: tuple[float, float, float], rng: np.random.Generator
) -> np.ndarray:
    """Noise of one exposure, to be added to linear light: float32 (H, W, 3), zero mean, not clipped.

    Per photosite n ~ N(0, shot * s + read), s the signal before white balance: the Gaussian form of the
    Poisson-Gaussian model (Foi et al., TIP 2008). The noise is drawn on the sites of a Bayer pattern (RGGB),
    interpolated bilinearly as a demosaicing would, multiplied by the white balance gains and the colour matrix;
    that is what makes a camera's noise blotchy and its channels correlated (Brooks et al., "Unprocessing Images",
    CVPR 2019). The picture itself is not interpolated, so its detail stays.

    linear: float32 (H, W, 3) in [0, 1]. shot, read: variance per unit of signal and at zero signal. gains: the white
    balance of R, G, B.
    """
    height, width = linear.shape[:2]
    balance = np.asarray(gains, np.float32)
    camera = cv2.transform(linear, RGB_TO_CAMERA / balance[:, None]).reshape(linear.shape)
    mosaic = np.empty((height, width), np.float32)
    sites = ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2))
    for row, column, channel in sites:
        mosaic[row::2, column::2] = camera[row::2, column::2, channel]
    np.maximum(mosaic, 0.0, out=mosaic)
    noise = np.sqrt(np.float32(shot) * mosaic + np.float32(read))
    noise *= rng.standard_normal((height, width), dtype=np.float32)

    planes = np.zeros_like(camera)
    for row, column, channel in sites:
        planes[row::2, column::2, channel] = noise[row::2, column::2]
    for channel, kernel in enumerate((_RED_BLUE, _GREEN, _RED_BLUE)):
        planes[..., channel] = cv2.filter2D(planes[..., channel], -1, kernel, borderType=cv2.BORDER_REFLECT_101)
    return cv2.transform(planes, CAMERA_TO_RGB * balance[None, :]).reshape(linear.shape)


def draw_sensor(shot: float, rng: np.random.Generator) -> tuple[float, tuple[float, float, float]]:
    """Read-noise variance that goes with a shot-noise level, and white balance gains.

    ln read = 2.18 ln shot + 1.2 + N(0, 0.26^2), as measured on the Darmstadt Noise Dataset by Brooks et al., 2019.
    """
    read = float(np.exp(2.18 * np.log(shot) + 1.2 + rng.normal(0.0, 0.26)))
    return read, (float(rng.uniform(1.5, 2.4)), 1.0, float(rng.uniform(1.4, 2.0)))


def camera(image: np.ndarray, amount: float, rng: np.random.Generator) -> Applied:
    """Poisson-Gaussian noise in linear light, seen through demosaicing and colour correction.

    shot = 0.012 amount^2, so amount 0.1 is a low ISO setting and 1 the highest of Brooks et al., 2019.
    """
    if amount == 0:
        return image.copy(), {}
    shot = 0.012 * amount**2
    read, gains = draw_sensor(shot, rng)
    linear = to_linear(image)
    noisy = to_srgb(linear + sensor_noise(linear, shot, read, gains, rng))
    return noisy, {"shot": shot, "read": read, "white_balance": list(gains)}


def photographed(image: np.ndarray, amount: float, rng: np.random.Generator) -> Applied:
    """A camera's noise as finished photographs show it, between what `camera` gives and white noise.

    Cameras differ in how they demosaic, sharpen, denoise and scale, and with that in how far neighbouring pixels and
    channels share their noise. Here the noise of `camera` and white noise of the same strength at every pixel are
    mixed, a random share of the variance being white, and softened by a Gaussian that keeps each channel's variance.
    """
    if amount == 0:
        return image.copy(), {}
    shot = 0.012 * amount**2
    read, gains = draw_sensor(shot, rng)
    white, softness = float(rng.uniform(0.0, 1.0)), float(rng.uniform(0.0, 0.9))
    linear = to_linear(image)
    noise = sensor_noise(linear, shot, read, gains, rng)
    even = np.sqrt(np.float32(shot) * np.maximum(linear, 0.0) + np.float32(read))
    even *= rng.standard_normal(image.shape, dtype=np.float32)
    noise = np.float32((1 - white) ** 0.5) * noise + np.float32(white**0.5) * as_strong_as(noise, even)
    if softness >= SOFTENS:
        noise = as_strong_as(noise, cv2.GaussianBlur(noise, (0, 0), softness, borderType=cv2.BORDER_REFLECT_101))
    record = {"shot": shot, "read": read, "white_balance": list(gains), "white": white, "softness": softness}
    return to_srgb(linear + noise), record


SOFTENS = 0.3
"""A Gaussian of less, in pixels, changes nothing: its neighbours weigh less than half a per cent."""


def as_strong_as(noise: np.ndarray, other: np.ndarray) -> np.ndarray:
    """`other` (H, W, 3) with each channel's standard deviation made that of `noise`."""
    scale = noise.std((0, 1)) / np.maximum(other.std((0, 1)), np.float32(1e-9))
    return (other * scale).astype(np.float32)


NOISE = Degradation(
    name="noise",
    label="noise",
    summary="white Gaussian noise on sRGB values",
    parameter="sigma on the 0..255 scale",
    low=0.0,
    high=100.0,
    default=25.0,
    training=(1.0, 50.0),
    apply=gaussian,
)

CAMERA_NOISE = Degradation(
    name="camera-noise",
    label="noise",
    summary="Poisson-Gaussian sensor noise in linear light, with demosaiced, correlated colours",
    parameter="strength 0..1, 1 being the noisiest ISO setting",
    low=0.0,
    high=1.0,
    default=0.4,
    training=(0.1, 0.8),
    apply=camera,
)

PHOTO_NOISE = Degradation(
    name="photo-noise",
    label="noise",
    summary="camera noise mixed with white noise at random and softened, as in photographs of many cameras",
    parameter="strength 0..1.5, as camera-noise; beyond 1 telephones in the dark",
    low=0.0,
    high=1.5,
    default=0.4,
    training=(0.1, 1.5),
    apply=photographed,
)
