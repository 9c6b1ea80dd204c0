"""Pictures that hypothesis draws: cuts of real photographs, in every form that a file can have."""

import io
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage
from hypothesis import settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from airtool.images.encode import encode
from airtool.images.formats import FORMATS, missing_encoder, writable
from airtool.images.picture import Metadata, Picture

PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png")

XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><a>Zoë</a></x:xmpmeta>'.encode()

ALPHAS = ("opaque", "cut out", "soft")

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What brings stored pixels upright, by their EXIF orientation, as Pillow has it."""


def amounts(quick: int, heavy: int) -> pytest.MarkDecorator:
    """Runs a test twice, with `amount` as its hypothesis settings: a few cases, always the same, and many new ones."""
    common = settings(deadline=None, database=None, print_blob=True)
    few = settings(common, max_examples=quick, derandomize=True)
    many = settings(common, max_examples=heavy)
    marks = pytest.mark.heavy
    return pytest.mark.parametrize("amount", [pytest.param(few, id="few"), pytest.param(many, id="many", marks=marks)])


@dataclass(frozen=True)
class Drawn:
    """What a picture file holds; its pixels follow from it, so that a failure is told in one line."""

    photograph: str
    place: tuple[int, int]
    """(top, left) of the cut."""
    size: tuple[int, int]
    """(height, width) as stored."""
    format: str
    depth: int = 8
    grey: bool = False
    transparency: str | None = None
    """One of `ALPHAS`."""
    orientation: int | None = None
    """None: no EXIF at all."""
    endian: str = "<"
    profile: bool = False
    packet: bool = False
    """Whether there is XMP."""

    @property
    def samples(self) -> np.ndarray:
        """(H, W, 3) R G B as stored, uint8 or uint16; three equal ones for grey."""
        rgb = self._cut(0)
        if self.grey:
            rgb = rgb[..., 1:2].repeat(3, axis=2)
        if self.depth == 8:
            return rgb
        low = self._cut(7)
        return rgb.astype(np.uint16) << 8 | (low[..., :1] if self.grey else low)

    @property
    def alpha(self) -> np.ndarray | None:
        """(H, W) as stored."""
        if self.transparency is None:
            return None
        full = 2**self.depth - 1
        red = self._cut(3)[..., 0].astype(np.uint16)
        if self.transparency == "opaque":
            red[:] = full
        elif self.transparency == "cut out":
            red = np.where(red > 99, full, 0)
        elif self.depth == 16:
            red = red << 8 | self._cut(11)[..., 0]
        return red.astype(np.uint8 if self.depth == 8 else np.uint16)

    @property
    def metadata(self) -> Metadata:
        """As stored."""
        return Metadata(
            exif=None if self.orientation is None else self._exif().removeprefix(b"Exif\0\0"),
            icc=_icc(self.grey) if self.profile else None,
            xmp=XMP if self.packet else None,
        )

    def upright(self, stored: np.ndarray) -> np.ndarray:
        """`samples` or `alpha` as they are to be looked at."""
        height, width = self.size
        index = Image.fromarray(np.arange(height * width, dtype=np.int32).reshape(height, width))
        if self.orientation in TURNS:
            index = index.transpose(TURNS[self.orientation])
        return stored.reshape(-1, *stored.shape[2:])[np.asarray(index)]

    def file(self) -> bytes:
        """The bytes of the file: from Pillow where it can write such a one, else from airtool."""
        by_pillow = ("jpeg", "png", "webp", "tiff") if self.grey else ("jpeg", "png", "webp", "tiff", "avif")
        if self.depth == 8 and self.format in by_pillow:
            return self._by_pillow()
        rgb = self.samples / np.float32(2**self.depth - 1)
        return encode(Picture(rgb, self.alpha, self.depth, self.grey, self.format, self.metadata))

    def _by_pillow(self) -> bytes:
        channels = [*np.moveaxis(self.samples, 2, 0)]
        channels = channels[:1] if self.grey else channels
        mode = "L" if self.grey else "RGB"
        if (alpha := self.alpha) is not None:
            channels, mode = [*channels, alpha], mode + "A"
        own = self.metadata
        options: dict[str, Any] = {"icc_profile": own.icc} if own.icc else {}
        if self.format == "tiff":
            options["tiffinfo"] = self._tags() | ({700: XMP} if own.xmp else {})
        elif own.exif:
            options["exif"] = self._exif()
        if own.xmp and self.format == "png":
            options["pnginfo"] = PngInfo()
            options["pnginfo"].add_itxt("XML:com.adobe.xmp", XMP.decode())
        elif own.xmp and self.format != "tiff":
            options["xmp"] = own.xmp
        target = io.BytesIO()
        Image.merge(mode, [Image.fromarray(channel) for channel in channels]).save(target, self.format, **options)
        return target.getvalue()

    def _cut(self, shift: int) -> np.ndarray:
        (top, left), (height, width) = self.place, self.size
        return _photograph(self.photograph)[top + shift :, left + shift :][:height, :width].copy()

    def _tags(self) -> dict[int, Any]:
        """What EXIF says."""
        if self.orientation is None:
            return {}
        details = {0x9003: "2020:01:02 03:04:05", 0xA002: self.size[1], 0xA003: self.size[0]}
        return {0x010F: "Maker", 0x0112: self.orientation, 0x8769: details}

    def _exif(self) -> bytes:
        """A block as a camera writes it, with "Exif", 0, 0 in front."""
        block = Image.Exif()
        block.endian = self.endian
        block.update(self._tags())
        return block.tobytes()


@cache
def _photograph(name: str) -> np.ndarray:
    with Image.open(Path(skimage.data_dir) / name) as image:
        return np.asarray(image.convert("RGB"))


@cache
def _icc(grey: bool) -> bytes:
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return icc[:16] + b"GRAY" + icc[20:] if grey else icc


def formats() -> list[str]:
    """Those that can be written here."""
    return [name for name in writable() if missing_encoder(name) is None]


@st.composite
def drawn(draw: st.DrawFn, least: int = 1, most: int = 90, only: tuple[str, ...] = ()) -> Drawn:
    """Any picture with sides of `least` to `most` pixels, in any format that is written, or one of `only`."""
    format = FORMATS[draw(st.sampled_from(only or formats()))]
    sides = st.integers(least, most)
    alpha = st.sampled_from([None, *ALPHAS]) if format.alpha else st.none()
    grey = format.grey and draw(st.booleans())
    transparency = draw(alpha)
    # Grey with alpha: airtool, which is to read it, can write none, and Pillow does it for 8-bit PNG alone.
    deep = format.sixteen_bit and not (grey and transparency)
    depth = draw(st.sampled_from([8, 16])) if deep else 8
    # A deep TIFF comes from airtool, which writes none that lies on its side.
    turns = 1 if format.name == "tiff" and depth == 16 else 8
    return Drawn(
        draw(st.sampled_from(PHOTOGRAPHS)),
        (draw(st.integers(0, 80)), draw(st.integers(0, 200))),
        (draw(sides), draw(sides)),
        format.name,
        depth,
        grey and (transparency is None or format.name == "png"),
        transparency,
        draw(st.none() | st.integers(1, turns)) if "exif" in format.metadata else None,
        draw(st.sampled_from("<>")),
        "icc" in format.metadata and draw(st.booleans()),
        "xmp" in format.metadata and draw(st.booleans()),
    )
