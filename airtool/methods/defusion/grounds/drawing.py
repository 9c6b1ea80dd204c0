"""What the textures share: coordinates, anti-aliased edges, colours, noise."""

from collections.abc import Callable

import cv2
import numpy as np

from airtool.metrics.protocols import Pixels

Texture = Callable[[np.random.Generator, int], Pixels]
"""Draws one patch of a chart: (generator, side in pixels) to float32 (side, side, 3), sRGB-encoded RGB in [0, 1].

The generator is the only source of chance. Edges and waves are smoothed over a pixel on sRGB-encoded values.
"""

SHIFT = 4
"""Fractional bits of OpenCV's drawing coordinates."""


def grid(side: int) -> tuple[Pixels, Pixels]:
    """Pixel centres x (to the right) and y (down), each float32 (side, side), in pixels from the patch's middle."""
    line = np.arange(side, dtype=np.float32) - np.float32((side - 1) / 2)
    return np.broadcast_to(line, (side, side)), np.broadcast_to(line[:, None], (side, side))


def turned_grid(side: int, degrees: float) -> tuple[Pixels, Pixels]:
    """`grid` in axes that are turned by an angle."""
    x, y = grid(side)
    cosine, sine = np.float32(np.cos(np.deg2rad(degrees))), np.float32(np.sin(np.deg2rad(degrees)))
    return cosine * x + sine * y, cosine * y - sine * x


def inside(distance: np.ndarray) -> Pixels:
    """Share (float32) of each pixel inside a shape, by its signed distance (pixels, positive inside) from the edge."""
    return np.clip(distance.astype(np.float32, copy=False) + np.float32(0.5), 0.0, 1.0)


def bars(position: Pixels, period: float) -> Pixels:
    """Signed distance (pixels) into the bright bars of a square wave along `position`; bars are half a period wide."""
    return np.float32(period / 4) - np.abs(np.mod(position, np.float32(period)) - np.float32(period / 2))


def wave(phase: np.ndarray, frequency: np.ndarray | float) -> Pixels:
    """A sine as float32 in [0, 1] that fades to 0.5 from 0.36 cycles a pixel on and is gone just before Nyquist's 0.5.

    phase: in cycles. frequency: the local one, in cycles a pixel.
    """
    seen = np.clip((0.48 - np.abs(frequency)) / 0.12, 0.0, 1.0).astype(np.float32)
    sine = np.sin(np.float32(2 * np.pi) * phase.astype(np.float32, copy=False))
    return np.float32(0.5) + np.float32(0.5) * seen * sine


def mix(low: Pixels, high: Pixels, share: Pixels) -> Pixels:
    """low where `share` (..., without channels) is 0, high where it is 1; low and high end in three channels."""
    return low + share[..., None] * (high - low)


def lch(lightness: np.ndarray | float, chroma: np.ndarray | float, hue: np.ndarray | float) -> Pixels:
    """sRGB colours (..., 3) in [0, 1] of CIE L* (0 to 100), C*ab and hue (degrees); clipped where sRGB ends."""
    lightness, chroma, hue = np.broadcast_arrays(lightness, chroma, np.deg2rad(hue))
    lab = np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], axis=-1).astype(np.float32)
    rgb = cv2.cvtColor(lab.reshape(1, -1, 3), cv2.COLOR_LAB2RGB)
    return np.clip(rgb.reshape(lab.shape), 0.0, 1.0)


def inks(rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    """A dark and a light colour of good contrast, each (3,): black and white in half of the draws, tinted otherwise."""
    tint = 0.0 if rng.random() < 0.5 else 1.0
    hue = rng.uniform(0.0, 360.0)
    dark = lch(rng.uniform(3.0, 12.0) + tint * rng.uniform(0.0, 20.0), tint * rng.uniform(10.0, 50.0), hue)
    light = lch(
        rng.uniform(90.0, 98.0) - tint * rng.uniform(0.0, 15.0),
        tint * rng.uniform(5.0, 40.0),
        hue + rng.uniform(60.0, 300.0),
    )
    return dark, light


def spectral_noise(rng: np.random.Generator, side: int, slope: float) -> Pixels:
    """Gaussian noise whose amplitude falls as 1 / frequency ** slope: float32 (side, side), mean 0, deviation 1."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :])
    frequency[0, 0] = np.inf
    spectrum = rng.standard_normal(frequency.shape) + 1j * rng.standard_normal(frequency.shape)
    field = np.fft.irfft2(spectrum * frequency**-slope, s=(side, side))
    return (field / max(float(field.std()), 1e-9)).astype(np.float32)


def fibres(rng: np.random.Generator, side: int, length: float) -> Pixels:
    """White noise drawn out downwards by a Gaussian of deviation `length` pixels: float32 (side, side), deviation 1."""
    noise = rng.standard_normal((side, side), dtype=np.float32)
    # OpenCV takes a deviation of 0 across as the one along.
    drawn = cv2.GaussianBlur(noise, (0, 0), sigmaX=0.01, sigmaY=length, borderType=cv2.BORDER_REFLECT)
    return ((drawn - drawn.mean()) / max(float(drawn.std()), 1e-9)).astype(np.float32)


def coloured(values: Pixels, stops: Pixels) -> Pixels:
    """Colours (..., 3) of values, where the stops (n, 3) stand evenly from 0 to 1; values outside take the end ones."""
    places = np.linspace(0.0, 1.0, len(stops))
    flat = values.ravel()
    channels = [np.interp(flat, places, stops[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).reshape(*values.shape, 3).astype(np.float32)


def sheet(side: int, colour: Pixels) -> np.ndarray:
    """A blank patch for OpenCV to draw on: uint8 (side, side, 3), the only depth on which it smooths edges."""
    return np.full((side, side, 3), np.rint(255 * colour), np.uint8)


def developed(drawn: np.ndarray) -> Pixels:
    """A patch of 8 bits as float32 in [0, 1]."""
    return drawn.astype(np.float32) * np.float32(1 / 255)
