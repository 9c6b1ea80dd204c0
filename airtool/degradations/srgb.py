"""The sRGB transfer function, both ways (IEC 61966-2-1)."""

import cv2
import numpy as np


def _power(values: np.ndarray, exponent: float) -> np.ndarray:
    """values ** exponent by OpenCV, which is several times faster than numpy on float32; the shape stays."""
    return cv2.pow(values, exponent).reshape(values.shape)


def to_linear(encoded: np.ndarray) -> np.ndarray:
    """Linear light of sRGB-encoded values, both float32 in [0, 1], any shape.

    L = V / 12.92 where V <= 0.04045, else ((V + 0.055) / 1.055) ** 2.4.
    """
    encoded = np.ascontiguousarray(encoded, dtype=np.float32)
    curve = _power((encoded + np.float32(0.055)) * np.float32(1 / 1.055), 2.4)
    return np.where(encoded <= 0.04045, encoded * np.float32(1 / 12.92), curve)


def to_srgb(linear: np.ndarray) -> np.ndarray:
    """sRGB-encoded values of linear light, clipped to [0, 1]; float32, any shape.

    V = 12.92 L where L <= 0.0031308, else 1.055 L ** (1 / 2.4) - 0.055.
    """
    linear = np.clip(np.ascontiguousarray(linear, dtype=np.float32), 0.0, 1.0)
    curve = _power(linear, 1 / 2.4) * np.float32(1.055) - np.float32(0.055)
    return np.clip(np.where(linear <= 0.0031308, linear * np.float32(12.92), curve), 0.0, 1.0)
