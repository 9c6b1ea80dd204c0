"""Motion blur: the path of a shaken camera."""

import math

import cv2
import numpy as np

from airtool.degradations.base import Applied, Degradation
from airtool.degradations.srgb import to_linear, to_srgb

_STEPS = 96


def trajectory(length: float, rng: np.random.Generator, wander: float) -> np.ndarray:
    """A path of the camera during the exposure: float64 (steps, 2) in pixels (row, column), centred on its mean.

    A random walk of heading and speed, in the manner of Boracchi and Foi (TIP 2012): the heading turns by
    N(0, wander) radians a step; 0 gives a straight line. The larger side of its box is length - 1.
    """
    heading = rng.uniform(0.0, 2 * math.pi) + np.cumsum(rng.normal(0.0, wander, _STEPS))
    speed = np.exp(np.cumsum(rng.normal(0.0, 0.08, _STEPS)))
    path = np.cumsum(np.stack([np.sin(heading) * speed, np.cos(heading) * speed], axis=1), axis=0)
    path *= (length - 1) / float(np.ptp(path, axis=0).max())
    return path - path.mean(axis=0)


def kernel_of(path: np.ndarray) -> np.ndarray:
    """The blur of a path: float32 (K, K), K odd, sums to 1; every instant is shared by its four nearest pixels."""
    half = math.ceil(float(np.abs(path).max()) - 1e-9)
    size = 2 * half + 1
    kernel = np.zeros((size + 1, size + 1))
    corner = np.floor(path).astype(int)
    part = path - corner
    for down in (0, 1):
        for right in (0, 1):
            share = (part[:, 0] if down else 1 - part[:, 0]) * (part[:, 1] if right else 1 - part[:, 1])
            np.add.at(kernel, (corner[:, 0] + half + down, corner[:, 1] + half + right), share)
    kernel = kernel[:size, :size]
    return (kernel / kernel.sum()).astype(np.float32)


def convolve_light(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Blur an sRGB picture as light blurs: decode, convolve with reflected borders, encode; float32 (H, W, 3)."""
    linear = to_linear(image)
    blurred = cv2.filter2D(linear, -1, kernel, borderType=cv2.BORDER_REFLECT)
    return to_srgb(blurred.reshape(image.shape))


def motion_blur(image: np.ndarray, amount: float, rng: np.random.Generator) -> Applied:
    """y = encode(k * decode(x)): convolution of linear light with the path of the camera.

    `amount` is the extent of the path in pixels; 1 leaves the picture as it is. One path in three is straight, the
    others wander. GoPro and HIDE average frames, that is light, too (Nah et al., CVPR 2017).
    """
    if amount <= 1:
        return image.copy(), {}
    wander = 0.0 if rng.random() < 1 / 3 else float(rng.uniform(0.03, 0.35))
    path = trajectory(amount, rng, wander)
    return convolve_light(image, kernel_of(path)), {"wander": wander, "straight": wander == 0.0}


MOTION_BLUR = Degradation(
    name="motion-blur",
    label="blur",
    summary="camera shake along a random path, in linear light",
    parameter="extent of the path in pixels; 1 is sharp",
    low=1.0,
    high=101.0,
    default=11.0,
    training=(5.0, 17.0),
    apply=motion_blur,
)
