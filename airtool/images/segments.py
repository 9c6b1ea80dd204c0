"""What JPEG and PNG files say beside EXIF, ICC and XMP: carried, as it is, into files of the same format.

Sources: ITU-T T.81 annex B and JFIF 1.02; XMP specification part 3, section 1.1.3; Portable Network Graphics, third
edition (W3C 2025), section 11.3.
"""

import struct
from collections.abc import Iterable

from airtool.images.picture import Segment

JFIF, XMP_EXTENSION, PHOTOSHOP, COMMENT = b"\xff\xe0", b"\xff\xe1", b"\xff\xed", b"\xff\xfe"
"""JPEG: kinds of segments. Of JFIF's only the density is carried: unit, across, down."""

JFIF_DENSITY = struct.Struct(">BHH")
PNG_DENSITY = struct.Struct(">IIB")
IPTC = b"8BIM\x04\x04"
"""How IPTC's block begins among those of Photoshop."""

FIXED = {b"pHYs": 9, b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"cICP": 4}
"""PNG: chunks of which a file has one, and their lengths."""

TEXT = (b"tEXt", b"zTXt", b"iTXt")

RAW_PROFILE = b"Raw profile type "
"""How the keywords of EXIF and XMP begin that ImageMagick hides in PNG's text."""

SRGB = {
    b"gAMA": struct.pack(">I", 45455),
    b"cHRM": struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000),
}
"""Values that say no more than readers assume anyway."""

LENGTHS = struct.Struct(">BI")
"""In front of each packed segment: lengths of its kind and its body."""

OVERRULED = frozenset(SRGB)
"""PNG: what readers do not go by where there is a profile, or its short form."""

MOST, EACH = 1 << 24, 256
"""Most bytes of all segments of a file together, and what each counts beside its own: a file may hold millions."""


class Carried:
    """The segments of one file, up to `MOST` bytes; of a kind that does not fit none is carried."""

    def __init__(self) -> None:
        self._segments: list[Segment] = []
        self._bytes = 0
        self._cut: set[bytes] = set()

    def add(self, kind: bytes, body: bytes) -> None:
        """Take one more segment, if there is room."""
        self._bytes += len(body) + EACH
        if self._bytes > MOST:
            self._cut.add(kind)
        else:
            self._segments.append(Segment(kind, body))

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Those that are carried."""
        return tuple(segment for segment in self._segments if segment.kind not in self._cut)

    @property
    def lost(self) -> tuple[str, ...]:
        """Those that are not, in words."""
        return dropped(Segment(kind, b"") for kind in sorted(self._cut))


def dropped(segments: Iterable[Segment]) -> tuple[str, ...]:
    """What is lost with segments, in words; nothing for those that say what is assumed anyway."""
    words = (_word(segment) for segment in segments)
    return tuple(f"{word} is dropped" for word in dict.fromkeys(words) if word is not None)


def turned(segments: Iterable[Segment], orientation: int) -> tuple[Segment, ...]:
    """The segments for a picture whose EXIF orientation, 2 to 8, has been applied."""
    # A hidden copy of the EXIF block would have the picture turned once more.
    kept = [segment for segment in segments if not (segment.kind in TEXT and segment.body.startswith(RAW_PROFILE))]
    return tuple(_on_its_side(segment) for segment in kept) if orientation >= 5 else tuple(kept)


def packed(segments: Iterable[Segment]) -> bytes:
    """Segments as bytes, for `unpacked`."""
    return b"".join(
        LENGTHS.pack(len(segment.kind), len(segment.body)) + segment.kind + segment.body for segment in segments
    )


def unpacked(data: bytes) -> tuple[Segment, ...]:
    """The segments that `packed` made into bytes. Raises ValueError for other bytes."""
    segments, at = [], 0
    while at < len(data):
        if at + LENGTHS.size > len(data):
            raise ValueError("cut off")
        kind, body = LENGTHS.unpack_from(data, at)
        at += LENGTHS.size
        segments.append(Segment(data[at : at + kind], data[at + kind : at + kind + body]))
        at += kind + body
    return tuple(segments)


def _on_its_side(segment: Segment) -> Segment:
    """The segment for a picture whose sides have been swapped."""
    if segment.kind == JFIF:
        unit, across, down = JFIF_DENSITY.unpack(segment.body)
        return Segment(JFIF, JFIF_DENSITY.pack(unit, down, across))
    if segment.kind == b"pHYs":
        across, down, unit = PNG_DENSITY.unpack(segment.body)
        return Segment(segment.kind, PNG_DENSITY.pack(down, across, unit))
    return segment


def _word(segment: Segment) -> str | None:
    kind, body = segment.kind, segment.body
    if kind == b"sRGB" or SRGB.get(kind) == body:
        return None
    if kind == PHOTOSHOP:
        return "IPTC" if IPTC in body else "data of Photoshop"
    words = {JFIF: "the resolution", b"pHYs": "the resolution", COMMENT: "the comment", XMP_EXTENSION: "extended XMP"}
    return words.get(kind, "text" if kind in TEXT else "the description of the colours")
