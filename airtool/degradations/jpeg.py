"""JPEG compression, by a real encoder."""

import cv2
import numpy as np

from airtool.degradations.base import Applied, Degradation
from airtool.errors import AirtoolError


def jpeg(image: np.ndarray, amount: float, rng: np.random.Generator) -> Applied:
    """Rounded to 8 bits, encoded as baseline JPEG with 4:2:0 chroma, and decoded again (ITU-T T.81).

    `amount` is libjpeg's quality, rounded to a whole number. Nothing is drawn. No quality is lossless.

    Raises AirtoolError for pictures beyond the format's 65500 pixels a side.
    """
    quality = round(amount)
    if max(image.shape[:2]) > 65500:
        raise AirtoolError(f"a JPEG holds at most 65500 pixels a side, this picture has {max(image.shape[:2])}")
    pixels = np.ascontiguousarray(np.rint(image[..., ::-1] * 255).astype(np.uint8))
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]
    _, encoded = cv2.imencode(".jpg", pixels, options)
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB)
    assert decoded is not None, "the encoder's own file must decode"
    drawn = {"quality": quality, "chroma": "4:2:0", "bytes": len(encoded)}
    return decoded.astype(np.float32) * np.float32(1 / 255), drawn


JPEG = Degradation(
    name="jpeg",
    label="JPEG",
    summary="compression by a real encoder, 4:2:0 chroma",
    parameter="quality 1..100, lower is worse",
    low=1.0,
    high=100.0,
    default=20.0,
    training=(8.0, 60.0),
    apply=jpeg,
)
