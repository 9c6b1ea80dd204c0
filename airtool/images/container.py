"""What a file's structure says about its pixels, before OpenCV decodes them."""

from dataclasses import dataclass, field

from airtool.images.picture import Metadata


class ContainerError(ValueError):
    """A file that must not be decoded; the message continues "<file name> ..." and names the remedy."""


CUT_SHORT = "is cut short: get a complete copy of it"
DAMAGED = "is damaged: get an intact copy of it"

NO_EXIF, NO_PROFILE, NO_XMP = "damaged EXIF is dropped", "the colour profile is dropped", "XMP is dropped"
"""What a file has and a picture has not."""


@dataclass(frozen=True)
class Container:
    """A file, checked, and what OpenCV does not tell about it."""

    pixels: bytes
    """The file as OpenCV is to decode it."""
    size: tuple[int, int]
    """(width, height) by the header, not turned: what a decoder takes memory for."""
    metadata: Metadata = field(default_factory=Metadata)
    """What was found that OpenCV does not report."""
    orientation: int | None = None
    """Orientation that overrules the EXIF tag, 1 to 8."""
    white: int | None = None
    """The largest sample value, where it is not that of the array's dtype."""
    grey: bool = False
    """Stored as grey with alpha, which OpenCV expands to four channels."""
    inverted: bool = False
    """Zero is white, and OpenCV leaves it so."""
    opaque: bool = False
    """The fourth channel that OpenCV returns is not the file's."""
    premultiplied: bool = False
    """Colours are stored multiplied by alpha."""
    transparent: int | None = None
    """The grey value, as decoded, that stands for full transparency."""
    lost: tuple[str, ...] = ()
    """What is not kept of the file, in words."""


def one_frame(count: int, what: str) -> None:
    """Refuse files of several pictures: all but the first would be lost."""
    if count > 1:
        raise ContainerError(f"holds {count} {what}: split it into single pictures first")
