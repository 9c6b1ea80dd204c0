"""What JPEG and PNG files say beside EXIF, ICC and XMP: carried, as it is, into files of the same format.

Resolutions go from one of the two to the other as well.

Sources: ITU-T T.81 annex B and JFIF 1.02; XMP specification part 3, section 1.1.3; Portable Network Graphics, third
edition (W3C 2025), section 11.3.
"""

import struct
from collections.abc import Iterable

from airtool.images import photoshop
from airtool.images.picture import Segment

JFIF, XMP_EXTENSION, PHOTOSHOP, COMMENT = b"\xff\xe0", b"\xff\xe1", b"\xff\xed", b"\xff\xfe"
"""JPEG: kinds of segments. Of JFIF's only the density is carried: unit, across, down."""

JFIF_DENSITY = struct.Struct(">BHH")
PNG_DENSITY = struct.Struct(">IIB")
INCH, CENTIMETRE, METRE = 1, 2, 1
"""Units of JFIF's density, and of PNG's; 0 is none, where only the ratio counts."""
INCHES, CENTIMETRES = 1 / 0.0254, 100.0
"""In a metre."""
DENSITIES = frozenset({JFIF, b"pHYs"})
MOST_DENSITY = 0xFFFF
"""That JFIF has room for."""

FIXED = {b"pHYs": 9, b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"cICP": 4}
"""PNG: chunks of which a file has one, and their lengths."""

TEXT = (b"tEXt", b"zTXt", b"iTXt")

COPIES = tuple(b"Raw profile type " + name for name in (b"exif\0", b"APP1\0", b"xmp\0"))
"""How the texts of PNG begin in which ImageMagick hides copies of EXIF and XMP."""

SRGB = {
    b"gAMA": struct.pack(">I", 45455),
    b"cHRM": struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000),
    b"cICP": bytes([1, 13, 0, 1]),
}
"""Values that say no more than readers assume anyway."""

LENGTHS = struct.Struct(">BI")
"""In front of each packed segment: lengths of its kind and its body."""

OVERRULED = frozenset({b"gAMA", b"cHRM"})
"""PNG: what readers do not go by where there is a profile, or its short form."""

MOST, EACH = 1 << 24, 256
"""Most bytes of all segments of a file together, and what each counts beside its own: a file may hold millions."""


class Carried:
    """The segments of one file, up to `MOST` bytes; of a kind that does not fit none is carried."""

    def __init__(self) -> None:
        self._segments: list[Segment] = []
        self._bytes = 0
        self._cut: dict[bytes, tuple[str, ...]] = {}

    def add(self, kind: bytes, body: bytes) -> None:
        """Take one more segment, if there is room."""
        self._bytes += len(body) + EACH
        segment = Segment(kind, body)
        if self._bytes > MOST:
            self.refuse(segment)
        else:
            self._segments.append(segment)

    def refuse(self, segment: Segment) -> None:
        """Take none of this kind."""
        self._cut[segment.kind] = tuple(dict.fromkeys((*self._cut.get(segment.kind, ()), *dropped([segment]))))

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Those that are carried."""
        return tuple(segment for segment in self._segments if segment.kind not in self._cut)

    @property
    def lost(self) -> tuple[str, ...]:
        """Those that are not, in words."""
        return tuple(words for kind in sorted(self._cut) for words in self._cut[kind])


def dropped(segments: Iterable[Segment]) -> tuple[str, ...]:
    """What is lost with segments, in words; nothing for those that say what is assumed anyway."""
    words = (_word(segment) for segment in segments)
    return tuple(f"{word} is dropped" for word in dict.fromkeys(words) if word is not None)


def turned(segments: Iterable[Segment], orientation: int) -> tuple[Segment, ...]:
    """The segments for a picture whose EXIF orientation, 2 to 8, has been applied."""
    # A hidden copy of the EXIF block would have the picture turned once more.
    kept = [segment for segment in segments if not (segment.kind in TEXT and segment.body.startswith(COPIES))]
    return tuple(_on_its_side(segment) for segment in kept) if orientation >= 5 else tuple(kept)


def translated(segments: Iterable[Segment], source: str, target: str) -> tuple[Segment, ...]:
    """What a file of another format can hold of the segments of a file: a resolution. For "jpeg" and "png"."""
    pairs = {("jpeg", "png"): _to_png, ("png", "jpeg"): _to_jpeg}
    to = pairs.get((source, target))
    found = () if to is None else (to(segment) for segment in segments if segment.kind in DENSITIES)
    return tuple(segment for segment in found if segment is not None)


def _to_png(segment: Segment) -> Segment:
    unit, across, down = JFIF_DENSITY.unpack(segment.body)
    a_metre = {INCH: INCHES, CENTIMETRE: CENTIMETRES}.get(unit)
    sides = (across, down) if a_metre is None else (round(across * a_metre), round(down * a_metre))
    return Segment(b"pHYs", PNG_DENSITY.pack(*sides, 0 if a_metre is None else METRE))


def _to_jpeg(segment: Segment) -> Segment | None:
    """None for a ratio, or a resolution, that JFIF has no room for."""
    across, down, unit = PNG_DENSITY.unpack(segment.body)
    sides = (round(across / INCHES), round(down / INCHES)) if unit == METRE else (across, down)
    if min(sides) < 1 or max(sides) > MOST_DENSITY:
        return None
    return Segment(JFIF, JFIF_DENSITY.pack(INCH if unit == METRE else 0, *sides))


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
    if segment.kind == PHOTOSHOP:
        return Segment(PHOTOSHOP, photoshop.on_its_side(segment.body))
    return segment


def _word(segment: Segment) -> str | None:
    kind, body = segment.kind, segment.body
    if kind == b"sRGB" or SRGB.get(kind) == body:
        return None
    if kind == PHOTOSHOP:
        return "IPTC" if photoshop.holds_iptc(body) else "data of Photoshop"
    words = {JFIF: "the resolution", b"pHYs": "the resolution", COMMENT: "the comment", XMP_EXTENSION: "extended XMP"}
    return words.get(kind, "text" if kind in TEXT else "the description of the colours")
