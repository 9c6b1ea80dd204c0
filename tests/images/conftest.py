"""Real photographs, and files of them from encoders that airtool does not use."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage
from PIL import Image, ImageCms


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """(40, 60, 3) uint8 R G B of a real photograph."""
    with Image.open(Path(skimage.data_dir) / "coffee.png") as picture:
        return np.asarray(picture.convert("RGB").resize((60, 40)))


@pytest.fixture(scope="session")
def rgba(photo: np.ndarray) -> np.ndarray:
    """`photo` with an alpha that takes every value and has fully transparent parts."""
    alpha = np.linspace(0, 255, photo[..., 0].size).round().astype(np.uint8).reshape(photo.shape[:2])
    return np.dstack([photo, alpha])


@pytest.fixture(scope="session")
def saved() -> Callable[..., bytes]:
    """The bytes that Pillow writes for an array or an image."""

    def save(image: np.ndarray | Image.Image, format: str, **options: Any) -> bytes:
        target = io.BytesIO()
        image = image if isinstance(image, Image.Image) else Image.fromarray(image)
        image.save(target, format, **options)
        return target.getvalue()

    return save


@pytest.fixture(scope="session")
def icc() -> bytes:
    """A real sRGB profile."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture(scope="session")
def xmp() -> bytes:
    """A small XMP packet with text outside ASCII."""
    return '<x:xmpmeta xmlns:x="adobe:ns:meta/"><a>Zoë</a></x:xmpmeta>'.encode()


@pytest.fixture(scope="session")
def exif() -> Callable[..., bytes]:
    """An EXIF block as a camera writes it (with "Exif", 0, 0 in front), in either byte order."""

    def build(orientation: int = 1, endian: str = ">") -> bytes:
        block = Image.Exif()
        block.endian = endian
        block[0x010F] = "Maker"
        block[0x0112] = orientation
        block[0x8769] = {0x9003: "2020:01:02 03:04:05", 0x829A: 0.01, 0xA002: 60, 0xA003: 40}
        block[0x8825] = {1: "N", 2: (52.0, 30.0, 1.5)}
        return block.tobytes()

    return build
