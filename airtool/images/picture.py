"""The one form in which a picture travels through airtool."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Segment:
    """A part of a file that goes, as it is, into a file of the same format: see `airtool.images.segments`."""

    kind: bytes
    """FF and the marker of a JPEG segment, or the type of a PNG chunk."""
    body: bytes


@dataclass(frozen=True)
class Metadata:
    """Raw metadata payloads of a file, or None where the file has none."""

    exif: bytes | None = None
    """A TIFF-structured EXIF block: starts with its byte order (b"II*\\0" or b"MM\\0*"), no b"Exif\\0\\0" before it."""
    icc: bytes | None = None
    """An ICC profile."""
    xmp: bytes | None = None
    """An XMP packet (UTF-8 XML)."""
    segments: tuple[Segment, ...] = ()
    """What only files of the picture's own format can hold, in the file's order."""


@dataclass(frozen=True)
class Picture:
    """A decoded picture together with everything its file must keep."""

    rgb: npt.NDArray[np.float32]
    """(H, W, 3), R G B order, values in [0, 1], EXIF orientation already applied."""
    alpha: npt.NDArray[np.uint8] | npt.NDArray[np.uint16] | None
    """(H, W) in its stored dtype, oriented like `rgb`; carried through untouched."""
    depth: int
    """Bits a sample as stored: 8 or 16."""
    grey: bool
    """Stored as one channel, and written back as one channel."""
    format: str
    """A name in `airtool.images.formats.FORMATS`: "jpeg", "png", ..."""
    metadata: Metadata
    lost: tuple[str, ...] = ()
    """What of the file reading has not kept, in words."""
    bits: int | None = None
    """Bits a sample of the file; None: as many as `depth`."""

    def with_rgb(self, rgb: npt.NDArray[np.float32]) -> "Picture":
        """The same picture with other colours.

        rgb: (H, W, 3) of the same height and width, any float dtype; values outside [0, 1] are clipped when encoding.
        Raises ValueError for another shape.
        """
        if rgb.shape != self.rgb.shape:
            raise ValueError(f"expected pixels of shape {self.rgb.shape}, got {rgb.shape}")
        return replace(self, rgb=np.ascontiguousarray(rgb, dtype=np.float32))
